package fsm

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

const maxEpoch = math.MaxUint32

// readRestored reads what a RestoreCommit is to make the state of, before the entry changes anything. An error is for what this program is too old to read: the node must not go on without it.
func (r *replica) readRestored(c *RestoreCommit) error {
	if _, again := r.requests.recall(c.RequestID, kindRestoreCommit); again {
		return nil
	}
	p := r.restoring.Load()
	if p == nil || p.ID != c.ID {
		return nil
	}
	if _, refused := r.restoreRefused(c.Lock); refused {
		return nil
	}
	if c.problem = p.incomplete(c); c.problem != "" {
		return nil
	}
	readers := make([]io.Reader, len(p.parts))
	for i, part := range p.parts {
		readers[i] = bytes.NewReader(part)
	}
	next, err := readReplica(io.MultiReader(readers...))
	switch {
	case errors.Is(err, ErrSnapshotUnknown):
		return fmt.Errorf("%w: %w", ErrEntryUnknown, err)
	case err != nil:
		c.problem = "what is in the archive cannot be restored"
	default:
		c.read, c.problem = next, r.unlike(next, p)
	}
	return nil
}

// incomplete says why the parts are not the whole, or nothing.
func (p *restoring) incomplete(c *RestoreCommit) string {
	if p.have != c.Size {
		return fmt.Sprintf("%d of %d bytes are there", p.have, c.Size)
	}
	h := sha256.New()
	for _, part := range p.parts {
		h.Write(part)
	}
	if !bytes.Equal(h.Sum(nil), c.Hash) {
		return "what has arrived has another hash than was announced"
	}
	return ""
}

// unlike says why an archive does not fit this group, or nothing.
func (r *replica) unlike(a *replica, p *restoring) string {
	own, other := r.group.Load(), a.group.Load()
	switch {
	case other == nil || other.ID != own.ID:
		return "the archive is that of another group"
	case !bytes.Equal(other.Secret, own.Secret) || !bytes.Equal(other.CACert, own.CACert):
		return "the archive has other keys than this group"
	case a.history.Load().current().Number == 0:
		return "there is no configuration in the archive: it is from before the first one"
	case other.Epoch != p.Epoch || a.applied.Load() != p.Index:
		return "the archive is of another epoch or index than was announced"
	}
	// An id that has been given out stands for one instance as long as the group lives: cookies name it, and requests are under way.
	const otherLine = "the archive is from a line of the group's history in which %s %s got the id that %s has here: restore it into a new group ('holdfast backup restore --data-dir')"
	mine, theirs := r.names.Load().refs, a.names.Load().refs
	for i := range min(len(mine), len(theirs)) {
		if mine[i] != theirs[i] {
			return clip(fmt.Sprintf(otherLine, "instance", theirs[i].Instance, mine[i].Instance), maxTextBytes)
		}
	}
	modules, others := r.modules.Load().refs, a.modules.Load().refs
	for i := range min(len(modules), len(others)) {
		if modules[i] != others[i] {
			return clip(fmt.Sprintf(otherLine, "module", others[i].Host+others[i].ContextRoot, modules[i].Host+modules[i].ContextRoot), maxTextBytes)
		}
	}
	return ""
}

// restoreCommit makes the archive's state the successor of this one. From the archive come the assignments with what is known of them, the configuration (as a new revision), registered instances, quiesces,
// schedules, workflows (one that ran is paused) and shares. What is about the group as it is now stays: its keys, access tokens, users, groups of users and roles (what was revoked or removed does not come back), the history of revisions, the ids that
// were given out, the maintenance lock, who holds the addresses, evacuations, what is known of backups and of health, the schema in force, certificates and files (with those of the archive whose names are free), ticket keys, what the ACME client keeps, remembered requests, and the events, with one more.
func (r *replica) restoreCommit(index uint64, c *RestoreCommit) Result {
	if res, refused := r.restoreRefused(c.Lock); refused {
		return res
	}
	p, res := r.underWay(c.ID)
	if p == nil {
		return res
	}
	if c.problem != "" {
		r.setRestoring(nil)
		r.emit(index, Event{Kind: EventRestoreDropped, Actor: p.Actor, Text: fmt.Sprintf("Restore of %s came to nothing: %s", p.Archive, c.problem)})
		return Result{Code: CodeInvalid, Message: c.problem}
	}
	n := c.read
	sessions := n.table.count.Load()
	n.now.Store(max(n.now.Load(), r.now.Load()))
	n.setRestoring(nil) // the archive may be of a moment in which another one was under way
	n.keepIDs(r)
	n.beginEpoch(EpochStart{Epoch: p.Next, Index: p.Index, Line: c.Line}, r.group.Load().Founded())
	n.keepTokens(r)
	reason := ""
	if c.Line != 0 { // schema 3 left it out
		reason = p.Reason
	}
	rev := n.keepHistory(r, index, p, reason)
	n.keepOperating(r, index, rev)
	n.keepEvents(r)
	n.emit(index, Event{Kind: EventRestored, Actor: p.Actor, Text: fmt.Sprintf("Restored from %s, index %d of %s, with %d sessions%s: epoch %d begins, with configuration revision %d%s",
		p.Archive, p.Index, p.Time.UTC().Format("2006-01-02T15:04:05Z"), sessions, by(p.Actor), p.Next, rev.Number, because(p.Reason))})
	n.record = r.record
	r.successor = n
	return Result{Revision: rev.Number}
}

