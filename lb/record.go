package lb

import (
	"errors"
	"fmt"
	"sync"

	"github.com/holdfast-lb/holdfast/fsm"
)

// errFull means that no instance has room for another session.
var errFull = fmt.Errorf("%w: none has room for another session (maxSessions)", errUnavailable)

// errSendAgain is what settle returns when the response that has come must not leave, and x.in is the instance to send the request to instead.
var errSendAgain = errors.New("the request goes to another instance")

// mayRepeat reports whether the request may be sent again although an instance has answered it: it is idempotent (see rules) and has no body that would
// be used up.
func (x *exchange) mayRepeat() bool { return x.r.ContentLength == 0 && x.rules().idempotent }

// beginRecord begins to record the new session x.s on x.in.
func (x *exchange) beginRecord() *commit {
	reason := x.s.reason
	if reason == fsm.ReasonUnknown {
		reason = fsm.ReasonPolicy
	}
	return x.b.begin(fsm.SessionOp{Kind: fsm.OpAssign, Key: x.s.key, Instance: x.in.id, Reason: reason, Module: x.mod.id}, x.mod.cluster)
}

// openRecord records a new session while the request is on its way. Where the record may be refused because the instance is full, and the request cannot
// be sent again, the record comes first: so that no instance executes a request whose response must not leave.
func (x *exchange) openRecord() error {
	for range maxMoves {
		x.commit = x.beginRecord()
		if x.in.maxSessions == 0 || x.mayRepeat() {
			return x.commit.refusal()
		}
		out, err := x.opened()
		if err != nil || out.code != fsm.CodeFull {
			return err
		}
		if err := x.elsewhere(); err != nil {
			return err
		}
	}
	return errFull
}

// opened waits for the record of the new session.
func (x *exchange) opened() (outcome, error) { return x.commit.wait(x.r.Context()) }

// elsewhere chooses another instance for a new session: x.in has no room.
func (x *exchange) elsewhere() error {
	x.commit = nil
	x.tried = append(x.tried, x.in.state)
	next := x.mod.cluster.state.pick(x.tried)
	if next == nil {
		return errFull
	}
	x.in, x.s.reason = next, fsm.ReasonFull
	return nil
}

// instanceFull is called when the instance has answered but has no room for the session: the response must not leave, because nothing would
// lead the client back. The request goes to another instance if it may be sent again.
func (x *exchange) instanceFull() error {
	if !x.mayRepeat() {
		return errFull
	}
	if err := x.elsewhere(); err != nil {
		return err
	}
	if err := x.mod.affinity.open(x); err != nil {
		return err
	}
	return errSendAgain
}

// toWinner goes where the record says that the session is.
func (x *exchange) toWinner() error {
	out := x.commit.out
	if out.instance == 0 || out.instance == x.in.id {
		return nil
	}
	x.s.recorded, x.s.instance, x.s.index, x.s.ahead = true, out.instance, out.index, true
	in := x.resolve(out.instance)
	if in.takesAssigned() && !x.hasTried(in) {
		x.in = in
		return nil
	}
	x.commit = nil
	if in != nil {
		x.tried = append(x.tried, in.state)
	}
	return x.failOver(fsm.ReasonUnavailable)
}

// openings are the records of new sessions that are under way, where requests can tell that they are of the same session.
type openings struct {
	mu   sync.Mutex
	keys map[fsm.Key]*commit
}

// join gives the record that is under way for the key, or begins one: first.
func (o *openings) join(key fsm.Key, begin func() *commit) (co *commit, first bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if co, ok := o.keys[key]; ok {
		return co, false
	}
	if o.keys == nil {
		o.keys = map[fsm.Key]*commit{}
	}
	co = begin()
	o.keys[key] = co
	return co, true
}

// leaveOpening ends that others may wait for the record that this request has begun.
func (x *exchange) leaveOpening() {
	if x.opens != nil {
		x.b.openings.leave(x.opens)
		x.opens = nil
	}
}

// leave forgets a record.
func (o *openings) leave(co *commit) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.keys[co.op.Key] == co {
		delete(o.keys, co.op.Key)
	}
}
