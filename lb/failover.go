package lb

import (
	"cmp"
	"crypto/rand"
	"slices"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/internal/mutant"
)

// failOver gives the session to another instance of its cluster. A recorded one is moved by compare-and-swap before the
// request is sent, and goes where the group says: another node may have been faster.
func (x *exchange) failOver(reason fsm.Reason) error {
	if x.b.outcast.Load() {
		return errOutcast
	}
	switch in, err := x.confirm(); {
	case err != nil:
		return err
	case in != nil:
		return x.stayOn(in)
	}
	if err := x.maySurvive(); err != nil {
		return err
	}
	from, full := x.s.instance, false
	for range maxMoves {
		next := x.mod.cluster.state.pickOther(x.takeover())
		if mutant.On(mutant.FailoverAcrossClusters) {
			for _, c := range x.rt.clusters {
				next = cmp.Or(c.state.pick(nil), next)
			}
		}
		if next == nil {
			return x.nobody(full)
		}
		if !x.s.recorded {
			x.in, x.s.reason = next, fsm.ReasonUnknown
			return x.mod.affinity.open(x)
		}
		out, err := x.b.begin(x.moveTo(next, reason), x.mod.cluster).wait(x.r.Context())
		if err != nil {
			return err
		}
		if x.moveEnded(next, out) {
			if !x.s.fresh && x.in.id != from {
				x.b.metrics.failover(x.mod.cluster.name, reason)
			}
			return nil
		}
		full = full || out.code == fsm.CodeFull
	}
	return errUnavailable
}

// moveTo is the move of the session to next. It goes by the decision that it replaces, where this node knows which that is: sent again after the session
// was moved away and back, it does nothing then. The group does not hear of Expect in that case, but pending does.
func (x *exchange) moveTo(next *instance, reason fsm.Reason) fsm.SessionOp {
	op := fsm.SessionOp{Kind: fsm.OpMove, Key: x.s.key, Instance: next.id, Expect: x.s.instance, Reason: reason, Module: x.mod.id}
	if at := x.decidedAt(); at != 0 {
		op.Kind, op.Version = fsm.OpMoveAt, uint32(at)
	}
	return op
}

// decidedAt is the log index of the decision by which the session is on its instance, 0 when it is not known: the session is of an older version, or
// this node is behind of what it has been told.
func (x *exchange) decidedAt() uint64 {
	if x.s.decided != 0 || x.s.provisional || x.b.view.Applied() < x.s.index {
		return x.s.decided
	}
	if a, ok := x.b.view.Lookup(x.s.key); ok && a.Instance == x.s.instance {
		return a.Index
	}
	return 0
}

// takeover says who may take the session over.
func (x *exchange) takeover() takeover {
	c := x.mod.cluster
	t := takeover{tried: x.tried, sameVersion: c.sameVersion && x.s.instance != 0 && !x.s.fresh}
	if old := c.byID[x.s.instance]; old != nil {
		t.preferred = old.failoverTo
		if old.hasFailed(c.state.hasQuorum()) {
			x.failed(old)
		}
	}
	if t.sameVersion {
		var known bool
		if t.version, known = c.state.version(x.s.instance); !known {
			t.tried = slices.Clip(t.tried)
			for _, in := range c.instances { // it was removed before this node started: no version is sure to be the same
				t.tried = append(t.tried, in.state)
			}
		}
	}
	t.away = x.away
	return t
}

// nobody is the answer when no instance can take the session over.
func (x *exchange) nobody(full bool) error {
	c := x.mod.cluster
	switch {
	case full:
		return errFull
	case c.sameVersion && x.s.instance != 0 && !x.s.fresh && c.state.pickOther(takeover{tried: x.tried}) != nil:
		x.b.metrics.failoversRefused.WithLabelValues(c.name, "version").Inc()
		return errNoVersion
	}
	return errUnavailable
}

