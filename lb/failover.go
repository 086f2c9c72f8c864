package lb

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// errUnavailable means that no instance can take the request.
var errUnavailable = errors.New("no instance is available")

// maxMoves bounds how often a request chases a session that others move at the same time.
const maxMoves = 4

// decide finds out whose the request is and chooses its instance.
func (x *exchange) decide(s *site) error {
	if x.known(s) {
		return x.toSession()
	}
	for _, m := range s.modules {
		if m.affinity.guess(x, m) {
			x.mod = m
			return x.toSession()
		}
	}
	x.s = session{}
	m := s.choose()
	if m == nil {
		return errUnavailable
	}
	x.mod, x.in = m, m.cluster.state.pick(nil)
	if x.in == nil {
		return errUnavailable
	}
	return m.affinity.open(x)
}

// known looks for a recorded session in all modules of the site, at first here; when the request has an id that is unknown here,
// again after this node has caught up with the group.
func (x *exchange) known(s *site) bool {
	if x.find(s) {
		return true
	}
	return x.unknown && x.catchUp() && x.find(s)
}

func (x *exchange) find(s *site) bool {
	for _, m := range s.modules {
		if m.affinity.find(x, m) {
			x.mod = m
			return true
		}
	}
	return false
}

// catchUp waits until this node knows what the group knows; false when that cannot be had. It rides out an election, but not an outage: once
// the quorum has been lost for recordTimeout nobody waits for it any more.
func (x *exchange) catchUp() bool {
	ctx, cancel := context.WithTimeout(x.r.Context(), recordTimeout)
	defer cancel()
	for x.b.recorder.Sync(ctx) != nil {
		if x.b.outage(time.Now()) > recordTimeout {
			x.stray = true
			return false
		}
		pause := time.NewTimer(recordPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			x.stray = true
			return false
		}
	}
	return true
}

// outage is for how long this node has known of no quorum.
func (b *Balancer) outage(now time.Time) time.Duration {
	if b.recorder.Quorum() {
		b.lostAt.Store(0)
		return 0
	}
	b.lostAt.CompareAndSwap(0, now.UnixNano())
	return now.Sub(time.Unix(0, b.lostAt.Load()))
}

// toSession chooses the session's instance, or another one of the cluster when that is not available.
func (x *exchange) toSession() error {
	x.assigned = true
	in := x.resolve(x.s.instance)
	if in != nil && in.state.up() {
		x.in = in
		if !x.s.recorded {
			return x.mod.affinity.open(x)
		}
		x.touch()
		return nil
	}
	if in != nil {
		x.tried = append(x.tried, in.state)
	}
	x.assigned = x.s.recorded // nobody but the client vouches for it, and its instance is gone: as good as unassigned
	return x.failOver()
}

// resolve gives the instance of an id, nil for one that has been removed. An id that this request's routing does not know may
// be newer than the routing, or newer than this node.
func (x *exchange) resolve(id fsm.InstanceID) *instance {
	if in := x.mod.cluster.byID[id]; in != nil {
		return in
	}
	if _, known := x.b.view.InstanceRef(id); !known && x.s.ahead {
		x.catchUp()
	}
	if x.b.view.Revision().Number == x.rt.revision {
		return nil
	}
	x.b.reconcile()
	rt := x.b.routing.Load()
	m := rt.find(x.mod.cluster.name, x.mod.host, x.mod.root)
	if m == nil {
		return nil
	}
	x.rt, x.mod = rt, m
	return m.cluster.byID[id]
}

// failOver gives the session to another instance of its cluster. A recorded one is moved by compare-and-swap before the
// request is sent, and goes where the group says: another node may have been faster.
func (x *exchange) failOver() error {
	for range maxMoves {
		next := x.mod.cluster.state.pickOther(x.tried)
		if next == nil {
			return errUnavailable
		}
		if !x.s.recorded {
			x.in = next
			return x.mod.affinity.open(x)
		}
		op := fsm.SessionOp{Kind: fsm.OpMove, Key: x.s.key, Instance: next.id, Expect: x.s.instance}
		out, err := x.b.begin(op, x.mod.cluster).wait(x.r.Context())
		if err != nil {
			return err
		}
		if x.moveEnded(next, out) {
			return nil
		}
	}
	return errUnavailable
}

// moveEnded takes the outcome of a move; false when the session must be moved on.
func (x *exchange) moveEnded(next *instance, out outcome) bool {
	switch {
	case out.provisional: // a cookie that the client has goes on being good: the table still names the old instance
		x.s.instance, x.in = next.id, next
		x.s.index, x.s.provisional = 0, true
		return true
	case out.code == fsm.CodeOK:
		x.s.instance, x.in = next.id, next
		x.s.reissue, x.s.index = true, out.index
		return true
	case out.code == fsm.CodeAbsent || out.instance == 0:
		x.s.recorded, x.s.reissue = false, false
		return false
	}
	x.s.reissue, x.s.index = true, out.index
	x.s.instance, x.s.ahead = out.instance, true // somebody else has moved it, this node may not know whereto
	winner := x.resolve(out.instance)
	if winner == nil || !winner.state.up() || x.hasTried(winner) {
		return false
	}
	x.in = winner
	return true
}

func (x *exchange) hasTried(in *instance) bool {
	for _, t := range x.tried {
		if t == in.state {
			return true
		}
	}
	return false
}

// toAnother chooses an instance for a request that could not be handed over. A session that has just been recorded for the
// instance which refused is moved.
func (x *exchange) toAnother() error {
	if x.commit != nil {
		out, err := x.commit.wait(x.r.Context())
		if err != nil {
			return err
		}
		x.commit = nil
		x.s.recorded, x.s.instance = true, x.in.id
		x.s.reissue, x.s.index, x.s.provisional = true, out.index, out.provisional
		if out.instance != 0 {
			x.s.instance = out.instance
		}
		if winner := x.resolve(x.s.instance); winner != nil && winner.state.up() && !x.hasTried(winner) {
			x.in = winner
			return nil
		}
	}
	if x.s.keyed {
		return x.failOver()
	}
	x.in = x.mod.cluster.state.pick(x.tried)
	if x.in == nil {
		return errUnavailable
	}
	return x.mod.affinity.open(x)
}
