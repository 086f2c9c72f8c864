package fsm

import (
	"encoding/binary"
	"maps"
	"slices"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

func TestSlotSize(t *testing.T) {
	if size := unsafe.Sizeof(slot{}); size != 32 {
		t.Fatalf("a slot has %d bytes, want 32", size)
	}
	if size := unsafe.Sizeof(shard{}); size != 64 {
		t.Fatalf("a shard has %d bytes, want 64: one cache line", size)
	}
}

// crowded lists n keys of one shard; the first half have their homes close together at its end, so that probing wraps.
func crowded(n int) []Key {
	var ends, others []Key
	for i := uint64(0); len(ends)+len(others) < n; i++ {
		// Undo hashKey for a second half of zero: mix64 is bijective.
		h := mix64(i) >> shardBits
		if len(ends) < n/2 {
			h = (1<<(64-shardBits) - 1) - i
		}
		var k Key
		binary.LittleEndian.PutUint64(k[:8], unmix64(h))
		if len(ends) < n/2 {
			ends = append(ends, k)
		} else {
			others = append(others, k)
		}
	}
	return append(ends, others...)
}

// unmix64 is the inverse of mix64: the multiplicative inverses modulo 2^64, and a shift by more than half is its own.
func unmix64(x uint64) uint64 {
	inverse := func(a uint64) uint64 {
		y := a
		for range 6 { // Newton: each round doubles the right bits
			y *= 2 - a*y
		}
		return y
	}
	x ^= x >> 33
	x *= inverse(0xc4ceb9fe1a85ec53)
	x ^= x >> 33
	x *= inverse(0xff51afd7ed558ccd)
	x ^= x >> 33
	return x
}

func contents(slots []slot) map[Key]slot {
	out := map[Key]slot{}
	for _, s := range slots {
		if s.instance != 0 {
			out[s.key] = s
		}
	}
	return out
}

// The table against a map, on keys that collide, with snapshots that are held while it changes.
func TestTableAgainstMap(t *testing.T) {
	keys := crowded(64)
	for _, k := range keys {
		if shardOf(hashKey(&k)) != 0 {
			t.Fatal("a key of another shard")
		}
	}
	type held struct {
		shared [][]slot
		want   map[Key]slot
	}
	rapid.Check(t, func(t *rapid.T) {
		tab, model := new(table), map[Key]slot{}
		var snaps []held
		actions := map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				s := slot{key: rapid.SampledFrom(keys).Draw(t, "key"), instance: InstanceID(rapid.IntRange(1, 3).Draw(t, "instance")),
					seen: rapid.Uint32Range(0, 9).Draw(t, "seen"), meta: meta(rapid.Uint64Range(0, 9).Draw(t, "meta"))}
				if sh, i := tab.find(&s.key); i >= 0 {
					tab.update(sh, i, s)
				} else {
					tab.insert(sh, s)
				}
				model[s.key] = s
			},
			"remove": func(t *rapid.T) {
				k := rapid.SampledFrom(keys).Draw(t, "key")
				if sh, i := tab.find(&k); i >= 0 {
					tab.remove(sh, i)
					delete(model, k)
				}
			},
			"expire": func(t *rapid.T) {
				seen := rapid.Uint32Range(0, 10).Draw(t, "until")
				gone := 0
				limits := idleLimits{0, 0, 5000}
				now := int64(SeenEpoch+int64(seen)) * 1000
				before := len(model)
				tab.expire(&tab.shards[0], limits, now, func(*slot) { gone++ })
				maps.DeleteFunc(model, func(_ Key, s slot) bool { return limits.over(&s, now) })
				if gone != before-len(model) {
					t.Fatalf("%d expired, want %d", gone, before-len(model))
				}
			},
			"share": func(t *rapid.T) {
				if len(snaps) < 3 {
					snaps = append(snaps, held{tab.share(), maps.Clone(model)})
				}
			},
			"release": func(t *rapid.T) {
				if len(snaps) > 0 {
					i := rapid.IntRange(0, len(snaps)-1).Draw(t, "snapshot")
					snaps = slices.Delete(snaps, i, i+1)
					tab.release()
				}
			},
			"": func(t *rapid.T) {
				if !maps.Equal(contents(tab.shards[0].slots), model) || int(tab.count.Load()) != len(model) || tab.shards[0].used != len(model) {
					t.Fatalf("table %v\nmodel %v", tab.shards[0].slots, model)
				}
				var want sum
				for _, k := range keys {
					a, ok := tab.lookup(&k)
					s, there := model[k]
					if ok != there || a != s.assignment() {
						t.Fatalf("lookup %v: %v, %v, want %v", k, a, ok, s)
					}
					if there {
						want.add(slotSum(&s))
					}
				}
				if tab.sum != want {
					t.Fatal("the running digest is not the sum over the slots")
				}
				for i, h := range snaps {
					if !maps.Equal(contents(h.shared[0]), h.want) {
						t.Fatalf("snapshot %d has changed", i)
					}
				}
			},
		}
		t.Repeat(actions)
	})
}

