package fsm

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// Content of a table section, in columns because that compresses better:
//
//	shards     u32, how many parts follow
//	part       u32 shard number, u32 how many assignments; numbers rise, the first may go on with the last of the section before
//	keys       16 bytes for each assignment
//	instances  u32 for each
//	seen       u32 for each
//	meta       u64 for each; u32, and all zero, in itemSlot of version 1
const (
	partSize = 8
	rowSize  = 16 + 4 + 4 + 8
)

// tableWriter gathers assignments until they make a section.
type tableWriter struct {
	w                           *sectionWriter
	parts                       []byte
	shards, count               uint32
	keys, instances, seen, meta []byte
	content                     []byte
}

// shard adds the assignments among slots.
func (t *tableWriter) shard(number uint32, slots []slot) {
	part := len(t.parts)
	var n uint32
	for i := range slots {
		s := &slots[i]
		if s.instance == 0 {
			continue
		}
		if n == 0 {
			part = len(t.parts)
			t.parts = appendU32(appendU32(t.parts, number), 0)
			t.shards++
		}
		n++
		binary.LittleEndian.PutUint32(t.parts[part+4:], n)
		t.keys = append(t.keys, s.key[:]...)
		t.instances = appendU32(t.instances, uint32(s.instance))
		t.seen = appendU32(t.seen, s.seen)
		t.meta = appendU64(t.meta, uint64(s.meta))
		if t.count++; t.count*rowSize >= sectionTarget {
			t.flush()
			n = 0
		}
	}
}

// flush writes what has been gathered.
func (t *tableWriter) flush() {
	if t.count == 0 {
		return
	}
	b := appendU32(t.content[:0], t.shards)
	b = append(b, t.parts...)
	b = append(b, t.keys...)
	b = append(b, t.instances...)
	b = append(b, t.seen...)
	b = append(b, t.meta...)
	t.w.section(sectionTable, t.count, b)
	t.content, t.parts, t.shards, t.count = b, t.parts[:0], 0, 0
	t.keys, t.instances, t.seen, t.meta = t.keys[:0], t.instances[:0], t.seen[:0], t.meta[:0]
}

// tableReader fills a table from sections.
type tableReader struct {
	t    *table
	n    *names
	m    *modules
	at   uint64 // the index of the snapshot
	next uint32 // the lowest shard that may come next
}

// columns are those of one section, cut at the next assignment to read. meta is nil in version 1.
type columns struct{ keys, instances, seen, meta []byte }

func (c *columns) next() slot {
	s := slot{
		key:      Key(c.keys[:16]),
		instance: InstanceID(binary.LittleEndian.Uint32(c.instances)),
		seen:     binary.LittleEndian.Uint32(c.seen),
	}
	c.keys, c.instances, c.seen = c.keys[16:], c.instances[4:], c.seen[4:]
	if c.meta != nil {
		s.meta, c.meta = meta(binary.LittleEndian.Uint64(c.meta)), c.meta[8:]
	}
	return s
}

func (r *tableReader) section(s section) error {
	p := parser{b: s.content}
	shards := uint64(p.u32())
	parts := p.take(shards * partSize)
	n := uint64(s.count)
	c := columns{keys: p.take(n * 16), instances: p.take(n * 4), seen: p.take(n * 4)}
	zero := true
	if s.item == itemSlot {
		zero = !slices.ContainsFunc(p.take(n*4), func(b byte) bool { return b != 0 })
	} else {
		c.meta = p.take(n * 8)
	}
	if !p.done() || !zero {
		return fmt.Errorf("%w: table section: wrong length", ErrSnapshotDamaged)
	}
	left := s.count
	for ; len(parts) > 0; parts = parts[partSize:] {
		number, count := binary.LittleEndian.Uint32(parts), binary.LittleEndian.Uint32(parts[4:])
		if number >= Shards || number < r.next || count == 0 || count > left {
			return fmt.Errorf("%w: table section: shard %d with %d assignments", ErrSnapshotDamaged, number, count)
		}
		left -= count
		r.next = number + 1
		if err := r.part(number, int(count), &c); err != nil {
			return err
		}
	}
	if left != 0 {
		return fmt.Errorf("%w: table section: %d assignments of no shard", ErrSnapshotDamaged, left)
	}
	if r.next > 0 {
		r.next-- // the next section may go on with this one's last shard
	}
	return nil
}

// part reads count assignments of one shard. Each must be one that Apply could have made.
func (r *tableReader) part(number uint32, count int, c *columns) error {
	sh := &r.t.shards[number]
	if n := fitting(sh.used + count); n > len(sh.slots) {
		r.t.resize(sh, n)
	}
	for range count {
		s := c.next()
		owner, i := r.t.find(&s.key)
		if owner != sh || i >= 0 || !r.n.known(s.instance) || !s.meta.possible(r.m, r.at) {
			return fmt.Errorf("%w: assignment %s in shard %d", ErrSnapshotDamaged, s.key, number)
		}
		r.t.insert(sh, s)
		r.n.count(s.instance, 1)
		r.m.count(s.meta.module(), 1)
	}
	return nil
}