// moveEnded takes the outcome of a move; false when the session must be moved on.
func (x *exchange) moveEnded(next *instance, out outcome) bool {
	switch {
	case out.provisional && x.s.ours:
		x.rename(next)
		return true
	case out.provisional: // a cookie that the client has goes on being good: the table still names the old instance
		x.s.instance, x.in = next.id, next
		x.s.index, x.s.decided, x.s.provisional = 0, 0, true
		return true
	case out.code == fsm.CodeOK:
		x.s.instance, x.in = next.id, next
		x.s.reissue, x.s.index, x.s.decided = true, out.index, out.index
		return true
	case out.code == fsm.CodeFull:
		x.tried = append(x.tried, next.state)
		return false
	case out.code == fsm.CodeAbsent || out.instance == 0:
		x.s.recorded, x.s.reissue, x.s.decided = false, false, 0
		return false
	}
	x.s.reissue, x.s.index, x.s.decided = true, out.index, 0
	x.s.instance, x.s.ahead = out.instance, true // somebody else has moved it, this node may not know whereto
	winner := x.resolve(out.instance)
	// As long as no instance has been asked, those that were tried have only been out of service or full.
	if !winner.takesAssigned() || x.counted != nil && x.hasTried(winner) {
		if x.b.view.Applied() < out.index {
			x.catchUp() // the next move goes by the decision that this one has met
		}
		return false
	}
	x.in = winner
	return true
}

// rename gives the session, which goes to next without being recorded, another key. No client has heard of the old one, and the group has a record of it that names
// another instance, or may have: one whose outcome never came. Every node would go by that record once it is there, and the session would go back.
func (x *exchange) rename(next *instance) {
	x.b.disown(x.s.key, x.mod)
	rand.Read(x.s.key[:]) // never fails, by its contract
	x.b.pending.put(fsm.SessionOp{Kind: fsm.OpAssign, Key: x.s.key, Instance: next.id, Reason: fsm.ReasonProvisional, Module: x.mod.id})
	x.s.instance, x.in = next.id, next
	x.s.reissue, x.s.index, x.s.decided, x.s.provisional = true, 0, 0, true
}

// disown has the group drop the record of a key that no client will hear of, if it has one, when there is a quorum again. Should it not come to that, the record goes when its idle
// time is over.
func (b *Balancer) disown(key fsm.Key, m *module) {
	b.pending.put(fsm.SessionOp{Kind: fsm.OpDrop, Key: key, Reason: fsm.ReasonUnanswered, Module: m.id})
}

func (x *exchange) hasTried(in *instance) bool { return slices.Contains(x.tried, in.state) }

// failBack gives a session on a backup instance back to the others as soon as one of them is available, if the configuration says so. What a module
// that is not replicated keeps in the session would be lost by that, so that its sessions stay. Without a quorum, and when it does not work out, the
// session stays as well.
func (x *exchange) failBack() {
	c := x.mod.cluster
	if !x.in.backup || !c.failBack || !x.mod.replicated || !x.b.recorder.Quorum() {
		return
	}
	tried := x.tried
	if c.sameVersion {
		for _, in := range c.instances {
			if in.version != x.in.version {
				tried = append(slices.Clip(tried), in.state)
			}
		}
	}
	next := c.state.pickPrimary(tried)
	if next == nil {
		return
	}
	backup := x.in
	out, err := x.b.begin(x.moveTo(next, fsm.ReasonPolicy), c).wait(x.r.Context())
	if err != nil || out.code == fsm.CodeFull || out.code == fsm.CodeAbsent {
		return
	}
	if !x.moveEnded(next, out) || x.in.id == backup.id {
		x.in = backup
		return
	}
	x.b.metrics.failover(c.name, fsm.ReasonPolicy)
}

// toAnother chooses an instance for a request that could not be handed over. A session that has just been recorded for the
// instance which refused is moved.
func (x *exchange) toAnother() error {
	if x.commit != nil { // as a rule no instance has seen the session yet: any will do, and nothing is lost
		x.s.fresh = x.s.reason != fsm.ReasonCookie && x.s.reason != fsm.ReasonProvisional
		out, err := x.commit.wait(x.r.Context())
		if err != nil {
			return err
		}
		x.commit = nil
		if out.code != fsm.CodeFull {
			x.s.recorded, x.s.instance = true, x.in.id
			x.s.reissue, x.s.index, x.s.decided, x.s.provisional = true, out.index, 0, out.provisional
			if out.code == fsm.CodeOK && !out.provisional {
				x.s.decided = out.index
			}
		}
		if out.instance != 0 {
			x.s.instance = out.instance
		}
		if winner := x.resolve(x.s.instance); x.s.recorded && winner.takesAssigned() && !x.hasTried(winner) {
			x.in = winner
			return nil
		}
	}
	if x.s.keyed {
		return x.failOver(fsm.ReasonHandover)
	}
	x.in = x.mod.cluster.state.pickAway(x.tried, x.away)
	if x.in == nil {
		return errUnavailable
	}
	return x.mod.affinity.open(x)
}
