package lb

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/internal/mutant"
)

// Without a quorum a node knows what it knew. That is enough for sessions that it knows, and for those that begin. A session id which it has never heard of is neither: the application
// gave it to a client that has a session, or had one. The rest of the group may go on without this node, and know it; sent to any other instance the client would be given a new
// session in place of the one that the group has acknowledged. So the request is refused, and another node serves it, unless it is certain that nobody else can have recorded
// anything; then what this node's own log has behind its state counts (docs/adr/0026-unknown-ids-without-a-quorum.md).
//
// A node that is out of its group for good is in the same place, and worse: it never hears of anything any more. On the connections that are still open it serves those sessions alone that
// it has on record, where they are.

var (
	// errStray is the answer to an id that others may know.
	errStray = fmt.Errorf("%w: the group may know the session, and this node cannot ask it", errUnavailable)
	// errOutcast is the answer of a node that is out of its group.
	errOutcast = fmt.Errorf("%w: this node is out of its group", errUnavailable)
)

// Outcast has the Balancer decide nothing any more, for good: this node is out of its group, or cannot go on. Requests under way finish. Until Shutdown ends the connections, requests of
// sessions that are on record go to their instances; all others get a 503.
func (b *Balancer) Outcast() { b.outcast.Store(true) }

// lastRites chooses the instance on a node that is out of its group.
func (x *exchange) lastRites(s *site) error {
	if !x.find(s) || !x.s.recorded {
		return errOutcast
	}
	x.assigned = true
	if x.in = x.mod.cluster.byID[x.s.instance]; !x.in.takesAssigned() {
		return errOutcast
	}
	return nil
}

// placeStray sees to a request that presents the id of a session which this node does not know, and cannot ask about. It is an error when others may know it. When nobody else can, and this node's own log
// has it behind the state, the leader may have told its client before it died: true, the session goes where the log says.
func (x *exchange) placeStray(s *site) (placed bool, err error) {
	if !x.stray || mutant.On(mutant.StrayGuessed) {
		return false, nil
	}
	for _, m := range s.modules {
		a, learns := m.affinity.(*learnAffinity)
		if m.stopped() || !learns {
			continue
		}
		ids := a.presented(&x.inquiry, m)
		if len(ids) == 0 {
			continue
		}
		if !m.cluster.provisional {
			return false, errRefused
		}
		if x.b.othersDecide(x.r.Context()) {
			x.b.metrics.strays.Inc()
			return false, errStray
		}
		if x.unapplied(ids) {
			x.mod = m
			return true, nil
		}
	}
	return false, nil
}

// unapplied takes the first of the ids whose session begins in the log behind the state.
func (x *exchange) unapplied(ids []presented) bool {
	if x.b.opts.Unapplied == nil {
		return false
	}
	for _, id := range ids {
		if op, ok := x.b.opts.Unapplied(id.key); ok && op.Kind == fsm.OpAssign {
			x.s = session{key: id.key, keyed: true, instance: op.Instance, recorded: true}
			return true
		}
	}
	return false
}

// othersDecide tells whether the rest of the group may have a quorum. In the first moments of an outage nobody knows.
func (b *Balancer) othersDecide(ctx context.Context) bool {
	return b.opts.Elsewhere == nil || b.outage(time.Now()) <= recordTimeout || b.opts.Elsewhere(ctx)
}
