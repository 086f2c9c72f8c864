package raftnode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/storage"
)

// A node that has found itself wrong gives up what it leads, finds out what differs, and takes a new copy of the state (resync.go). It remembers on its disk that it is wrong, so that a restart does not
// bring it back into service, and when it mended itself, so that one that becomes wrong again and again stops: its memory, its disk or its program is at fault then, and a new copy mends none of them.

const (
	// maxMends is how often a node mends itself within mendWindow; after that only an operator can have it take a new copy.
	maxMends   = 3
	mendWindow = 24 * time.Hour
	// nameWait bounds how long a node looks for what differs before it drops it.
	nameWait = 5 * time.Second
	// mendRetry is between two attempts to begin, when the group cannot spare the node's vote.
	mendRetry = 2 * time.Second
	// mendWait bounds one attempt.
	mendWait = 20 * time.Second
)

var keyAudit = []byte("HoldfastAudit")

// auditPast is what a node remembers over its restart.
type auditPast struct {
	// Wrong is set while its state is known to be wrong.
	Wrong *Quarantine `json:"wrong,omitempty"`
	// Mends are when it began to take a new copy by itself, by its own clock.
	Mends []time.Time `json:"mends,omitempty"`
}

// recent counts the mends of the last mendWindow. A clock that was set does not make it forget.
func (p *auditPast) recent(now time.Time) (n int) {
	for _, at := range p.Mends {
		if now.Sub(at).Abs() < mendWindow {
			n++
		}
	}
	return n
}

// auditRecord keeps it, and which other nodes the log has named.
type auditRecord struct {
	mu     turn // held while it is written
	past   auditPast
	named  map[raft.ServerID]bool
	gaveUp bool
}

// told tells whether a node is to be named now.
func (r *auditRecord) told(id raft.ServerID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.named[id] {
		return false
	}
	if r.named == nil {
		r.named = make(map[raft.ServerID]bool)
	}
	r.named[id] = true
	return true
}

func (r *auditRecord) untold(id raft.ServerID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.named, id)
}

// loadAudit reads what the node remembers. A state that was dropped is not wrong any more.
func (n *Node) loadAudit() error {
	r := &n.audit.record
	b, err := n.opt.Dir.Stable().Get(keyAudit)
	switch {
	case errors.Is(err, storage.ErrKeyNotFound):
		return nil
	case err == nil:
		err = json.Unmarshal(b, &r.past)
	}
	if err != nil {
		return fmt.Errorf("%s: read what the last self-audit found: %w", n.opt.Dir.Path(), err)
	}
	if r.past.Wrong == nil {
		return nil
	}
	if n.comesBack() || n.opt.Dir.Empty() {
		r.past.Wrong = nil
		return n.saveAudit()
	}
	q := *r.past.Wrong
	q.Cause = CauseDiverged
	n.audit.confined.set(q)
	n.log.Warn("this node is still in quarantine: its state was found to be wrong before its last start", "index", q.Index, "difference", q.Difference)
	return nil
}

func (n *Node) saveAudit() error {
	if err := n.opt.Dir.Stable().Set(keyAudit, encodeJSON(n.audit.record.past)); err != nil {
		return fmt.Errorf("note what the self-audit found: %w", err)
	}
	return nil
}

// rememberAudit changes what is on disk; that it cannot is no reason to go on as before.
func (n *Node) rememberAudit(change func(*auditPast)) {
	r := &n.audit.record
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.past)
	if err := n.saveAudit(); err != nil {
		n.log.Error("this node could not remember its quarantine", "error", err)
	}
}

// sound notes that the node's state is right.
func (n *Node) sound() {
	r := &n.audit.record
	r.mu.Lock()
	wrong := r.past.Wrong != nil
	r.gaveUp = false
	r.mu.Unlock()
	if wrong {
		n.rememberAudit(func(p *auditPast) { p.Wrong = nil })
	}
}

// diverged begins the quarantine of a node that has found itself wrong, and its mending.
func (n *Node) diverged(b ballot) {
	right, having, _ := b.majority()
	n.confine(Quarantine{Cause: CauseDiverged, Index: b.point.Index, Text: fmt.Sprintf("its state is not the group's: as of log index %d its digest is %s, and %s on %s; it takes a new copy",
		b.point.Index, b.point.Digest, right, serverNames(having))})
	if n.audit.mending.TryLock() {
		n.goRun(func(ctx context.Context) {
			defer n.audit.mending.Unlock()
			n.mend(ctx, having)
		})
	}
}

