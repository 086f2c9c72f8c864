package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/raftnode"
)

// lateAttempt bounds one attempt to have a change of an earlier term noted, lateAgain is the pause behind one that failed: the node may be cut off for long.
const lateAttempt, lateAgain = 10 * time.Second, 2 * time.Second

// receipts has the group note each change of the holder in a term of this node, as soon as something can be committed.
func (s *Server) receipts(ctx context.Context, number uint64) {
	for ctx.Err() == nil {
		select {
		case t := <-s.address.taking:
			switch {
			case t.Term > number: // this term is over
				push(s.address.taking, t)
				return
			case t.Term < number || !s.noteInTerm(ctx, &t):
				push(s.address.late, t)
			}
		case <-ctx.Done():
		}
	}
}

// noteInTerm has the group note a change, and tells false when the term ended before that was certain.
func (s *Server) noteInTerm(ctx context.Context, t *taking) bool {
	c := s.receipt(t, s.state.Operating().Holder)
	for ctx.Err() == nil {
		if r, err := s.node.Command(ctx, t.Term, c); err == nil {
			s.refusedReceipt(r)
			return true
		}
		wait(ctx, retryFirst)
	}
	return false
}

// note has the group note a change, late when its term has ended meanwhile and nobody will look for it any more.
func (a *address) note(t taking) {
	push(a.taking, t)
	if a.over.Load() >= t.Term {
		a.overdue(t.Term)
	}
}

// end has what a term leaves behind noted late.
func (a *address) end(term uint64) {
	a.over.Store(term) // first: what is not found then is found by who brings it
	a.overdue(term)
}

// overdue has what happened in a term that has ended, and was not noted in it, noted late.
func (a *address) overdue(term uint64) {
	for {
		select {
		case t := <-a.taking:
			if t.Term > term {
				push(a.taking, t)
				return
			}
			push(a.late, t)
		default:
			return
		}
	}
}

// lateReceipts has the group note changes of terms that ended before it could: whoever leads now. What this node still has when it ends is in its own log alone.
func (s *Server) lateReceipts(ctx context.Context) {
	for {
		select {
		case t := <-s.address.late:
			s.noteLate(ctx, &t)
		case <-ctx.Done():
			return
		}
	}
}

func (s *Server) noteLate(ctx context.Context, t *taking) {
	c := s.receipt(t, t.known)
	c.Late = true
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, lateAttempt)
		r, err := s.node.Propose(attempt, c)
		cancel()
		switch {
		case err == nil:
			s.refusedReceipt(r)
			return
		case errors.Is(err, raftnode.ErrRefused):
			s.log.Warn("the group does not note a change of the holder in an earlier term", "term", t.Term, "error", err)
			return
		}
		wait(ctx, lateAgain)
	}
}

func (s *Server) refusedReceipt(r fsm.Result) {
	if err := refusal(r); err != nil {
		s.log.Warn("the group does not note the change of the holder", "error", err)
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// receipt says what has happened; known is what the group knows of the holder before.
func (s *Server) receipt(t *taking, known *fsm.Holder) *fsm.HolderSet {
	c := &fsm.HolderSet{RequestID: t.id, Node: s.config.Name, Proposer: s.config.Name, Term: t.Term, SessionsBefore: t.from.Sessions, SessionsAfter: t.sessions}
	for _, ip := range s.address.ips {
		c.Addresses = append(c.Addresses, ip.String())
	}
	if known != nil {
		c.Previous = known.Node
		if known.Node == "" {
			c.Previous = known.Previous
		}
	}
	if t.lost {
		c.Node, c.Reason = "", clip(t.reason, maxFailure)
		return c
	}
	if c.Previous == s.config.Name {
		c.SessionsBefore = c.SessionsAfter
	}
	c.Reason = past(s.state.Group(), known)
	c.Gap, c.Planned = gap(s.config.Name, known, t, s.node.GroupTime().Add(-time.Since(t.at)))
	return c
}

// past says of a holder before that it was a node of an epoch that is over: one of the present group may have its name.
func past(g *fsm.Group, known *fsm.Holder) string {
	if g == nil || known == nil || known.Index == 0 { // without an index it is this node's own change that the group has not noted yet: of the present epoch
		return ""
	}
	name := known.Node
	if name == "" {
		name = known.Previous
	}
	epoch := g.EpochAt(known.Index)
	if name == "" || epoch >= g.Founded() {
		return ""
	}
	return fmt.Sprintf("node %s is that of epoch %d, which is over", name, epoch)
}

// gap is for how long nobody had answered for the addresses when this node took them, at now of the group's time: since its own loss, or the last sign of life of the node that held them. planned: that node has handed
// them over. One that hands leadership over without having held them (it was evacuated, or its guard had died) has handed no address over.
func gap(self string, known *fsm.Holder, t *taking, now time.Time) (gap time.Duration, planned bool) {
	from := t.from
	switch {
	case known == nil:
		return 0, t.Planned
	case known.Node == "":
		gap = now.Sub(known.Since)
		if known.Previous == self && !t.without.IsZero() {
			gap = t.at.Sub(t.without)
		}
	case known.Node == self:
		if !t.without.IsZero() {
			gap = t.at.Sub(t.without)
		}
	case known.Node == from.Previous && t.Planned:
		return 0, true
	case known.Node == from.Previous && !from.LastContact.IsZero():
		gap = t.at.Sub(from.LastContact)
	default:
		if at := from.Contacts[known.Node]; !at.IsZero() {
			gap = t.at.Sub(at)
		}
	}
	return max(gap, 0), false
}

// tellPrevious tells the node that has handed over that this one holds now.
func (s *Server) tellPrevious(ctx context.Context, name string) {
	for ctx.Err() == nil {
		if _, err := s.ask(ctx, name, asked{Do: askTaken}); err == nil {
			return
		}
		select {
		case <-time.After(retryFirst):
		case <-ctx.Done():
		}
	}
}