// The memory bound: 48 bytes for each assignment at every fill, with what the allocator adds and the shard itself, from 64 assignments in a
// shard on; that is half a million in all.
func TestTableStaysDense(t *testing.T) {
	const slotBytes, shardBytes = int(unsafe.Sizeof(slot{})), int(unsafe.Sizeof(shard{}))
	bytes := map[int]int{}
	real := func(slots int) int {
		if bytes[slots] == 0 {
			// What make([]slot, n) takes from the allocator is what append would let it use.
			bytes[slots] = cap(append([]slot(nil), make([]slot, slots)...)) * slotBytes
		}
		return bytes[slots]
	}
	worst := 0.0
	check := func(how string, slots, n int) {
		t.Helper()
		if n*8 > slots*7 {
			t.Fatalf("%s: %d slots for %d assignments: more than 7/8 full", how, slots, n)
		}
		each := float64(real(slots)+shardBytes) / float64(n)
		if n >= 64 && each > 48 {
			t.Fatalf("%s: %d slots for %d assignments: %.2f bytes each", how, slots, n, each)
		}
		if n >= 64 {
			worst = max(worst, each)
		}
	}
	for n, slots := 1, 0; n < 60_000; n++ {
		if n*8 > slots*7 {
			slots = grown(slots)
		}
		check("grown", slots, n)
		check("fitting", fitting(n), n)
	}
	t.Logf("at most %.2f bytes for each assignment", worst)
}

// Every size that a shard can have fills what the allocator gives for it.
func TestSlotSizesFillTheAllocatorsClasses(t *testing.T) {
	for _, n := range append(slotSizes[:], 5*slotsOfPage, 33*slotsOfPage) {
		if c := cap(append([]slot(nil), make([]slot, n)...)); c != n {
			t.Errorf("%d slots: the allocator has room for %d", n, c)
		}
	}
}

func TestTableShrinks(t *testing.T) {
	tab := new(table)
	sh := &tab.shards[0]
	for i, k := range crowded(1000) {
		tab.insert(sh, slot{key: k, instance: 1, seen: uint32(i)})
	}
	tab.expire(sh, idleLimits{0}, (SeenEpoch+989)*1000, func(*slot) {})
	if sh.used != 10 || len(sh.slots) > 2*minSlots {
		t.Fatalf("%d assignments in %d slots", sh.used, len(sh.slots))
	}
}

func TestScan(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.configure(testCluster("c", 0, "i1", "i2", "i3"))
	const total = 5000
	fillSessions(t, r, 0, total, 3)
	for _, limit := range []int{-1, 0, 1, 7, 100, total, total + 1} {
		seen := map[Key]bool{}
		for cursor, pages := uint64(0), 0; ; pages++ {
			page, next := r.s.Scan(cursor, limit, nil)
			if len(page) > max(limit, 1) {
				t.Fatalf("limit %d: a page of %d", limit, len(page))
			}
			for _, e := range page {
				if a, ok := r.s.Lookup(e.Key); !ok || a != e.Assignment || seen[e.Key] {
					t.Fatalf("limit %d: %v twice or wrong", limit, e)
				}
				seen[e.Key] = true
			}
			if next == 0 {
				break
			}
			if next <= cursor || pages > total {
				t.Fatalf("limit %d: the cursor does not rise", limit)
			}
			cursor = next
		}
		if len(seen) != total {
			t.Fatalf("limit %d: %d of %d", limit, len(seen), total)
		}
	}
	some, next := r.s.Scan(0, total, func(_ Key, a Assignment) bool { return a.Instance == 2 })
	if len(some) != r.s.Sessions(2) || next != 0 {
		t.Fatalf("%d of instance 2, want %d; cursor %d", len(some), r.s.Sessions(2), next)
	}
}

// What is there from beginning to end of a walk is met exactly once, though shards grow, shrink and shift meanwhile.
func TestScanWhileChanging(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.configure(testCluster("c", 0, "i1"))
	const stay = 2000
	fillSessions(t, r, 0, stay, 1)
	met := map[Key]int{}
	come := stay
	for cursor := uint64(0); ; {
		page, next := r.s.Scan(cursor, 50, nil)
		for _, e := range page {
			met[e.Key]++
		}
		if cursor = next; cursor == 0 {
			break
		}
		fillSessions(t, r, come, come+60, 1)
		var drops []SessionOp
		for n := come - 50; n < come; n++ {
			if n >= stay {
				drops = append(drops, SessionOp{Kind: OpDrop, Key: testKey(n)})
			}
		}
		r.ops(drops...)
		come += 60
	}
	for n := range stay {
		if met[testKey(n)] != 1 {
			t.Fatalf("assignment %d met %d times", n, met[testKey(n)])
		}
	}
}

// Two keys of one hash stay on one page.
func TestScanEqualHashes(t *testing.T) {
	tab := new(table)
	var a, b Key
	binary.LittleEndian.PutUint64(a[:8], 12345)
	binary.LittleEndian.PutUint64(b[8:], 1)
	step := uint64(0x9e3779b97f4a7c15)
	binary.LittleEndian.PutUint64(b[:8], 12345-step)
	if hashKey(&a) != hashKey(&b) {
		t.Fatal("the hashes differ")
	}
	for _, k := range []Key{a, b} {
		sh, _ := tab.find(&k)
		tab.insert(sh, slot{key: k, instance: 1})
	}
	page, next := tab.scan(0, 1, nil)
	if len(page) != 2 || next != 0 && len(firstOf(tab.scan(next, 1, nil))) != 0 {
		t.Fatalf("%v, cursor %d", page, next)
	}
}

func firstOf(page []Entry, _ uint64) []Entry { return page }
