package fsm

import (
	"fmt"
	"time"
)

// describe says whose lock it is, and until when.
func (l *Lock) describe() string {
	until := ""
	if !l.Until.IsZero() {
		until = ", until " + l.Until.Format(time.RFC3339)
	}
	return fmt.Sprintf("the configuration is locked by %s since %s%s%s", l.Owner, l.Since.Format(time.RFC3339), until, because(l.Reason))
}

func (r *replica) lockSet(index uint64, c *LockSet) Result {
	var k check
	k.id("the owner of the lock", c.Owner)
	k.text("the reason", c.Reason)
	if c.Timeout < 0 {
		k.failf("the time-out of the lock is negative")
	}
	if res, refused := k.refused(); refused {
		return res
	}
	held := r.locked()
	if held != nil && held.Owner != c.Owner {
		return Result{Code: CodeLocked, Lock: held, Message: held.describe()}
	}
	lock := &Lock{ID: index, Owner: c.Owner, Reason: c.Reason, Since: millis(r.now.Load())}
	if held != nil {
		lock.ID, lock.Since = held.ID, held.Since
	}
	if c.Timeout > 0 {
		lock.Until = r.after(c.Timeout)
	}
	if stale := r.operating.Load().Lock; stale != nil && held == nil {
		r.tellUnlocked(index, stale, "")
	}
	r.operate(index, func(o *Operating) { o.Lock = lock })
	until := ""
	if !lock.Until.IsZero() {
		until = " until " + lock.Until.Format(time.RFC3339)
	}
	r.emit(index, Event{Kind: EventLocked, Actor: c.Owner, Text: fmt.Sprintf("Configuration locked by %s%s%s", c.Owner, until, because(c.Reason))})
	return Result{}
}

func (r *replica) lockClear(index uint64, c *LockClear) Result {
	var k check
	k.name("the actor", c.Actor)
	if res, refused := k.refused(); refused {
		return res
	}
	lock, held := r.operating.Load().Lock, r.locked()
	switch {
	case lock == nil || held == nil && !c.Expired:
		return Result{Code: CodeAbsent, Message: "the maintenance lock is off"}
	case held != nil && c.Expired:
		return Result{Code: CodeInvalid, Lock: held, Message: "its time is not over: " + held.describe()}
	}
	r.operate(index, func(o *Operating) { o.Lock = nil })
	if c.Expired {
		r.tellUnlocked(index, lock, "")
	} else {
		r.tellUnlocked(index, lock, c.Actor)
	}
	return Result{}
}

// tellUnlocked emits the end of a lock, which an actor brought about, or its time-out when there is none.
func (r *replica) tellUnlocked(index uint64, lock *Lock, actor string) {
	how := by(actor)
	if actor == "" {
		how = ": its time is over"
	}
	r.emit(index, Event{Kind: EventUnlocked, Actor: actor, Text: fmt.Sprintf("Lock of the configuration by %s ended%s", lock.Owner, how)})
}

// appendLock is the canonical form of the lock.
func appendLock(b []byte, l *Lock) []byte {
	b = appendU64(b, l.ID)
	b = appendBytes(b, l.Owner)
	b = appendBytes(b, l.Reason)
	b = appendTime(b, l.Since)
	return appendTime(b, l.Until)
}

func parseLock(b []byte) (*Lock, bool) {
	p := parser{b: b}
	l := &Lock{ID: p.u64(), Owner: p.string(), Reason: p.string(), Since: p.time(), Until: p.time()}
	return l, p.done()
}
