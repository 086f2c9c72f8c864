package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

const (
	// holderLook is how often the leader looks whether it may go on, holderAsk how often it asks the other nodes whether one of them is preferred.
	holderLook, holderAsk = 250 * time.Millisecond, time.Second
	// flawPatience is how long this node may have a flaw before another one that has none is to hold: listeners take a moment to be bound.
	flawPatience = time.Second
	// handOverAgain is the pause after a hand-over that failed: nobody may be there who can take over.
	handOverAgain = 2 * time.Second
	// announceRounds is how often the addresses are announced when a node answers again, holderAsk or handOverAgain apart: the first frames may be lost.
	announceRounds = 3
)

// holderDuty hands leadership and addresses over when this node must not have them (it is evacuated, cannot serve, has a full disk, runs without --vip),
// when another node reaches instances that this one does not, or when another node is preferred and has been eligible for long enough. It has the addresses
// announced when a node answers again.
type holderDuty struct {
	*term
	// self is what this node says of itself, others what the other nodes say.
	self   func() memberReport
	others func(context.Context, time.Duration) ([]memberReport, time.Time)
	// handOver moves leadership and addresses; drain is how long connections have to end.
	handOver func(ctx context.Context, to string, drain time.Duration) error
	// announce tells the links who holds the addresses, if this node does.
	announce func(context.Context) error

	asked  time.Time
	flawed time.Time // since when
	failed string    // what for the last hand-over failed
	said   string    // the last failure that was logged
	// eligible is since when each node has been eligible without a break, as this leader has seen.
	eligible map[string]time.Time
	better   contender
	away     map[string]bool // nodes that did not answer the last question
	again    int             // how many announcements are to come
}

func (*holderDuty) name() string { return "holder" }

func (d *holderDuty) look(ctx context.Context) (time.Duration, error) {
	op := d.state.Operating()
	self := d.self()
	if why, drain := d.must(op, &self); why != "" {
		wait, err := d.move(ctx, "", drain, why)
		if ctx.Err() == nil { // nobody can take over, so it goes on; only then, or the hand-over would wait for nodes that do not answer
			d.question(ctx, op)
		}
		return wait, err
	}
	reports, at := d.question(ctx, op)
	if reports == nil {
		return holderLook, nil
	}
	if self.VIP == nil {
		for i := range reports {
			if r := &reports[i]; !r.self && r.mayHold(true) == nil {
				return d.move(ctx, r.node, 0, "this node runs without --vip")
			}
		}
		return holderLook, nil
	}
	if wait, tried := d.moveToFitter(ctx, op, reports, at); tried {
		return wait, nil
	}
	if to := d.preferred(op, reports, self.zone); to != "" {
		return d.move(ctx, to, drainTime, "that node is preferred")
	}
	return holderLook, nil
}

// must says why another node had to lead and hold, whichever can; and how long connections then have to end. Nothing when this one may go on.
func (d *holderDuty) must(op *fsm.Operating, self *memberReport) (why string, drain time.Duration) {
	if self.VIP == nil || !self.VIP.Flawed {
		d.flawed = time.Time{}
	} else if d.flawed.IsZero() {
		d.flawed = time.Now()
	}
	switch _, out := evacuation(op, d.node); {
	case out:
		return "this node is evacuated", drainTime
	case self.disk != "":
		return self.disk, drainTime
	case self.VIP == nil || self.VIP.Eligible:
	case !self.VIP.Flawed:
		return "this node cannot hold the virtual address: " + self.VIP.Reason, 0
	case time.Since(d.flawed) >= flawPatience:
		return "another node had better hold the virtual address: " + self.VIP.Reason, drainTime
	}
	return "", 0
}

// question asks the other nodes, unless it has done so a moment ago, and does with their answers what is to be done whether this node may go on or not.
func (d *holderDuty) question(ctx context.Context, op *fsm.Operating) (reports []memberReport, at time.Time) {
	if time.Since(d.asked) < holderAsk {
		return nil, time.Time{}
	}
	reports, at = d.others(ctx, holderAsk/2)
	d.asked = time.Now()
	d.note(op, reports, at)
	d.meet(ctx, reports)
	return reports, at
}

// move is no failure of the duty when nobody can take over: then things stay as they are. The log has each reason once, when it is there still at the second
// try: a group that has just been started has nobody for a moment.
func (d *holderDuty) move(ctx context.Context, to string, drain time.Duration, why string) (time.Duration, error) {
	err := d.handOver(ctx, to, drain)
	switch {
	case err == nil || ctx.Err() != nil:
		d.failed, d.said = "", ""
		return holderLook, nil
	case d.failed != why:
		d.failed = why
	case d.said != why+err.Error() && !errors.Is(err, errHandingOver):
		d.said = why + err.Error()
		d.log.Warn("another node ought to lead and hold the virtual address, and cannot; it is tried again", "why", why, "to", to, "error", err)
	}
	return handOverAgain, nil
}

// meet has the addresses announced when a node answers again that did not: a cut in the network may have healed, and clients that were on that node's side of
// it know nothing of what has changed meanwhile. They would send to the holder before for as long as they remember it.
func (d *holderDuty) meet(ctx context.Context, reports []memberReport) {
	away := make(map[string]bool)
	for i := range reports {
		switch r := &reports[i]; {
		case !r.reachable:
			away[r.node] = true
		case d.away[r.node]:
			d.again = announceRounds
		}
	}
	d.away = away
	if d.again == 0 {
		return
	}
	d.again--
	if err := d.announce(ctx); err != nil {
		d.log.Warn("the virtual address could not be announced to a node that answers again", "error", err)
	}
}

// note keeps since when nodes have been eligible, and have reached what this one does.
func (d *holderDuty) note(op *fsm.Operating, reports []memberReport, at time.Time) {
	now, self := make(map[string]time.Time, len(reports)), ownReport(reports)
	for i := range reports {
		r := &reports[i]
		if r.mayHold(true) != nil || self != nil && !d.fits(op, r, self) {
			continue
		}
		now[r.node] = at
		if since, ok := d.eligible[r.node]; ok {
			now[r.node] = since
		}
	}
	d.eligible = now
}

// preferred gives the node that is to hold instead of this one, if any.
func (d *holderDuty) preferred(op *fsm.Operating, reports []memberReport, zone string) string {
	node, best := "", preference(op.Config, d.node, zone)
	for i := range reports {
		r := &reports[i]
		since, eligible := d.eligible[r.node]
		if _, out := evacuation(op, r.node); r.self || out || !eligible || time.Since(since) < time.Duration(op.Config.Holder.Settle) {
			continue
		}
		if rank := preference(op.Config, r.node, r.zone); rank < best {
			node, best = r.node, rank
		}
	}
	return node
}

// preference ranks a node by the configuration: those that it names in their order, then those of the preferred zone, then all others.
func preference(c *config.Config, node, zone string) int {
	if c == nil {
		return 0
	}
	if i := slices.Index(c.Holder.Prefer, node); i >= 0 {
		return i
	}
	if c.Holder.Zone != "" && zone == c.Holder.Zone {
		return len(c.Holder.Prefer)
	}
	return len(c.Holder.Prefer) + 1
}

// evacuation tells whether a node is to be without leadership and addresses, and why.
func evacuation(op *fsm.Operating, node string) (why string, out bool) {
	e := op.Evacuation(node)
	if e == nil {
		return "", false
	}
	if why = "the node is evacuated"; e.Reason != "" {
		why = fmt.Sprintf("%s: %s", why, e.Reason)
	}
	return why, true
}
