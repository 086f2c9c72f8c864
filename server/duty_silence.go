package server

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

const (
	// silenceEvery is how often the leader looks which nodes answer.
	silenceEvery = time.Second
	// silentAfter is for how long a node must not have answered, and silentLooks how often, before that is an event: a busy machine is none.
	silentAfter, silentLooks = 3 * time.Second, 3
)

// silenceDuty makes events of nodes that do not answer the leader, and that answer again.
type silenceDuty struct {
	*term
	// known tells of which nodes the events say that they do not answer.
	known func() map[string]bool

	told   map[string]bool // what this leader knows to be noted
	missed map[string]missed
}

// missed are the looks at which a node did not answer, one after the other.
type missed struct {
	since time.Time
	looks int
}

func (*silenceDuty) name() string { return "silence" }

func (d *silenceDuty) look(ctx context.Context) (time.Duration, error) {
	if d.told == nil {
		d.told, d.missed = d.known(), make(map[string]missed)
	}
	reports, at := d.reports.get(ctx, silenceEvery/2)
	for i := range reports {
		if err := d.note(ctx, &reports[i], at); err != nil {
			return 0, err
		}
	}
	return silenceEvery, nil
}

// note looks at one node as of at.
func (d *silenceDuty) note(ctx context.Context, r *memberReport, at time.Time) error {
	if r.reachable == !d.told[r.node] {
		delete(d.missed, r.node)
		return nil
	}
	note := fsm.QuarantineNote{Node: r.node, Silent: true, Over: r.reachable, Proposer: d.node}
	if !r.reachable {
		m := d.missed[r.node]
		if m.looks == 0 {
			m.since = at
		}
		m.looks++
		d.missed[r.node] = m
		if m.looks < silentLooks || at.Sub(m.since) < silentAfter {
			return nil
		}
		if d.isBack(ctx, r.node) {
			delete(d.missed, r.node)
			return nil
		}
		note.Text = fmt.Sprintf("the leader, node %s, has had no answer since %s", d.node, m.since.UTC().Format("15:04:05Z"))
	}
	res, err := d.do(ctx, &note)
	if err == nil {
		err = refusal(res)
	}
	if err != nil {
		return err
	}
	d.told[r.node] = !r.reachable
	delete(d.missed, r.node)
	return nil
}

// isBack asks once more, before a silence becomes an event: a node may have answered since it was asked, or be none of the group's any more.
func (d *silenceDuty) isBack(ctx context.Context, node string) bool {
	reports, _ := d.reports.get(ctx, 0)
	return !slices.ContainsFunc(reports, func(r memberReport) bool { return r.node == node && !r.reachable })
}
