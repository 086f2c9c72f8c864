package lb

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// A session leaves its instance for good, so the reason must be good. That the group has found the instance failed is one. What this node alone has found
// is one only if the node was in contact with the group and with instances all the time: then it is the way to this instance that is broken, or the instance
// itself. What it has found while it was cut off, or in the first moments after that, is found again before a session moves.

// slowFailure is from when on an attempt to which nothing came back says something by its length: a link that was down for a moment fails attempts at once.
const slowFailure = time.Second

// errUncertain means that this node reaches neither the session's instance nor, for certain, the group.
var errUncertain = fmt.Errorf("%w: whether the session's instance is, this node cannot find out now", errUnavailable)

// confirm is asked before a session leaves its instance. It gives the instance if that turns out to take requests after all, nil when the session is to
// go. Where that is uncertain it has the listeners checked, which can take as long as a check.
func (x *exchange) confirm() (*instance, error) {
	for range maxMoves {
		in := x.mod.cluster.byID[x.s.instance]
		if in == nil || x.s.fresh || in.phase == fsm.PhaseStopped || !in.cluster.hasQuorum() || in.verdict == fsm.HealthFailed {
			return nil, nil // without a quorum nothing is recorded: the session comes back
		}
		contact, err := x.inContact()
		if err != nil {
			return nil, err
		}
		if contact.since.IsZero() {
			return nil, nil
		}
		checked, err := x.checkAnew(in, contact.since)
		switch {
		case err != nil && x.r.Context().Err() == nil && !x.b.recorder.Quorum():
			continue
		case err != nil:
			return nil, err
		case x.b.contact.look().since != contact.since: // lost again
			continue
		case (checked || x.counted == nil) && in.takesAssigned():
			return in, nil
		}
		return nil, nil
	}
	return nil, errUncertain
}

// inContact waits until this node is in contact with its group; that is not waited for when it is of no use: there is no quorum any more, or no listener of any
// instance answers, so that the session cannot go anywhere.
func (x *exchange) inContact() (contactState, error) {
	ctx, cancel := context.WithTimeout(x.r.Context(), recordTimeout)
	defer cancel()
	for {
		state := x.b.contact.look()
		if !state.since.IsZero() || state.deaf || !x.b.recorder.Quorum() {
			return state, nil
		}
		pause := time.NewTimer(contactPoll)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			if err := context.Cause(x.r.Context()); err != nil {
				return state, err
			}
			return state, errUncertain
		}
	}
}

// checkAnew has those listeners of the instance checked of which it is not certain that they cannot be reached by a node that is in contact since then. It
// tells whether there were any.
func (x *exchange) checkAnew(in *instance, since time.Time) (bool, error) {
	asked := since
	list := *in.state.endpoints.Load()
	if slices.ContainsFunc(list, func(e *endpoint) bool { last, _ := e.health.attempts(); return last.silent }) {
		// Whether it is still in contact is certain once the group has answered.
		ctx, cancel := context.WithTimeout(x.r.Context(), recordTimeout)
		err := x.b.recorder.Sync(ctx)
		cancel()
		if err != nil {
			return false, errUncertain
		}
		asked = time.Now()
	}
	var checks sync.WaitGroup
	var mu sync.Mutex
	var failed error
	checked := false
	for _, e := range list {
		last, _ := e.health.attempts()
		if last.proves(since, asked) {
			continue
		}
		checked = true
		from := since
		if !last.begun.Before(since) {
			from = asked
		}
		checks.Go(func() {
			if err := e.prober.prove(x.r.Context(), from); err != nil {
				mu.Lock()
				failed = err
				mu.Unlock()
			}
		})
	}
	checks.Wait()
	return checked, failed
}

// proves reports whether the attempt shows that the listener cannot be reached from a node that is in contact since then, and was when it last asked.
func (f failedAttempt) proves(since, asked time.Time) bool {
	return !f.begun.Before(since) && (!f.silent || f.ended.Sub(f.begun) >= slowFailure || !f.begun.Before(asked))
}

// stayOn sends the request to the instance that its session was about to leave.
func (x *exchange) stayOn(in *instance) error {
	x.in, x.assigned = in, true
	x.tried = slices.DeleteFunc(slices.Clone(x.tried), func(s *instanceState) bool { return s == in.state })
	if x.s.recorded {
		return nil
	}
	return x.mod.affinity.open(x)
}
