package fsm

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// The bounds of what an ACME client keeps. An account has 3 KiB, a challenge less than one.
const (
	maxACMEValues = 2000
	maxACMEValue  = 64 << 10
	maxACMESize   = 4 << 20 // of all, with their keys
	maxACMEKey    = 512
	maxACMELocks  = 1000
	maxACMEStates = 1000
	maxACMETTL    = time.Hour
	maxACMEPause  = 60 * 24 * time.Hour // the longest that a rate limit of an ACME server may ask for
)

// executeACME applies the commands of types_acme.go.
func (r *replica) executeACME(index uint64, c Command) (Result, bool) {
	switch c := c.(type) {
	case *ACMEStore:
		return r.acmeStore(index, c), true
	case *ACMEDelete:
		return r.acmeDelete(index, c), true
	case *ACMELockSet:
		return r.acmeLockSet(index, c), true
	case *ACMENote:
		return r.acmeNote(index, c), true
	case *ACMERenew:
		return r.acmeRenew(index, c), true
	}
	return Result{}, false
}

// ACMEValue is the one under a key, nil for none.
func (o *Operating) ACMEValue(key string) *ACMEValue {
	if i, found := findACMEValue(o.ACMEValues, key); found {
		return &o.ACMEValues[i]
	}
	return nil
}

func findACMEValue(list []ACMEValue, key string) (int, bool) {
	return slices.BinarySearchFunc(list, key, func(v ACMEValue, key string) int { return cmp.Compare(v.Key, key) })
}

// ACMELockOf is the lock of a name, whether it has ended or not; nil for none.
func (o *Operating) ACMELockOf(name string) *ACMELock {
	if i, found := findACMELock(o.ACMELocks, name); found {
		return &o.ACMELocks[i]
	}
	return nil
}

func findACMELock(list []ACMELock, name string) (int, bool) {
	return slices.BinarySearchFunc(list, name, func(l ACMELock, name string) int { return cmp.Compare(l.Name, name) })
}

// ACMEState is what is known of a certificate that the group obtains itself, nil when there is nothing to say.
func (o *Operating) ACMEState(certificate string) *ACMEState {
	if i, found := findACMEState(o.ACMEStates, certificate); found {
		return &o.ACMEStates[i]
	}
	return nil
}

func findACMEState(list []ACMEState, name string) (int, bool) {
	return slices.BinarySearchFunc(list, name, func(s ACMEState, name string) int { return cmp.Compare(s.Certificate, name) })
}

// acmeKey is a path without empty components, of visible ASCII.
func (c *check) acmeKey(what, key string) {
	c.size(what, len(key), maxACMEKey)
	if key == "" || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) || strings.HasPrefix(key, "/") || strings.HasSuffix(key, "/") || strings.Contains(key, "//") {
		c.failf("%s is no path of visible ASCII, with single slashes between its components", what)
	}
}

func (v *ACMEValue) problem() string {
	var k check
	k.acmeKey("the key", v.Key)
	if k.size("the sealed value", len(v.Sealed), maxACMEValue); len(v.Sealed) == 0 {
		k.failf("the sealed value is missing")
	}
	return k.message
}

func (l *ACMELock) problem() string {
	var k check
	k.acmeKey("the name of the lock", l.Name)
	k.id("the lock's id", l.ID)
	k.node(l.Node)
	return k.message
}

func (s *ACMEState) problem() string {
	var k check
	k.node(s.Certificate)
	k.text("the error", s.Error)
	if s.Failures < 0 || s.Failures > maxCount || (s.Failures == 0) != (s.Error == "") || s.Failures == 0 && s.Requested.IsZero() {
		k.failf("the state of certificate %s says nothing", clip(s.Certificate, maxNodeName))
	}
	return k.message
}

func acmeSize(list []ACMEValue) (n int) {
	for i := range list {
		n += len(list[i].Key) + len(list[i].Sealed)
	}
	return n
}

func (r *replica) acmeStore(index uint64, c *ACMEStore) Result {
	next := ACMEValue{Key: c.Key, Sealed: c.Sealed, Modified: millis(r.now.Load())}
	k := check{message: next.problem()}
	k.name("the actor", c.Actor)
	if res, refused := k.refused(); refused {
		return res
	}
	list := slices.Clone(r.operating.Load().ACMEValues)
	i, found := findACMEValue(list, c.Key)
	news := c.Actor != "" && (!found || !bytes.Equal(list[i].Sealed, c.Sealed)) // not what is sent again
	if found {
		list[i] = next
	} else {
		list = slices.Insert(list, i, next)
	}
	if n := acmeSize(list); len(list) > maxACMEValues || n > maxACMESize {
		return Result{Code: CodeInvalid, Message: fmt.Sprintf("the ACME client would have %d values of %d bytes, at most %d of %d are kept", len(list), n, maxACMEValues, maxACMESize)}
	}
	r.operate(index, func(o *Operating) { o.ACMEValues = list })
	if news {
		r.emit(index, Event{Kind: EventCertificate, Actor: c.Actor, Text: "Key of an external account of the authority set" + by(c.Actor)})
	}
	return Result{}
}

func (r *replica) acmeDelete(index uint64, c *ACMEDelete) Result {
	var k check
	k.acmeKey("the key", c.Key)
	if res, refused := k.refused(); refused {
		return res
	}
	old := r.operating.Load().ACMEValues
	next := without(old, func(v *ACMEValue) bool { return v.Key == c.Key || strings.HasPrefix(v.Key, c.Key+"/") })
	if len(next) != len(old) {
		r.operate(index, func(o *Operating) { o.ACMEValues = next })
	}
	return Result{}
}

