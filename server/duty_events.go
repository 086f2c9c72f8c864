package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// eventDuty writes each event of the group to the log of the leader, once in the whole group.
//
// The log of one machine and the state of the group cannot change in one step, so there is an instant in which a leader can die and nobody knows
// whether it wrote the line. The choice: no line is ever lost, and the instant in which one can come twice is as short as it can be had. The leader
// writes the line and at once tells every node (eventMark), which takes one message; a new leader first asks all nodes it can reach up to where they
// know the log to be written, and writes what comes after that. So a leader that dies between the commit and its line costs nothing, and one that
// dies between its line and the message, which is well below a millisecond, a second line in another node's log. A node that starts
// again knows from its data directory what has been written.
//
// An event's Node is the node that proposed it, which wrote the line unless it died before it could; the line then comes from the next leader.
type eventDuty struct {
	*term
	mark *eventMark
	// tell gives the mark to all other nodes; it may take as long as a node that is not there.
	tell func(context.Context, uint64)

	began   time.Time
	asked   bool
	telling sync.WaitGroup
}

const (
	// eventPage is how many events are read at a time.
	eventPage = 100
	// askAgain is how soon the nodes are asked again while most do not answer, for at most askFor: then the lines are written all the same.
	askAgain, askFor = 100 * time.Millisecond, 3 * time.Second
)

func (*eventDuty) name() string { return "events" }

func (d *eventDuty) look(ctx context.Context) (time.Duration, error) {
	if !d.asked && !d.ask(ctx) {
		return askAgain, nil
	}
	for ctx.Err() == nil {
		page := d.state.Events(d.mark.get(), eventPage)
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			if ctx.Err() != nil {
				return never, nil // the next leader goes on
			}
			d.write(ctx, e)
			d.raise(ctx, e.Seq)
		}
	}
	return never, nil
}

// ask finds out up to where the log is written. It tells false when it has to be asked again: most nodes can be reached, or this one would not lead,
// but may not have answered yet.
func (d *eventDuty) ask(ctx context.Context) bool {
	if d.began.IsZero() {
		d.began = time.Now()
		d.mark.limit(d.state.LastEvent())
	}
	reports, _ := d.reports.get(ctx, 0)
	answered := 0
	for _, r := range reports {
		if r.reachable {
			answered++
		}
		d.mark.raise(min(r.Logged, d.state.LastEvent()))
	}
	d.asked = 2*answered > len(reports) || time.Since(d.began) >= askFor
	return d.asked
}

// raise tells the others before anything else: until they know, the line can come twice.
func (d *eventDuty) raise(ctx context.Context, seq uint64) {
	d.telling.Go(func() { d.tell(context.WithoutCancel(ctx), seq) })
	d.mark.raise(seq)
}

// write gives the log exactly the event's text, which people and programs search for.
func (d *eventDuty) write(ctx context.Context, e fsm.Event) {
	if e.Text == "" {
		return
	}
	attrs := []slog.Attr{slog.String("event", e.Kind), slog.Uint64("seq", e.Seq), slog.Uint64("index", e.Index)}
	for _, a := range []struct{ key, value string }{
		{"cluster", e.Cluster}, {"instance", e.Instance}, {"host", e.Host}, {"contextRoot", e.ContextRoot}, {"actor", e.Actor}, {"proposer", e.Node},
	} {
		if a.value != "" {
			attrs = append(attrs, slog.String(a.key, a.value))
		}
	}
	d.log.LogAttrs(ctx, slog.LevelInfo, e.Text, attrs...)
}
