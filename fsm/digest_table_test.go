package fsm

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestShardsSayWhichSessionDiffers: among 200,000 sessions one differs, in each way that one can.
func TestShardsSayWhichSessionDiffers(t *testing.T) {
	fill := func() *replicaUnderTest {
		r := newReplicaUnderTest(t)
		r.configure(testCluster("c", time.Hour, "i1", "i2"))
		fillSessions(t, r, 0, 20_000, 2)
		return r
	}
	base := fill().s.Snapshot()
	for name, change := range map[string]SessionOp{
		"missing": {Kind: OpDrop, Key: testKey(7_777)},
		"more":    {Kind: OpAssign, Key: testKey(20_001), Instance: 2, Reason: ReasonPolicy},
		"moved":   {Kind: OpMove, Key: testKey(5), Instance: 1, Expect: 2},
		"touched": {Kind: OpTouch, Key: testKey(5)},
	} {
		t.Run(name, func(t *testing.T) {
			r := fill()
			r.now = r.now.Add(time.Minute)
			if res := r.ops(change); res[0].Code != CodeOK {
				t.Fatalf("%+v", res)
			}
			other := r.s.Snapshot()
			shards, err := DifferentShards(base.ShardDigests(), other.ShardDigests())
			if err != nil || len(shards) != 1 {
				t.Fatalf("shards %v, %v", shards, err)
			}
			d, n := FirstDifference(base.ShardEntries(shards[0]), other.ShardEntries(shards[0]))
			here, _ := restored(t, snapshotOf(t, base)).Lookup(change.Key)
			there, _ := r.s.Lookup(change.Key)
			if n != 1 || d.Key != change.Key || d.Here != here || d.Others != there || d.Here == d.Others {
				t.Errorf("%d differ, the first: %+v, want %+v and %+v", n, d, here, there)
			}
		})
	}
}

func snapshotOf(t *testing.T, s *Snapshot) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := s.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestFirstDifferenceAgainstMaps(t *testing.T) {
	entries := func(m map[byte]uint32) (list []Entry) {
		for k, v := range m {
			list = append(list, Entry{Key{k}, Assignment{Instance: InstanceID(v)}})
		}
		slices.SortFunc(list, func(a, b Entry) int { return cmp.Compare(a.Key[0], b.Key[0]) })
		return list
	}
	rapid.Check(t, func(t *rapid.T) {
		draw := rapid.MapOfN(rapid.ByteRange(0, 9), rapid.Uint32Range(1, 2), 0, 8)
		a, b := draw.Draw(t, "a"), draw.Draw(t, "b")
		want, n := EntryDifference{}, 0
		for k := range byte(10) {
			if x, y := a[k], b[k]; x != y {
				if n++; n == 1 {
					want = EntryDifference{Key{k}, Assignment{Instance: InstanceID(x)}, Assignment{Instance: InstanceID(y)}}
				}
			}
		}
		got, count := FirstDifference(entries(a), entries(b))
		if got != want || count != n || maps.Equal(a, b) != (count == 0) {
			t.Fatalf("%v %v: %+v of %d, want %+v of %d", a, b, got, count, want, n)
		}
	})
}

func TestDifferentShardsRefusesOtherSizes(t *testing.T) {
	good := New().Snapshot().ShardDigests()
	for _, bad := range [][]byte{nil, good[:len(good)-1], append(slices.Clone(good), 0)} {
		if _, err := DifferentShards(good, bad); err == nil {
			t.Errorf("%d bytes were accepted", len(bad))
		}
	}
}

// FuzzParseEntries: what is accepted is what AppendEntries writes.
func FuzzParseEntries(f *testing.F) {
	s := everything(f).s.Snapshot()
	for i := range uint32(Shards) {
		if list := s.ShardEntries(i); len(list) > 0 {
			f.Add(AppendEntries(nil, list))
		}
	}
	f.Add([]byte{})
	f.Add(make([]byte, entrySize))
	f.Add(make([]byte, entrySize+1))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := ParseEntries(b)
		if err != nil {
			return
		}
		if again := AppendEntries(nil, list); !bytes.Equal(again, b) {
			t.Fatalf("%x is written as %x", b, again)
		}
		for i := 1; i < len(list); i++ {
			if slices.Compare(list[i-1].Key[:], list[i].Key[:]) >= 0 {
				t.Fatal("keys do not rise")
			}
		}
	})
}