func (r *replica) acmeLockSet(index uint64, c *ACMELockSet) Result {
	now := millis(r.now.Load())
	next := ACMELock{Name: c.Name, ID: c.ID, Node: c.Node, Term: c.Term, Until: r.after(config.Duration(c.TTL))}
	k := check{message: next.problem()}
	if c.TTL < 0 || c.TTL > maxACMETTL {
		k.failf("a lock is held for %v at a time, at most %v are possible", c.TTL, maxACMETTL)
	}
	if res, refused := k.refused(); refused {
		return res
	}
	list := r.operating.Load().ACMELocks
	i, found := findACMELock(list, c.Name)
	if found && list[i].ID != c.ID && list[i].Term >= c.Term && now.Before(list[i].Until) {
		return Result{Code: CodeConflict, Message: fmt.Sprintf("node %s has the lock %s until %s", list[i].Node, c.Name, list[i].Until.UTC().Format(time.RFC3339))}
	}
	if c.TTL == 0 {
		if found && list[i].ID == c.ID {
			list = without(list, func(l *ACMELock) bool { return l.Name == c.Name })
			r.operate(index, func(o *Operating) { o.ACMELocks = list })
		}
		return Result{}
	}
	// Locks that have ended are nobody's: they make room.
	list = slices.DeleteFunc(slices.Clone(list), func(l ACMELock) bool { return l.Name == c.Name || !now.Before(l.Until) })
	if len(list) >= maxACMELocks {
		return Result{Code: CodeInvalid, Message: fmt.Sprintf("there are %d locks of the ACME client, the most that a group keeps", len(list))}
	}
	i, _ = findACMELock(list, c.Name)
	list = slices.Insert(list, i, next)
	r.operate(index, func(o *Operating) { o.ACMELocks = list })
	return Result{}
}

// withACMEState puts one into the list; one that says nothing is taken out.
func withACMEState(list []ACMEState, s ACMEState) []ACMEState {
	i, found := findACMEState(list, s.Certificate)
	switch {
	case s.Failures == 0 && s.Requested.IsZero():
		return without(list, func(x *ACMEState) bool { return x.Certificate == s.Certificate })
	case found:
		list = slices.Clone(list)
		list[i] = s
		return list
	}
	return slices.Insert(slices.Clone(list), i, s)
}

func (r *replica) acmeNote(index uint64, c *ACMENote) Result {
	var k check
	k.node(c.Certificate)
	k.text("the error", c.Error)
	if c.Pause < 0 || c.Pause > maxACMEPause {
		k.failf("the next attempt is to be in %v, must be from 0 to %v", c.Pause, maxACMEPause)
	}
	old := r.operating.Load().ACMEStates
	next := ACMEState{Certificate: c.Certificate}
	i, found := findACMEState(old, c.Certificate)
	if found {
		next = old[i]
	} else if c.Error != "" && len(old) >= maxACMEStates {
		k.failf("the states of %d certificates are kept, the most that a group does", len(old))
	}
	if res, refused := k.refused(); refused {
		return res
	}
	if c.Error == "" {
		if found {
			list := withACMEState(old, ACMEState{Certificate: c.Certificate})
			r.operate(index, func(o *Operating) { o.ACMEStates = list })
		}
		return Result{}
	}
	news := next.Error != c.Error
	next.Failures, next.Error = min(next.Failures+1, maxCount), c.Error
	next.At, next.Next = millis(r.now.Load()), r.after(config.Duration(c.Pause))
	list := withACMEState(old, next)
	r.operate(index, func(o *Operating) { o.ACMEStates = list })
	if news { // the same failure again and again would drive everything else out of the events
		r.emit(index, Event{Kind: EventCertificate, Actor: ActorACME, Text: clip(fmt.Sprintf("Certificate %s could not be obtained, the next attempt is at %s: %s", c.Certificate, next.Next.UTC().Format(time.RFC3339), c.Error), maxTextBytes)})
	}
	return Result{}
}

func (r *replica) acmeRenew(index uint64, c *ACMERenew) Result {
	var k check
	k.node(c.Certificate)
	k.name("the actor", c.Actor)
	if res, refused := k.refused(); refused {
		return res
	}
	o := r.operating.Load()
	if o.Config.ACMECertificate(c.Certificate) == nil {
		return Result{Code: CodeAbsent, Message: fmt.Sprintf("certificate %s is none that the group obtains itself", c.Certificate)}
	}
	next := ACMEState{Certificate: c.Certificate}
	if s := o.ACMEState(c.Certificate); s != nil {
		next = *s
	} else if len(o.ACMEStates) >= maxACMEStates {
		return Result{Code: CodeInvalid, Message: fmt.Sprintf("the states of %d certificates are kept, the most that a group does", len(o.ACMEStates))}
	}
	next.Requested, next.Next = millis(r.now.Load()), time.Time{}
	list := withACMEState(o.ACMEStates, next)
	r.operate(index, func(o *Operating) { o.ACMEStates = list })
	r.emit(index, Event{Kind: EventCertificate, Actor: c.Actor, Text: fmt.Sprintf("Certificate %s is to be renewed%s", c.Certificate, by(c.Actor))})
	return Result{}
}
