package fsm

import (
	"encoding/binary"
	"math/bits"
	"sync"
	"sync/atomic"
)

// Shards is how many parts the assignment table has; Expire commands name them by number, 0 to Shards-1.
const Shards = 1 << shardBits

const shardBits = 13

// slot is one assignment in the table: 32 bytes, no pointer, so the garbage collector never looks inside. It is free when
// instance is 0.
type slot struct {
	key      Key
	instance InstanceID
	seen     uint32
	meta     meta
}

func (s *slot) assignment() Assignment {
	return Assignment{Instance: s.instance, Seen: s.seen, Module: s.meta.module(), Reason: s.meta.reason(), Index: s.meta.index()}
}

// table holds all assignments. One writer; readers on any goroutine; a snapshot is the shards' slices as they are, and the
// writer copies a shard at its first change after it.
type table struct {
	shards [Shards]shard
	count  atomic.Int64
	// live counts the snapshots that may still read slices of this table.
	live atomic.Int32
	// gen is raised by each snapshot; a shard of an older gen is shared with one. Only the writer uses it.
	gen uint64
	// sum is the digest of all slots. Only the writer uses it.
	sum sum
}

// shard is one part of the table: open addressing with linear probing. mu guards what readers see; the writer, being alone,
// reads without it and locks only while it changes something.
type shard struct {
	mu    sync.RWMutex
	slots []slot
	used  int
	gen   uint64
}

// hashKey places a key: the top shardBits are the shard, the others the home slot in it. It is part of the snapshot
// format, in which entries stand by shard. Keys are keyed hashes already; the mixing only keeps regular ones apart.
func hashKey(k *Key) uint64 {
	a := binary.LittleEndian.Uint64(k[:8])
	b := binary.LittleEndian.Uint64(k[8:])
	return mix64(a + b*0x9e3779b97f4a7c15)
}

func shardOf(h uint64) uint32 { return uint32(h >> (64 - shardBits)) }

// home is the slot at which the search for a hash begins among n: multiply-shift, so n need not be a power of two
// (Lemire, "Fast random integer generation in an interval", 2019).
func home(h uint64, n int) int {
	hi, _ := bits.Mul64(h<<shardBits, uint64(n))
	return int(hi)
}

// search finds a key among slots: its place, or -1.
func search(slots []slot, h uint64, k *Key) int {
	if len(slots) == 0 {
		return -1
	}
	// Ends because at least one slot in eight is free.
	for i := home(h, len(slots)); ; {
		s := &slots[i]
		if s.instance == 0 {
			return -1
		}
		if s.key == *k {
			return i
		}
		if i++; i == len(slots) {
			i = 0
		}
	}
}

// lookup is for readers, on any goroutine.
func (t *table) lookup(k *Key) (Assignment, bool) {
	h := hashKey(k)
	sh := &t.shards[shardOf(h)]
	sh.mu.RLock()
	var a Assignment
	i := search(sh.slots, h, k)
	if i >= 0 {
		a = sh.slots[i].assignment()
	}
	sh.mu.RUnlock()
	return a, i >= 0
}

// find is for the writer: the key's shard and its place there, or -1.
func (t *table) find(k *Key) (*shard, int) {
	h := hashKey(k)
	sh := &t.shards[shardOf(h)]
	return sh, search(sh.slots, h, k)
}

// insert adds a key that find has not found.
func (t *table) insert(sh *shard, s slot) {
	if (sh.used+1)*8 > len(sh.slots)*7 {
		t.resize(sh, grown(len(sh.slots)))
	} else {
		t.own(sh)
	}
	sh.mu.Lock()
	place(sh.slots, &s)
	sh.used++
	sh.mu.Unlock()
	t.count.Add(1)
	t.sum.add(slotSum(&s))
}

// update changes the assignment at i; the key stays.
func (t *table) update(sh *shard, i int, next slot) {
	t.own(sh)
	s := &sh.slots[i]
	t.sum.sub(slotSum(s))
	sh.mu.Lock()
	s.instance, s.seen, s.meta = next.instance, next.seen, next.meta
	sh.mu.Unlock()
	t.sum.add(slotSum(s))
}

// remove takes the assignment at i out.
func (t *table) remove(sh *shard, i int) {
	t.own(sh)
	t.sum.sub(slotSum(&sh.slots[i]))
	sh.mu.Lock()
	unplace(sh.slots, i)
	sh.used--
	sh.mu.Unlock()
	t.count.Add(-1)
}

// place puts s into the first free slot from its home on. There is one.
func place(slots []slot, s *slot) {
	i := home(hashKey(&s.key), len(slots))
	for slots[i].instance != 0 {
		if i++; i == len(slots) {
			i = 0
		}
	}
	slots[i] = *s
}

// unplace frees slot i and closes the gap by moving back what a search would no longer reach (Knuth, TAOCP 3, 6.4,
// algorithm R): no tombstones, so a table with much coming and going stays as fast as a fresh one.
func unplace(slots []slot, i int) {
	n := len(slots)
	for j := i; ; {
		if j++; j == n {
			j = 0
		}
		if slots[j].instance == 0 {
			break
		}
		// The slot at j may move to i unless its home lies cyclically in (i, j].
		k := home(hashKey(&slots[j].key), n)
		if (i < j && i < k && k <= j) || (i > j && (i < k || k <= j)) {
			continue
		}
		slots[i] = slots[j]
		i = j
	}
	slots[i] = slot{}
}
