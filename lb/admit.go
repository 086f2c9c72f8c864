package lb

import (
	"fmt"
	"net/http"

	"github.com/holdfast-lb/holdfast/fsm"
)

// errBusy means that all connections which this node may have to the instance are in use, and that none became free in time.
var errBusy = fmt.Errorf("%w: all its connections are in use (maxConnections)", errUnavailable)

// admit is called before the request is sent to x.in. It counts the request for its instance and its module, waiting for a connection where the instance
// bounds them, and then looks whether what was decided still stands: whoever has read a newer InForce, and no such request in flight, can rely
// on it that none follows. So the count comes first. When it does not stand, the request is decided anew.
// h is the header that goes out.
func (x *exchange) admit(h http.Header) error {
	for {
		if err := x.enter(); err != nil {
			return err
		}
		if x.b.routing.Load() == x.rt || x.stillStands() {
			x.tellInstance(h)
			return nil
		}
		x.leave()
		if err := x.decideAnew(); err != nil {
			return err
		}
	}
}

// enter takes a connection of x.in and gives back that of another instance.
func (x *exchange) enter() error {
	in := x.in.state
	if x.holding && x.counted == in {
		return nil
	}
	x.leave()
	waited, err := in.acquire(x.r.Context(), slotPatience)
	if waited {
		x.b.metrics.waited(in.cluster, err)
	}
	if err != nil {
		x.abandon()
		return err
	}
	if err := x.begins(in); err != nil {
		in.release()
		x.abandon()
		return err
	}
	x.counted, x.holding = in, true
	x.inModule = x.mod.state
	x.inModule.inFlight.Add(1)
	if x.opening = !x.assigned; x.opening {
		in.opening.Add(1)
	}
	return nil
}

// leave gives back what enter took; x.counted goes on naming the instance that had the request last.
func (x *exchange) leave() {
	if !x.holding {
		return
	}
	x.holding = false
	x.leaves(x.counted)
	x.inModule.inFlight.Add(-1)
	if x.opening {
		x.counted.opening.Add(-1)
	}
	x.counted.release()
}

// stillStands reports whether the decision is good under the newest routing too, and takes that over.
func (q *inquiry) stillStands() bool {
	rt := q.b.routing.Load()
	m := rt.again(q.mod)
	if m == nil {
		return false
	}
	in := m.cluster.byID[q.in.id]
	if in == nil || in.state != q.in.state {
		return false
	}
	if q.assigned {
		if m.phase == fsm.PhaseStopped || in.phase == fsm.PhaseStopped {
			return false
		}
	} else if m.phase != fsm.PhaseServing || in.phase != fsm.PhaseServing && !(in.phase == fsm.PhaseQuiescing && m.cluster.serveQuiescing) {
		return false
	}
	q.rt, q.mod, q.in = rt, m, in
	return true
}

// decideAnew decides about the request as if it had just come, by the newest routing.
func (x *exchange) decideAnew() error {
	if x.rounds++; x.rounds > maxMoves {
		return errUnavailable
	}
	x.abandon()
	x.rt = x.b.routing.Load()
	x.s, x.mod, x.in, x.assigned = session{}, nil, nil, false
	x.deliver.judged, x.deliver.listeners = false, nil
	s := x.site()
	if s == nil {
		return errNoModule
	}
	return x.decide(s)
}

// site is where the request leads to, nil for nowhere.
func (x *exchange) site() *site {
	if x.streamsTo != "" {
		return x.rt.streams[x.streamsTo]
	}
	return x.rt.match(x.r.Host, routingPath(x.r.URL))
}

// abandon takes back the record of a new session that no client will hear of: it would only count as one more session of its instance.
func (x *exchange) abandon() {
	co := x.commit
	x.commit = nil
	if x.s.ours && (co != nil || x.s.recorded) {
		x.b.abandon(co, x.s, x.mod)
	}
}

// abandon does so for the session s of module m, beside its caller; co is its record, nil when that has ended.
func (b *Balancer) abandon(co *commit, s session, m *module) {
	b.tasks.start(func() {
		holder, provisional := s.instance, s.provisional // where it went when its first instance did not take the request
		if co != nil {
			<-co.done
			if co.err != nil || !co.out.provisional && co.out.code != fsm.CodeOK {
				return
			}
			holder, provisional = co.op.Instance, co.out.provisional
		}
		if provisional {
			b.disown(s.key, m)
			return
		}
		// Should it fail, the session goes when its idle time is over.
		b.record(b.ctx, fsm.SessionOp{Kind: fsm.OpDrop, Key: s.key, Expect: holder, Reason: fsm.ReasonUnanswered, Module: m.id})
	})
}
