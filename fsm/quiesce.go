package fsm

import (
	"fmt"
	"slices"
	"time"
)

// findQuiesce is the place of a running one, or -1.
func (o *Operating) findQuiesce(id uint64, s Subject) int {
	return slices.IndexFunc(o.Quiesces, func(q Quiesce) bool { return q.ID == id && q.Subject == s })
}

// absent answers a command about a quiesce that does not run.
func (s Subject) absent() Result {
	return Result{Code: CodeAbsent, Message: fmt.Sprintf("no such quiesce of %s runs: it has ended or was canceled", clip(s.describe(), maxTextBytes))}
}

func (r *replica) quiesceSet(index uint64, c *QuiesceSet) Result {
	var k check
	k.name("the actor", c.Actor)
	if c.Remaining < 0 || c.Total < 0 || (c.Remaining > 0) == (c.Total > 0) {
		k.failf("a quiesce gets either a remaining or a total time, and that is more than nothing")
	}
	if res, refused := k.refused(); refused {
		return res
	}
	o := r.operating.Load()
	i := o.findQuiesce(c.ID, c.Subject)
	if i < 0 {
		return c.Subject.absent()
	}
	q := o.Quiesces[i]
	q.Deadline = r.after(c.Remaining)
	if c.Total > 0 {
		// A total that is over already means now, not a time in the past.
		if q.Deadline = later(q.Started, c.Total); q.Deadline.Before(r.after(0)) {
			q.Deadline = r.after(0)
		}
	}
	next := slices.Clone(o.Quiesces)
	next[i] = q
	r.operate(index, func(o *Operating) { o.Quiesces = next })
	r.emit(index, Event{Kind: EventQuiesceChanged, Subject: q.Subject, Actor: c.Actor,
		Text: fmt.Sprintf("Quiesce of %s now ends at %s", q.describe(), q.Deadline.Format(time.RFC3339))})
	return Result{}
}

// quiesceEnd takes the quiesce off the list, so that it can only end once, and with it goes the one event.
func (r *replica) quiesceEnd(index uint64, c *QuiesceEnd) Result {
	var k check
	k.name("the node", c.Node)
	if res, refused := k.refused(); refused {
		return res
	}
	o := r.operating.Load()
	i := o.findQuiesce(c.ID, c.Subject)
	if i < 0 {
		return c.Subject.absent()
	}
	q := &o.Quiesces[i]
	if !canonicalTime(c.Deadline).Equal(q.Deadline) {
		return Result{Code: CodeConflict, Message: fmt.Sprintf("the quiesce of %s ends at %s now", q.describe(), q.Deadline.Format(time.RFC3339))}
	}
	if r.after(0).Before(q.Deadline) {
		sessions := counter(r.names.Load(), r.modules.Load())(q.Subject)
		if !c.Idle {
			return Result{Code: CodeInvalid, Message: fmt.Sprintf("the quiesce of %s ends at %s", q.describe(), q.Deadline.Format(time.RFC3339))}
		}
		if sessions > 0 {
			return Result{Code: CodeInvalid, Message: fmt.Sprintf("%s still has %d sessions", q.describe(), sessions)}
		}
	}
	r.operate(index, func(o *Operating) {
		o.Quiesces = without(o.Quiesces, func(x *Quiesce) bool { return x.ID == c.ID && x.Subject == c.Subject })
	})
	r.emit(index, Event{Kind: EventQuiesced, Subject: q.Subject, Actor: q.Actor, Node: c.Node, Text: q.quiescedText()})
	return Result{}
}

// quiescedText is the text that the log promises, to the letter.
func (s Subject) quiescedText() string {
	if s.IsModule() {
		return fmt.Sprintf("Application: %s quiesced successfully over the cluster %s", s.Name(), s.Cluster)
	}
	return fmt.Sprintf("Instance: %s quiesced successfully over the cluster: %s.", s.Name(), s.Cluster)
}

// without is list without what gone chooses: list itself when it chooses nothing, nil when nothing is left.
func without[T any](list []T, gone func(*T) bool) []T {
	var out []T
	for i := range list {
		if !gone(&list[i]) {
			out = append(out, list[i])
		}
	}
	if len(out) == len(list) {
		return list
	}
	return out
}

// appendQuiesce is the canonical form of a quiesce.
func appendQuiesce(b []byte, q *Quiesce) []byte {
	b = appendU64(b, q.ID)
	b = appendSubject(b, q.Subject)
	b = appendTime(b, q.Started)
	b = appendTime(b, q.Deadline)
	b = appendBytes(b, q.Actor)
	return appendU64(b, q.Revision)
}

func parseQuiesce(b []byte) (Quiesce, bool) {
	p := parser{b: b}
	q := Quiesce{ID: p.u64(), Subject: p.subject(), Started: p.time(), Deadline: p.time(), Actor: p.string(), Revision: p.u64()}
	return q, p.done()
}