func serverNames(list []raft.Server) string {
	names := make([]string, len(list))
	for i, s := range list {
		names[i] = nameOf(s.ID)
	}
	return strings.Join(names, ", ")
}

// mend gives up what this node leads, names what differs and takes a new copy of the state. right are nodes whose state is right.
func (n *Node) mend(ctx context.Context, right []raft.Server) {
	n.abdicate(ctx, right)
	note := func() {
		n.rememberAudit(func(p *auditPast) { p.Wrong = n.audit.confined.of(CauseDiverged) })
	}
	note()
	if q := n.audit.confined.of(CauseDiverged); q != nil && q.Difference == "" {
		n.name(ctx, right)
		note()
	}
	said := false
	for ctx.Err() == nil && n.audit.confined.of(CauseDiverged) != nil {
		if n.tired() {
			return
		}
		err := n.mendOnce(ctx)
		if err == nil {
			return
		}
		if !said {
			said = true
			n.log.Warn("this node cannot take a new copy of the state yet; it tries again", "error", err)
		}
		select {
		case <-time.After(mendRetry):
		case <-ctx.Done():
		}
	}
}

func (n *Node) mendOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, mendWait)
	defer cancel()
	if err := n.Resync(ctx); err != nil {
		return err
	}
	n.rememberAudit(func(p *auditPast) { p.Mends = append(p.Mends, n.opt.Now().UTC()) })
	return nil
}

// name finds what differs and says so.
func (n *Node) name(ctx context.Context, right []raft.Server) {
	q := n.audit.confined.of(CauseDiverged)
	look, cancel := context.WithTimeout(ctx, nameWait)
	defer cancel()
	text, err := n.nameDifference(look, right)
	if err != nil {
		text = "what differs could not be found out: " + err.Error()
	}
	if ctx.Err() != nil || q == nil {
		return
	}
	found := *q
	found.Difference = text
	n.audit.confined.set(found)
	n.log.Error("what differs first in this node's state", "index", q.Index, "difference", text)
}

// tired tells whether this node has mended itself too often, and says so once.
func (n *Node) tired() bool {
	r := &n.audit.record
	r.mu.Lock()
	mends, said := r.past.recent(n.opt.Now()), r.gaveUp
	if mends >= maxMends {
		r.gaveUp = true
	}
	r.mu.Unlock()
	if mends < maxMends {
		return false
	}
	if q := n.audit.confined.of(CauseDiverged); q != nil && !said {
		stays := *q
		stays.Text = fmt.Sprintf("its state is not the group's as of log index %d, again: it has taken a new copy %d times in %v, and tries no more. Look at its memory, its disk and the version of its program; "+
			"'holdfast node resync %s' has it take a new copy, 'holdfast node remove %s' takes it out of the group", q.Index, mends, mendWindow, n.opt.Name, n.opt.Name)
		n.audit.confined.set(stays)
		n.log.Error("this node has become wrong again and again, and does not mend itself any more", "mends", mends, "within", mendWindow, "reason", stays.Text)
	}
	return true
}

// abdicate ends the leadership of this node, if it leads. Whatever is held by its lease must be over first: a hand-over gives another node votes at once. Nothing is committed here meanwhile.
func (n *Node) abdicate(ctx context.Context, to []raft.Server) {
	ctx, cancel := context.WithTimeout(ctx, max(time.Second, 3*n.timing.election))
	defer cancel()
	for n.lead.Load() != nil && n.trans.holds() && ctx.Err() == nil {
		select {
		case <-time.After(n.timing.renew):
		case <-ctx.Done():
		}
	}
	for _, s := range to {
		if n.lead.Load() == nil || ctx.Err() != nil {
			break
		}
		if err := n.transferTo(ctx, nameOf(s.ID)); err != nil {
			n.log.Warn("leadership was not handed over by a node in quarantine", "to", nameOf(s.ID), "error", err)
		}
	}
	n.giveUp()
}
