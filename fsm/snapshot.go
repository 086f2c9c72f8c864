package fsm

import (
	"fmt"
	"io"
	"sync/atomic"
)

// Snapshot is the state as it was at one index. Taking it copies no assignment; while it is held, the writer copies a
// shard before it changes it for the first time.
type Snapshot struct {
	index    uint64
	now      int64
	digest   Digest
	group    *Group
	refs     []InstanceRef
	history  *history
	tokens   tokens
	requests []request
	shards   [][]slot

	modules   []ModuleRef
	operating *Operating
	events    []Event
	decisions []decision
	restoring *restoring
	store     *storeTree
	recent    []recentWrite
	sum       sum
	fetch     func(*Stored) ([]byte, error) // see Whole

	table    *table
	released atomic.Bool
}

// Snapshot takes the state at Applied. Call it where Apply is called; the Snapshot may then be written on any goroutine,
// beside further Applies. It costs O(Shards), whatever the number of assignments.
func (s *State) Snapshot() *Snapshot {
	r := s.cur.Load()
	return &Snapshot{
		index:    r.applied.Load(),
		now:      r.now.Load(),
		digest:   r.digest(),
		group:    r.group.Load(),
		refs:     r.names.Load().refs,
		history:  r.history.Load(),
		tokens:   *r.tokens.Load(),
		requests: r.requests.inOrder(),
		shards:   r.table.share(),
		table:    r.table,

		modules:   r.modules.Load().refs,
		operating: r.operating.Load(),
		events:    *r.events.Load(),
		decisions: r.decisions.last(),
		restoring: r.restoring.Load(),
		store:     r.store.root.Load(),
		recent:    r.store.recent.inOrder(),
		sum:       r.sum(),
	}
}

// Index is the index of the last entry that is in the snapshot.
func (s *Snapshot) Index() uint64 { return s.index }

// Digest is the digest of the state in the snapshot.
func (s *Snapshot) Digest() Digest { return s.digest }

// Release lets go of the table; call it once WriteTo has returned. A second call does nothing.
func (s *Snapshot) Release() {
	if s.released.CompareAndSwap(false, true) {
		s.table.release()
	}
}

// WriteTo writes the snapshot (snapshot_format.go) and returns how many bytes that were. Not after Release.
func (s *Snapshot) WriteTo(out io.Writer) (int64, error) {
	if s.released.Load() {
		panic("BUG: snapshot written after its release")
	}
	w := newSectionWriter(out)
	w.fileHeader(s.index, s.now)
	s.writeItems(w)
	t := tableWriter{w: w}
	for i, slots := range s.shards {
		t.shard(uint32(i), slots)
		if w.err != nil {
			break
		}
	}
	t.flush()
	s.writeHolder(&listWriter{w: w})
	if s.fetch != nil {
		s.digest = s.sum.digest(s.now)
	}
	w.end(s.digest)
	if w.enc != nil {
		// Without a stream there is nothing to flush; this ends the encoder.
		_ = w.enc.Close()
	}
	if w.err != nil {
		return w.n, fmt.Errorf("write snapshot %d: %w", s.index, w.err)
	}
	return w.n, nil
}

func (s *Snapshot) writeItems(w *sectionWriter) {
	l := listWriter{w: w}
	if s.group != nil {
		l.add(itemGroup, appendGroup(nil, s.group))
	}
	l.flush()
	for i, ref := range s.refs {
		l.add(itemName, appendName(nil, InstanceID(i+1), ref))
	}
	l.flush()
	for _, rev := range s.history.revisions {
		l.add(itemRevision, appendRevision(nil, rev))
	}
	l.flush()
	for i := range s.tokens {
		l.add(itemToken, appendToken(nil, &s.tokens[i]))
	}
	l.flush()
	for i := range s.requests {
		l.add(itemRequest, appendRequest(nil, &s.requests[i]))
	}
	l.flush()
	for i, ref := range s.modules {
		l.add(itemModule, appendModule(nil, ModuleID(i+1), ref))
	}
	l.flush()
	s.writeOperating(&l)
	addAll(&l, itemEvent, s.events, appendEvent)
	addAll(&l, itemDecision, s.decisions, appendDecision)
}

func (s *Snapshot) writeOperating(l *listWriter) {
	o := s.operating
	if o.ownIndex() {
		l.add(itemOperating, appendU64(nil, o.Index))
		l.flush()
	}
	addAll(l, itemQuiesce, o.Quiesces, appendQuiesce)
	if o.Lock != nil {
		l.add(itemLock, appendLock(nil, o.Lock))
		l.flush()
	}
	addAll(l, itemVerdict, o.Verdicts, appendVerdict)
	addAll(l, itemRegistration, o.Registered, appendRegistration)
	addAll(l, itemSchedule, o.Schedules, appendSchedule)
	addAll(l, itemWorkflow, o.Workflows, appendWorkflow)
	addAll(l, itemShare, o.Shares, appendShare)
}

// writeHolder writes what is behind the table: its items have higher numbers than the table's sections.
func (s *Snapshot) writeHolder(l *listWriter) {
	if h := s.operating.Holder; h != nil {
		l.add(itemHolder, appendHolder(nil, h))
		l.flush()
	}
	addAll(l, itemEvacuation, s.operating.Evacuated, appendEvacuation)
	if b := s.operating.Backups; b != nil {
		l.add(itemBackups, appendBackups(nil, b))
		l.flush()
	}
	if p := s.restoring; p != nil {
		l.add(itemRestoring, appendRestoring(nil, &p.Restoring))
		l.flush()
		at := uint64(0)
		for _, part := range p.parts {
			l.add(itemRestorePart, appendRestorePart(nil, at, part))
			l.flush()
			at += uint64(len(part))
		}
	}
	s.writeTLS(l)
	addAll(l, itemRevocation, s.operating.Revocations, appendRevocation)
	if x := s.operating.Raised; x != nil {
		l.add(itemRaised, appendRaised(nil, x))
		l.flush()
	}
	s.writeAccess(l)
	s.writeStore(l)
	addAll(l, itemFile, s.operating.Files, appendFile)
	addAll(l, itemFile, s.operating.Uploads, appendFile)
	s.writeACME(l)
}

// addAll writes a whole list.
func addAll[T any](l *listWriter, it item, list []T, canonical func([]byte, *T) []byte) {
	var b []byte
	for i := range list {
		b = canonical(b[:0], &list[i])
		l.add(it, b)
	}
	l.flush()
}

// listWriter gathers the canonical forms of one kind of item until they make a section.
type listWriter struct {
	w       *sectionWriter
	item    item
	count   uint32
	content []byte
}

func (l *listWriter) add(it item, canonical []byte) {
	if l.count > 0 && len(l.content)+len(canonical) > sectionTarget {
		l.flush()
	}
	l.item = it
	l.count++
	l.content = appendBytes(l.content, canonical)
}

func (l *listWriter) flush() {
	if l.count > 0 {
		l.w.section(l.item, l.count, l.content)
	}
	l.count, l.content = 0, l.content[:0]
}
