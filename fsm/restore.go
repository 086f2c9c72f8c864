package fsm

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
)

// Restore replaces the state by a snapshot, all or nothing: after an error the state is as it was, and readers see the old
// one or the new one. Call it where Apply is called. Everything is checked on the way: frame, CRCs, the hash over all,
// that each item is one that Apply could have made, and the digest of the result. Memory is bounded by the old state plus
// the new one plus a few MiB; no length is believed before the bytes are there.
func (s *State) Restore(in io.Reader) error {
	r, err := readReplica(in)
	if err != nil {
		return fmt.Errorf("restore snapshot: %w", err)
	}
	s.cur.Store(r)
	s.news.tell()
	return nil
}

// readReplica reads a snapshot to its end.
func readReplica(in io.Reader) (*replica, error) {
	r := &restorer{sectionReader: sectionReader{r: in, total: sha256.New()}, r: newReplica(nil)}
	defer r.close()
	if err := r.run(); err != nil {
		return nil, err
	}
	return r.r, nil
}

// restorer builds a replica from sections.
type restorer struct {
	sectionReader
	r     *replica
	last  item
	names *names
	table *tableReader // nil before the first table section

	requests []request
	modules  *modules
	op       Operating // but for Revision and Config
	events   []Event
	index    uint64 // of the snapshot

	lastPlace string // of the store's values so far
}

func (r *restorer) run() error {
	index, now, err := r.fileHeader()
	if err != nil {
		return err
	}
	r.r.now.Store(now)
	r.index = index
	r.names = &names{ids: make(map[InstanceRef]InstanceID)}
	r.modules = &modules{ids: make(map[ModuleRef]ModuleID)}
	for {
		s, err := r.next()
		if err != nil {
			return err
		}
		if s.item == sectionEnd {
			return r.finish(Digest(s.content[:16]))
		}
		if s.item < r.last {
			return fmt.Errorf("%w: section %d after section %d", ErrSnapshotDamaged, s.item, r.last)
		}
		r.last = s.item
		if err := r.section(s); err != nil {
			return err
		}
	}
}

// section adds what is in s to the replica.
func (r *restorer) section(s section) error {
	switch {
	case s.count == 0:
		return fmt.Errorf("%w: section %d is empty", ErrSnapshotDamaged, s.item)
	case s.item == itemSlot && r.old, s.item == sectionTable && !r.old:
		if r.table == nil {
			r.beginTable()
			r.table = &tableReader{t: r.r.table, n: r.r.names.Load(), m: r.modules, at: r.index}
		}
		return r.table.section(s)
	case s.item < itemGroup || s.item > itemRestorePart && s.item < itemRevocation && s.item != itemCertificate && s.item != itemTicketKey || s.item > itemACME || s.item == itemSlot || s.item == itemNow || r.old && s.item > itemSlot:
		return fmt.Errorf("%w: section %d", ErrSnapshotUnknown, s.item)
	}
	p := parser{b: s.content}
	for range s.count {
		b := p.take(uint64(p.u32()))
		if p.bad {
			break
		}
		if err := r.item(s.item, b); errors.Is(err, ErrSnapshotUnknown) {
			return err
		} else if err != nil {
			return fmt.Errorf("%w: section %d: %w", ErrSnapshotDamaged, s.item, err)
		}
		// The parts of Operating are summed up when they are together, decisions in their own way.
		if s.item <= itemModule || s.item == itemEvent || s.item == itemRestoring || s.item == itemRestorePart {
			r.r.items.add(itemSum(s.item, b))
		}
	}
	if !p.done() {
		return fmt.Errorf("%w: section %d: wrong length", ErrSnapshotDamaged, s.item)
	}
	return nil
}

// item adds one rare item. The order and the bounds are those that Apply keeps.
func (r *restorer) item(it item, b []byte) error {
	switch it {
	case itemGroup:
		g, ok := parseGroup(b)
		if !ok || r.r.group.Load() != nil {
			return fmt.Errorf("impossible group")
		}
		r.r.group.Store(g)
	case itemName:
		return r.name(b)
	case itemRevision:
		return r.revision(b)
	case itemToken:
		t, ok := parseToken(b)
		ts := *r.r.tokens.Load()
		if !ok || len(ts) >= maxTokens || len(ts) > 0 && ts[len(ts)-1].ID >= t.ID {
			return fmt.Errorf("impossible token")
		}
		// Nobody else has the list before the replica is published.
		ts = append(ts, t)
		r.r.tokens.Store(&ts)
	case itemRequest:
		req, ok := parseRequest(b)
		if !ok || len(r.requests) >= maxRequests {
			return fmt.Errorf("impossible request")
		}
		r.requests = append(r.requests, req)
	case itemRestoring:
		p, ok := parseRestoring(b)
		if !ok || r.r.restoring.Load() != nil {
			return fmt.Errorf("impossible restore")
		}
		r.r.restoring.Store(p)
	case itemRestorePart:
		if !r.r.restoring.Load().part(b) {
			return fmt.Errorf("impossible part of a restore")
		}
	case itemStored:
		return r.stored(b)
	default:
		return r.operatingItem(it, b)
	}
	return nil
}

func (r *restorer) name(b []byte) error {
	id, ref, ok := parseName(b)
	n := r.names
	if !ok || n.ids[ref] != 0 || len(n.refs) >= maxInstances || id != InstanceID(len(n.refs)+1) {
		return fmt.Errorf("impossible instance id %d", id)
	}
	n.refs = append(n.refs, ref)
	n.ids[ref] = id
	return nil
}

func (r *restorer) revision(b []byte) error {
	rev, err := parseRevision(b)
	if err != nil {
		return err
	}
	h := r.r.history.Load()
	next, forgotten := h.with(rev)
	if rev.Number == 0 || len(h.revisions) > 0 && rev.Number != h.current().Number+1 || len(forgotten) > 0 {
		return fmt.Errorf("impossible revision %d", rev.Number)
	}
	r.r.history.Store(next)
	return nil
}

// beginTable makes the table when all names have been read: a snapshot that is damaged before it costs no table.
func (r *restorer) beginTable() {
	r.r.table = new(table)
	n := r.names
	n.counts = make([]atomic.Int64, len(n.refs))
	r.modules.counts = make([]atomic.Int64, len(r.modules.refs))
	r.r.names.Store(n)
	r.r.modules.Store(r.modules)
}

// finish checks what only the whole can show.
func (r *restorer) finish(want Digest) error {
	if r.table == nil {
		r.beginTable()
	}
	if !r.r.requests.restore(r.requests) {
		return fmt.Errorf("%w: impossible requests", ErrSnapshotDamaged)
	}
	if !r.r.store.recent.settle() {
		return fmt.Errorf("%w: impossible writes", ErrSnapshotDamaged)
	}
	r.r.store.restored(r.index)
	if err := r.finishOperating(); err != nil {
		return fmt.Errorf("%w: %w", ErrSnapshotDamaged, err)
	}
	if got := r.r.digest(); got != want {
		return fmt.Errorf("%w: its state has digest %s, it says %s", ErrSnapshotDamaged, got, want)
	}
	r.r.publish(r.index)
	return nil
}
