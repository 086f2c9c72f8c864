package check

import (
	"context"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/record"
)

// Teller is a Group that tells what happens to it.
type Teller interface {
	// Happened gives the group's events after a number, in order.
	Happened(ctx context.Context, after uint64) ([]client.Event, error)
}

// Observe looks at the group every so often until ctx ends: it keeps what the checks need, and records leader, holder and the group's own events
// for the time line. Where the Group is a Teller, events from before the beginning are left out.
func (e *Evidence) Observe(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	o := observer{evidence: e}
	for {
		o.look(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

type observer struct {
	evidence *Evidence
	last     uint64 // number of the last event that was seen
	began    bool
}

func (o *observer) look(ctx context.Context) {
	e := o.evidence
	views := e.Group.Look(ctx)
	if ctx.Err() != nil {
		return // what was not asked in time says nothing about the group
	}
	leader, holder := e.Watch.See(time.Now(), views)
	e.Recorder.Leader(leader)
	e.Recorder.Holder(holder)
	teller, ok := e.Group.(Teller)
	if !ok || leader == "" {
		return
	}
	events, err := teller.Happened(ctx, o.last)
	if err != nil {
		return // there will be another look
	}
	for _, event := range events {
		o.last = max(o.last, event.Seq)
		if o.began {
			o.tell(event)
		}
		e.Quiesces.Events([]Event{{Seq: event.Seq, Kind: event.Kind, Subject: subject(event)}})
	}
	o.began = true
}

// subject names what an event is about.
func subject(e client.Event) string {
	name := e.Cluster
	for _, part := range []string{e.Instance, e.Host + e.ContextRoot} {
		if part != "" {
			name += "/" + part
		}
	}
	return name
}

// tell records those events of the group that a time line should have.
func (o *observer) tell(event client.Event) {
	kind := record.Noted
	switch event.Kind {
	case "config":
		kind = record.Configured
	case "quiesce-started", "quiesce-changed", "quiesce-canceled", "quiesced", "stopped":
		kind = record.Quiesced
	case "health", "workflow", "locked", "unlocked", "evacuated", "evacuation-ended", "backup", "backup-failed", "schedule-done":
	default:
		return // the holder is recorded as it is seen
	}
	o.evidence.Recorder.Note(kind, subject(event), "%s", event.Text)
}

// Happened implements Teller by whichever node answers.
func (n Nodes) Happened(ctx context.Context, after uint64) (list []client.Event, err error) {
	for _, m := range n {
		ctx, cancel := context.WithTimeout(ctx, askTime)
		page, failed := m.Client.Events(ctx, after, 1000)
		cancel()
		if err = failed; err == nil {
			return page.Events, nil
		}
	}
	return nil, err
}

var (
	_ Group  = Nodes{}
	_ Teller = Nodes{}
)
