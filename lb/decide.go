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
	if x.b.outcast.Load() {
		return x.lastRites(s)
	}
	if x.known(s) {
		return x.toSession()
	}
	for _, m := range s.modules {
		if !m.stopped() && m.affinity.guess(&x.inquiry, m) {
			x.mod = m
			return x.toSession()
		}
	}
	if placed, err := x.placeStray(s); err != nil {
		return err
	} else if placed {
		return x.toSession()
	}
	ended := x.endedWith(s)
	if ended != nil && ended.phase != fsm.PhaseStopped && !ended.replicated && ended.refuseLost {
		x.b.metrics.failoversRefused.WithLabelValues(ended.cluster.name, "session").Inc()
		return errSessionLost
	}
	x.s, x.assigned = session{}, false
	m := s.choose()
	if m == nil {
		return s.refusal()
	}
	x.mod = m
	if ended != nil {
		x.lose(ended)
	} else {
		x.noteUnrecognised()
	}
	if l, ok := m.affinity.(*learnAffinity); ok {
		x.in = l.hint(&x.inquiry, m)
	}
	if x.in == nil || x.hasTried(x.in) {
		x.in = m.cluster.state.pick(x.tried)
	}
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
	if !x.unknown {
		return false
	}
	x.asked, x.caughtUp = true, x.catchUp()
	return (x.caughtUp || x.later) && x.find(s)
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

// toSession chooses the session's instance, or another one of the cluster when that is stopped or not available.
func (x *exchange) toSession() error {
	x.assigned = true
	if x.s.mend != 0 {
		if done, err := x.mend(); done || err != nil {
			return err
		}
	}
	in := x.resolve(x.s.instance)
	if x.mod.stopped() { // as of the newer routing that resolve has found
		return x.decideAnew()
	}
	if in.takesAssigned() {
		x.in = in
		if !x.s.recorded {
			return x.mod.affinity.open(x)
		}
		x.failBack()
		x.touch()
		return nil
	}
	reason := fsm.ReasonRemoved
	if in != nil {
		x.tried = append(x.tried, in.state)
		if reason = fsm.ReasonUnavailable; in.phase == fsm.PhaseStopped {
			reason = fsm.ReasonQuiesced
		}
	}
	x.assigned = x.s.recorded // nobody but the client vouches for it, and its instance is gone: as good as unassigned
	return x.failOver(reason)
}

// takesAssigned reports whether the instance (nil: none) gets the requests of its sessions.
func (in *instance) takesAssigned() bool {
	return in != nil && in.phase != fsm.PhaseStopped && in.availableNow()
}

// availableNow is available with the quorum as it is now.
func (in *instance) availableNow() bool {
	return in.available(in.verdict == fsm.HealthFailed && in.cluster.hasQuorum())
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
	if x.b.view.Operating().Index == x.rt.index {
		return nil
	}
	x.b.reconcile()
	rt := x.b.routing.Load()
	m := rt.again(x.mod)
	if m == nil {
		return nil
	}
	x.rt, x.mod = rt, m
	return m.cluster.byID[id]
}
