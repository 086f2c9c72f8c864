package fsm

import (
	"bytes"
	"fmt"
	"slices"
)

// An archive is restored into a running group through the log: its bytes come in parts, as entries like any other, and one last entry makes the state of them. So a node has everything at that index or it is
// not there yet; a crash, a new leader, a node that joins or one that is cut off need nothing of their own, and a standby has it too. ADR 22 has the other ways.

// restoring is a restore on its way. A value is immutable; the writer alone uses parts.
type restoring struct {
	Restoring
	parts [][]byte
	have  uint64 // bytes
}

// Restoring is the restore that is under way and how many bytes of it are there; nil when there is none.
func (s *State) Restoring() (*Restoring, uint64) {
	p := s.cur.Load().restoring.Load()
	if p == nil {
		return nil, 0
	}
	return &p.Restoring, p.have
}

// problem says why it cannot be kept, or nothing.
func (p *Restoring) problem() string {
	var k check
	k.id("the id of the restore", p.ID)
	k.name("the actor", p.Actor)
	k.text("the reason", p.Reason)
	k.size("the name of the archive", len(p.Archive), maxPathBytes)
	if p.Epoch == 0 || p.Index == 0 {
		k.failf("an archive of epoch %d and index %d is none", p.Epoch, p.Index)
	}
	return k.message
}

func (r *replica) restoreBegin(index uint64, c *RestoreBegin) Result {
	p := c.Restoring
	if problem := p.problem(); problem != "" {
		return Result{Code: CodeInvalid, Message: problem}
	}
	group := r.group.Load()
	switch {
	case group == nil:
		return Result{Code: CodeInvalid, Message: "there is no group yet"}
	case p.Index >= index:
		return Result{Code: CodeInvalid, Message: fmt.Sprintf("the archive is of entry %d, and this group has come to entry %d only: no index may be used twice; restore it into a new group ('holdfast backup restore --data-dir')", p.Index, index)}
	case max(group.Epoch, p.Epoch) == maxEpoch:
		return Result{Code: CodeInvalid, Message: "the group has had its last epoch"}
	}
	if res, refused := r.restoreRefused(c.Lock); refused {
		return res
	}
	if old := r.restoring.Load(); old != nil {
		r.setRestoring(nil)
		r.emit(index, Event{Kind: EventRestoreDropped, Actor: p.Actor, Text: fmt.Sprintf("Restore of %s given up for another one%s", old.Archive, by(p.Actor))})
	}
	p.Time, p.Next = canonicalTime(p.Time), max(group.Epoch, p.Epoch)+1
	p.Began = millis(r.now.Load())
	p.Last = p.Began
	r.setRestoring(&restoring{Restoring: p})
	r.emit(index, Event{Kind: EventRestoreBegun, Actor: p.Actor, Text: fmt.Sprintf("Restore of %s into the group begun%s%s", p.Archive, by(p.Actor), because(p.Reason))})
	return Result{}
}

// restoreRefused says why nothing may be restored now.
func (r *replica) restoreRefused(lock uint64) (Result, bool) {
	if l := r.locked(); l != nil && l.ID != lock {
		return Result{Code: CodeLocked, Lock: l, Message: l.describe()}, true
	}
	for _, w := range r.operating.Load().Workflows {
		if !w.Ended() {
			return Result{Code: CodeInvalid, Message: fmt.Sprintf("workflow %s (%s) is %s: wait until it has ended, or abort it", w.ID, w.Kind, w.State)}, true
		}
	}
	return Result{}, false
}

// underWay gives the restore of that id.
func (r *replica) underWay(id string) (*restoring, Result) {
	p := r.restoring.Load()
	if p == nil || p.ID != id {
		return nil, Result{Code: CodeAbsent, Message: "that restore is not under way: it was given up, or another one was begun; begin it again"}
	}
	return p, Result{}
}