// succeed takes over the requests, among them the one that made the successor.
func (n *replica) succeed(r *replica) {
	for _, q := range n.requests.inOrder() {
		n.items.sub(itemSum(itemRequest, appendRequest(nil, &q)))
	}
	n.requests = r.requests
	for _, q := range n.requests.inOrder() {
		n.items.add(itemSum(itemRequest, appendRequest(nil, &q)))
	}
}

// keepIDs has the ids of both states, of which one is the beginning of the other.
func (n *replica) keepIDs(r *replica) {
	names, modules := n.names.Load(), n.modules.Load()
	more := r.names.Load().refs[min(len(names.refs), len(r.names.Load().refs)):]
	for i, ref := range more {
		n.items.add(itemSum(itemName, appendName(nil, InstanceID(len(names.refs)+i+1), ref)))
	}
	n.names.Store(names.with(more, n.operating.Load().Config))
	moreModules := r.modules.Load().refs[min(len(modules.refs), len(r.modules.Load().refs)):]
	for i, ref := range moreModules {
		n.items.add(itemSum(itemModule, appendModule(nil, ModuleID(len(modules.refs)+i+1), ref)))
	}
	n.modules.Store(modules.with(moreModules))
}

func (n *replica) keepTokens(r *replica) {
	for _, t := range *n.tokens.Load() {
		n.items.sub(itemSum(itemToken, appendToken(nil, &t)))
	}
	n.tokens.Store(r.tokens.Load())
	for _, t := range *n.tokens.Load() {
		n.items.add(itemSum(itemToken, appendToken(nil, &t)))
	}
}

// keepHistory appends the archive's configuration to the history: that of this group, or the archive's where it is longer, as after a loss. So no number ever stands for two configurations.
func (n *replica) keepHistory(r *replica, index uint64, p *restoring, reason string) *Revision {
	theirs, base := n.history.Load(), r.history.Load()
	current := theirs.current()
	if current.Number > base.current().Number {
		base = theirs
	}
	for _, rev := range theirs.revisions {
		n.items.sub(itemSum(itemRevision, appendRevision(nil, rev)))
	}
	rev := &Revision{Number: base.current().Number + 1, Index: index, Time: millis(n.now.Load()), Actor: p.Actor, Message: clip("restored from "+p.Archive+because(reason), maxTextBytes), Config: current.Config, raw: current.raw}
	next, _ := base.with(rev)
	for _, kept := range next.revisions {
		n.items.add(itemSum(itemRevision, appendRevision(nil, kept)))
	}
	n.history.Store(next)
	return rev
}

func (n *replica) keepOperating(r *replica, index uint64, rev *Revision) {
	present := r.operating.Load()
	configured := configuredInstances(n.names.Load(), n.operating.Load().Config)
	n.operate(index, func(o *Operating) {
		o.Revision = rev
		o.Holder, o.Evacuated, o.Backups, o.Lock = present.Holder, present.Evacuated, present.Backups, present.Lock
		o.Revocations = present.Revocations // a node that was removed does not come back
		o.Raised = present.Raised           // a schema that is in force stays so
		o.Access = present.Access           // whoever was removed does not come back
		o.Certificates, o.TicketKeys = restoredCertificates(present.Certificates, o.Certificates, index), present.TicketKeys
		o.Files, o.Uploads = restoredFiles(present, o.Files, index), present.Uploads
		o.ACMEValues, o.ACMELocks, o.ACMEStates = present.ACMEValues, present.ACMELocks, present.ACMEStates // an account of the archive may be closed by now
		o.Verdicts = without(present.Verdicts, func(v *Verdict) bool { return configured[v.Instance] == nil })
		workflows := slices.Clone(o.Workflows)
		for i, w := range workflows {
			if w.State == "running" {
				paused := *w
				paused.State, paused.Version, paused.Updated, paused.Note = "paused", index, millis(n.now.Load()), "the group was restored from an archive in which this ran"
				workflows[i] = &paused
			}
		}
		o.Workflows = workflows
	})
}

func (n *replica) keepEvents(r *replica) {
	for _, e := range *n.events.Load() {
		n.items.sub(itemSum(itemEvent, appendEvent(nil, &e)))
	}
	n.events.Store(r.events.Load())
	for _, e := range *n.events.Load() {
		n.items.add(itemSum(itemEvent, appendEvent(nil, &e)))
	}
}
