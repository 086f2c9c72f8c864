package server

import (
	"context"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/raftnode"
)

// quarantineEvery is how often the leader looks whether a node has taken itself out of service, or is back.
const quarantineEvery = time.Second

// quarantineDuty makes events of that, so that the group's history has it. The node itself acts without it.
type quarantineDuty struct {
	*term
	// known tells of which nodes the events say that they are out.
	known func() map[string]bool
	// told is what this leader has had noted of each such node, see substance.
	told map[string]string
}

// substance is what makes another event of a quarantine that goes on: another cause, what differs, or that the node has given up. In which way a node is stuck may change from second to second.
func substance(q *raftnode.Quarantine) string {
	if q.Cause == raftnode.CauseStuck || q.Cause == raftnode.CauseFull {
		return string(q.Cause)
	}
	return string(q.Cause) + ": " + q.Error()
}

func (*quarantineDuty) name() string { return "quarantine" }

func (d *quarantineDuty) look(ctx context.Context) (time.Duration, error) {
	if d.told == nil {
		d.told = make(map[string]string)
		for node := range d.known() {
			d.told[node] = "" // whatever its leader knew: the state tells nothing twice
		}
	}
	reports, _ := d.reports.get(ctx, quarantineEvery/2)
	if d.news(reports) {
		reports, _ = d.reports.get(ctx, 0) // a node may be back since it was asked
	}
	for i := range reports {
		if err := d.note(ctx, &reports[i]); err != nil {
			return 0, err
		}
	}
	return quarantineEvery, nil
}

// news tells whether a quarantine is to be noted.
func (d *quarantineDuty) news(reports []memberReport) bool {
	return slices.ContainsFunc(reports, func(r memberReport) bool { return r.quarantine != nil && d.told[r.node] != substance(r.quarantine) })
}

func (d *quarantineDuty) note(ctx context.Context, r *memberReport) error {
	was, out := d.told[r.node]
	note := fsm.QuarantineNote{Node: r.node, Proposer: d.node}
	switch q := r.quarantine; {
	case q != nil:
		if out && was == substance(q) {
			return nil
		}
		note.Cause, note.Text = string(q.Cause), clip(q.Error(), maxFailure)
	case out && r.reachable && r.Ready: // a new copy takes its time, and it is not back before it serves
		note.Over = true
	default:
		return nil
	}
	res, err := d.do(ctx, &note)
	if err != nil {
		return err
	}
	if err := refusal(res); err != nil {
		return err
	}
	if note.Over {
		delete(d.told, r.node)
	} else {
		d.told[r.node] = substance(r.quarantine)
	}
	return nil
}