func (r *replica) restorePart(c *RestorePart) Result {
	p, res := r.underWay(c.ID)
	if p == nil {
		return res
	}
	end := c.At + uint64(len(c.Data))
	switch {
	case len(c.Data) == 0 || len(c.Data) > MaxRestorePart:
		return Result{Code: CodeInvalid, Message: fmt.Sprintf("a part has %d bytes, not 1 to %d", len(c.Data), MaxRestorePart)}
	case end == p.have && len(p.parts) > 0 && bytes.Equal(p.parts[len(p.parts)-1], c.Data):
		return Result{} // it has been sent again
	case c.At != p.have:
		return Result{Code: CodeConflict, Message: fmt.Sprintf("%d bytes are there, these are the ones from %d to %d", p.have, c.At, end)}
	case end > MaxRestore:
		return Result{Code: CodeInvalid, Message: fmt.Sprintf("the state in the archive has more than %d bytes, the most that can be restored into a running group: restore it into a new group ('holdfast backup restore --data-dir')", MaxRestore)}
	}
	next := &restoring{Restoring: p.Restoring, parts: append(p.parts, c.Data), have: end}
	next.Last = millis(r.now.Load())
	r.setRestoring(next)
	return Result{}
}

func (r *replica) restoreDrop(index uint64, c *RestoreDrop) Result {
	var k check
	k.name("the actor", c.Actor)
	k.text("the reason", c.Reason)
	if res, refused := k.refused(); refused {
		return res
	}
	p, res := r.underWay(c.ID)
	if p == nil {
		return res
	}
	r.setRestoring(nil)
	r.emit(index, Event{Kind: EventRestoreDropped, Actor: c.Actor, Text: fmt.Sprintf("Restore of %s given up%s%s", p.Archive, by(c.Actor), because(c.Reason))})
	return Result{}
}

// setRestoring changes what is under way and its digest. Parts that are in both are not hashed again: next has all of the present ones, or is another restore.
func (r *replica) setRestoring(next *restoring) {
	old := r.restoring.Load()
	from := 0
	if old != nil {
		r.items.sub(itemSum(itemRestoring, appendRestoring(nil, &old.Restoring)))
		if next != nil && next.ID == old.ID && len(next.parts) >= len(old.parts) {
			from = len(old.parts)
		} else {
			r.items.sub(old.partSums(0))
		}
	}
	if next != nil {
		r.items.add(itemSum(itemRestoring, appendRestoring(nil, &next.Restoring)))
		r.items.add(next.partSums(from))
	}
	r.restoring.Store(next)
}

// partSums is the digest of the parts from one on.
func (p *restoring) partSums(from int) (s sum) {
	at := uint64(0)
	for i, part := range p.parts {
		if i >= from {
			s.add(itemSum(itemRestorePart, appendRestorePart(nil, at, part)))
		}
		at += uint64(len(part))
	}
	return s
}

// appendRestoring is the canonical form of a restore that is under way.
func appendRestoring(b []byte, p *Restoring) []byte {
	b = appendBytes(b, p.ID)
	b = appendBytes(b, p.Actor)
	b = appendBytes(b, p.Reason)
	b = appendBytes(b, p.Archive)
	b = appendU32(b, p.Epoch)
	b = appendU64(b, p.Index)
	b = appendTime(b, p.Time)
	b = appendU32(b, p.Next)
	b = appendTime(b, p.Began)
	return appendTime(b, p.Last)
}

func parseRestoring(b []byte) (*restoring, bool) {
	p := parser{b: b}
	k := &restoring{Restoring: Restoring{ID: p.string(), Actor: p.string(), Reason: p.string(), Archive: p.string(), Epoch: p.u32(), Index: p.u64(), Time: p.time(),
		Next: p.u32(), Began: p.time(), Last: p.time()}}
	return k, p.done() && k.problem() == "" && k.Next > k.Epoch && !k.Last.Before(k.Began)
}

// appendRestorePart is the canonical form of a part, which begins at a byte.
func appendRestorePart(b []byte, at uint64, part []byte) []byte {
	return append(appendU64(slices.Grow(b, 8+len(part)), at), part...)
}

// part adds the next part of a snapshot's restore, if it is one.
func (p *restoring) part(b []byte) bool {
	q := parser{b: b}
	at := q.u64()
	data := q.take(uint64(len(q.b)))
	if p == nil || q.bad || len(data) == 0 || len(data) > MaxRestorePart || at != p.have || at+uint64(len(data)) > MaxRestore {
		return false
	}
	p.parts = append(p.parts, bytes.Clone(data))
	p.have += uint64(len(data))
	return true
}

// restoringProblem is a restorer's look at the whole.
func (r *restorer) restoringProblem() string {
	p := r.r.restoring.Load()
	if p == nil {
		return ""
	}
	if g := r.r.group.Load(); g == nil || p.Next != max(g.Epoch, p.Epoch)+1 || p.Index >= r.index || !r.past(p.Last) {
		return "restore"
	}
	return ""
}
