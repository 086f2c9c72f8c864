package fsm

import (
	"cmp"
	"slices"
)

// scanned is an entry with its place in the order of a scan.
type scanned struct {
	hash uint64
	Entry
}

// scan returns entries in the order of their hashes, from hash cursor on. The order does not depend on how a shard is laid
// out, so an assignment that exists during the whole walk is met exactly once, whatever else comes and goes.
func (t *table) scan(cursor uint64, limit int, keep func(Key, Assignment) bool) ([]Entry, uint64) {
	limit = max(limit, 1)
	var out []Entry
	var part []scanned
	for n := shardOf(cursor); n < Shards; n++ {
		part = t.shards[n].from(cursor, part[:0])
		for i := range part {
			// Two keys with one hash stay on one page: the cursor could not tell them apart.
			if len(out) >= limit && (i == 0 || part[i].hash != part[i-1].hash) {
				return out, part[i].hash
			}
			if keep == nil || keep(part[i].Key, part[i].Assignment) {
				out = append(out, part[i].Entry)
			}
		}
		if len(out) >= limit && n+1 < Shards {
			return out, uint64(n+1) << (64 - shardBits)
		}
	}
	return out, 0
}

// from appends the shard's entries with a hash of at least low to buf, sorted.
func (sh *shard) from(low uint64, buf []scanned) []scanned {
	sh.mu.RLock()
	for i := range sh.slots {
		s := &sh.slots[i]
		if s.instance == 0 {
			continue
		}
		if h := hashKey(&s.key); h >= low {
			buf = append(buf, scanned{h, Entry{s.key, s.assignment()}})
		}
	}
	sh.mu.RUnlock()
	slices.SortFunc(buf, func(a, b scanned) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), slices.Compare(a.Key[:], b.Key[:]))
	})
	return buf
}
