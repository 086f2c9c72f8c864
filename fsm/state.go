package fsm

import (
	"sync"
	"sync/atomic"
	"time"
)

// State is one node's copy of the replicated state. See the package documentation for who may call what.
type State struct {
	// cur is replaced as a whole by Restore, so that readers see the old state or the new one.
	cur atomic.Pointer[replica]
	// news tells who waits for changes of the store.
	news news
}

// replica is the state proper. Writers: Apply, Advance and Snapshot, on one goroutine. What readers use is atomic, an
// immutable value behind an atomic pointer, or under a lock.
type replica struct {
	applied   atomic.Uint64
	now       atomic.Int64 // replicated time, Unix milliseconds
	table     *table
	names     atomic.Pointer[names]
	history   atomic.Pointer[history]
	group     atomic.Pointer[Group]
	tokens    atomic.Pointer[tokens]
	operating atomic.Pointer[Operating]
	modules   atomic.Pointer[modules]
	events    atomic.Pointer[[]Event]
	decisions decisions
	restoring atomic.Pointer[restoring]
	store     store

	// The writer's own.
	requests requests
	items    sum   // digest of everything but the table, the parts and the time
	parts    parts // digests of operating
	record   CheckpointRecord
	points   points
	// successor takes this replica's place with the entry that made it; nil: there is none.
	successor *replica

	published published
}

// published is what must be read together: the digest is that of index.
type published struct {
	mu         sync.Mutex
	index      uint64
	now        int64
	sum        sum
	checkpoint CheckpointRecord
}

// New returns the empty state, in which nothing has been applied.
func New() *State {
	s := new(State)
	s.cur.Store(newReplica(new(table)))
	return s
}

func newReplica(t *table) *replica {
	r := &replica{table: t}
	r.names.Store(new(names))
	r.history.Store(new(history))
	r.tokens.Store(new(tokens))
	r.modules.Store(new(modules))
	r.events.Store(new([]Event))
	r.operating.Store(&Operating{Revision: revisionZero, Config: revisionZero.Config})
	return r
}

// publish makes index visible; all changes of its entry are.
func (r *replica) publish(index uint64) {
	p := &r.published
	p.mu.Lock()
	p.index, p.now, p.sum, p.checkpoint = index, r.now.Load(), r.sum(), r.record
	p.mu.Unlock()
	r.applied.Store(index)
}

func (r *replica) sum() sum {
	s := r.items
	s.add(r.table.sum)
	s.add(r.parts.total())
	s.add(r.store.sum)
	return s
}

func (r *replica) digest() Digest { return r.sum().digest(r.now.Load()) }

// Applied is the index of the last applied entry, 0 for none. What a reader looks up afterwards is at least as new.
func (s *State) Applied() uint64 { return s.cur.Load().applied.Load() }

// Now is the replicated time, in whole milliseconds, UTC; the zero time before the first command.
func (s *State) Now() time.Time { return millis(s.cur.Load().now.Load()) }

// Lookup finds the assignment of a session. It does not allocate.
func (s *State) Lookup(k Key) (Assignment, bool) { return s.cur.Load().table.lookup(&k) }

// Len is the number of assignments.
func (s *State) Len() int { return int(s.cur.Load().table.count.Load()) }

// Sessions is the number of assignments of an instance; 0 for an id that was never given out.
func (s *State) Sessions(id InstanceID) int { return s.cur.Load().names.Load().sessions(id) }

// Scan walks over all assignments in pages of limit (at least 1; two keys of one hash are never parted, so a page may be
// one longer). It starts with cursor 0 and goes on with the cursor that it returned, until that is 0. keep chooses, nil
// takes all; it is called without any lock. An assignment that exists during the whole walk is met exactly once; one that
// comes or goes meanwhile may be met or not.
func (s *State) Scan(cursor uint64, limit int, keep func(Key, Assignment) bool) ([]Entry, uint64) {
	return s.cur.Load().table.scan(cursor, limit, keep)
}

// Revision is the current configuration, never nil: before the first one it is revision 0, the empty configuration.
func (s *State) Revision() *Revision { return s.cur.Load().history.Load().current() }

// Revisions is the configuration history, oldest first, the current one last: at most MaxRevisions, fewer when they are
// very large. The slice is the caller's.
func (s *State) Revisions() []*Revision {
	return append([]*Revision(nil), s.cur.Load().history.Load().revisions...)
}

// Group is what the group's nodes share, nil before GroupInit. It must not be changed.
func (s *State) Group() *Group { return s.cur.Load().group.Load() }

// InstanceID is the id of an instance that is or was configured.
func (s *State) InstanceID(cluster, instance string) (InstanceID, bool) {
	id, ok := s.cur.Load().names.Load().ids[InstanceRef{cluster, instance}]
	return id, ok
}

// InstanceRef names the instance of an id, also of one that is configured no more.
func (s *State) InstanceRef(id InstanceID) (InstanceRef, bool) {
	n := s.cur.Load().names.Load()
	if !n.known(id) {
		return InstanceRef{}, false
	}
	return n.refs[id-1], true
}

// Tokens lists the tokens by id. The slice is the caller's, what its elements point to is not.
func (s *State) Tokens() []Token { return append([]Token(nil), *s.cur.Load().tokens.Load()...) }

// TokenByID finds one token.
func (s *State) TokenByID(id string) (Token, bool) {
	ts := *s.cur.Load().tokens.Load()
	i, ok := ts.find(id)
	if !ok {
		return Token{}, false
	}
	return ts[i], true
}

// Digest is the digest of everything replicated, as of Applied.
func (s *State) Digest() Digest {
	_, d := s.DigestAt()
	return d
}

// DigestAt is the digest together with the index that it belongs to: equal indexes must have equal digests on all nodes.
func (s *State) DigestAt() (index uint64, d Digest) {
	p := &s.cur.Load().published
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.index, p.sum.digest(p.now)
}

// Checkpoint is what this replica noted at the last checkpoint entry; zero before the first one and after Restore.
func (s *State) Checkpoint() CheckpointRecord {
	p := &s.cur.Load().published
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.checkpoint
}
