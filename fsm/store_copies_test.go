package fsm

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// copyOf is a value of some bytes that n1 and n2 keep.
func copyOf(data string) Copy {
	return Copy{Hash: sha256.Sum256([]byte(data)), Size: uint32(len(data)), Holders: []string{"n1/a", "n2/b"}}
}

func (r *replicaUnderTest) putCopy(k StoreKey, data string, edit ...func(*StoreCopy)) Result {
	r.t.Helper()
	c := &StoreCopy{StoreKey: k, Type: "text/plain", Copy: copyOf(data), Taken: r.now}
	for _, e := range edit {
		e(c)
	}
	return r.do(c)
}

// TestStoreCopies: TC-28. The state has what a value must be and who has it; all else is as with any other value.
func TestStoreCopies(t *testing.T) {
	r := stored(t, testStore())
	for _, k := range []StoreKey{kv("a"), ofSession(1)} {
		res := r.putCopy(k, "hello", func(c *StoreCopy) { c.If = IfAbsent })
		v := r.s.Stored(k)
		if v == nil || v.Copy == nil || v.Copy.Hash != sha256.Sum256([]byte("hello")) || v.Size() != 5 || len(v.Data) != 0 || v.Version != res.Version || !res.Created {
			t.Fatalf("%+v, %+v", v, res)
		}
		r.wantCode(r.putCopy(k, "x", func(c *StoreCopy) { c.If = IfAbsent }), CodeConflict, "")
		second := r.putCopy(k, "hello, world", func(c *StoreCopy) { c.If, c.Version = IfVersion, res.Version })
		r.wantCode(second, CodeOK, "")
		r.wantCode(r.do(&StoreSplice{StoreKey: k, Version: second.Version, Insert: []byte("x")}), CodeInvalid, "not in the log")
		r.survives()
	}
	if list, values, lost := r.s.StoreHoldings(); len(list) != 2 || list[0] != (StoreHolding{"n1/a", 2, 24}) || list[1].ID != "n2/b" || values != 2 || lost != 0 {
		t.Errorf("%+v, %d, %d", list, values, lost)
	}
	r.put(kv("a"), "in the log") // both kinds replace each other
	r.wantStored(kv("a"), "in the log")
	r.putCopy(kv("a"), "beside it")
	r.wantCode(r.do(&StoreDelete{StoreKey: kv("a")}), CodeOK, "")
	r.wantCode(r.do(&StoreClear{Space: SpaceSessions, Module: 1, Actor: "me"}), CodeOK, "")
	if list, values, _ := r.s.StoreHoldings(); len(list) != 0 || values != 0 {
		t.Errorf("%+v, %d are left", list, values)
	}
	r.survives()
}

// TestStoreCopiesBounds: the bounds of a module count the bytes wherever they are.
func TestStoreCopiesBounds(t *testing.T) {
	r := stored(t, &config.Store{KV: true, Copies: config.CopiesTwo, MaxValue: 1000, MaxBytes: 5000})
	r.wantCode(r.putCopy(kv("a"), strings.Repeat("x", 1001)), CodeInvalid, "1001 bytes, at most 1000")
	n := 0
	for ; ; n++ {
		if res := r.putCopy(kv(fmt.Sprint("k", n)), strings.Repeat("x", 1000)); res.Code == CodeFull {
			break
		}
	}
	if n != 3 {
		t.Errorf("%d values of 1000 bytes fit into 5000", n)
	}
	r.survives()
}

// TestStoreCopiesTooOld: what names holders by an old promise is refused, because they may have thrown the bytes away; sent again after it was done it has its first result.
func TestStoreCopiesTooOld(t *testing.T) {
	r := stored(t, testStore())
	taken := r.now
	asOf := func(c *StoreCopy) { c.Taken, c.RequestID = taken, testRequestID(1) }
	r.at(CopyFresh)
	first := r.putCopy(kv("a"), "x", asOf)
	r.wantCode(first, CodeOK, "")
	r.at(CopyFresh + time.Millisecond)
	r.wantCode(r.putCopy(kv("b"), "x", func(c *StoreCopy) { c.Taken = taken }), CodeExpired, "asked again")
	r.wantNone(kv("b"))
	if again := r.putCopy(kv("a"), "x", asOf); again.Code != CodeOK || again.Version != first.Version {
		t.Errorf("%+v, first %+v", again, first)
	}
	move := StoreMove{StoreKey: kv("a"), Version: first.Version, Holders: []string{"n3/c"}}
	r.wantCode(r.do(&StoreHolders{Taken: taken, Moves: []StoreMove{move}}), CodeExpired, "")
	r.wantCode(r.do(&StoreHolders{Moves: []StoreMove{move}}), CodeExpired, "")
	if v := r.s.Stored(kv("a")); v.Copy.Holders[0] != "n1/a" {
		t.Errorf("%+v", v.Copy)
	}
	r.survives()
}

// TestStoreCopiesMove: other members have the bytes; the value is the same one. Once none has them it is lost, which is said once, and then it may be written and removed.
func TestStoreCopiesMove(t *testing.T) {
	r := stored(t, testStore())
	was := r.putCopy(kv("a"), "hello", func(c *StoreCopy) { c.TTL = time.Hour })
	r.putCopy(kv("b"), "hello")
	r.put(kv("c"), "in the log")
	before := r.s.Stored(kv("a"))
	r.at(time.Second)
	move := func(k StoreKey, version uint64, holders ...string) Result {
		return r.do(&StoreHolders{Taken: r.now, Moves: []StoreMove{{StoreKey: k, Version: version, Holders: holders}}})
	}
	r.wantCode(move(kv("a"), was.Version, "n2/b", "n3/c"), CodeOK, "")
	v := r.s.Stored(kv("a"))
	if v.Version != was.Version || !v.Expires().Equal(before.Expires()) || !v.Changed().Equal(before.Changed()) || v.Copy.Holders[1] != "n3/c" || before.Copy.Holders[0] != "n1/a" {
		t.Fatalf("%+v, before %+v", v, before)
	}
	same := r.s.Stored(kv("b"))
	for _, nothing := range []Result{move(kv("a"), was.Version+1, "n1/a"), move(kv("c"), r.s.Stored(kv("c")).Version, "n1/a"), move(kv("z"), 1, "n1/a"), move(kv(""), 1, "n1/a"),
		move(kv("b"), same.Version, "n1/a", "n1/a"), move(kv("b"), same.Version, "a", "b", "c"), move(kv("b"), same.Version, ""), move(kv("b"), same.Version, strings.Repeat("n", MaxHolderID+1))} {
		r.wantCode(nothing, CodeOK, "")
	}
	if r.s.Stored(kv("b")) != same || r.s.Stored(kv("a")).Copy.Holders[0] != "n2/b" {
		t.Fatalf("%+v, %+v", r.s.Stored(kv("b")), r.s.Stored(kv("a")))
	}
	r.survives()
	changed := r.s.KeysChanged(1)
	for range 2 {
		r.wantCode(move(kv("a"), was.Version), CodeOK, "")
	}
	r.wantNone(kv("a"))
	if v := r.s.StoredLost(kv("a")); v == nil || v.Size() != 0 || r.s.StoredLost(kv("b")) != nil || r.s.StoredLost(kv("z")) != nil {
		t.Fatalf("%+v", v)
	}
	events := r.s.Events(0, 1000)
	if last := events[len(events)-1]; last.Kind != EventStoreLost || last.Text != "1 values of module /a are lost: no node that kept their bytes has them any more" || last.Cluster != "c1" || r.s.KeysChanged(1) <= changed {
		t.Errorf("%+v", last)
	}
	if list, _ := r.s.StoredKeys(1, "", "", 10); len(list) != 2 {
		t.Errorf("%+v", list)
	}
	if _, values, lost := r.s.StoreHoldings(); values != 2 || lost != 1 {
		t.Errorf("%d values, %d lost", values, lost)
	}
	r.survives()
	r.do(&StoreSweep{Keys: []StoreKey{kv("a")}}) // its time is not over
	if r.s.StoredLost(kv("a")) == nil {
		t.Error("nobody knows any more that it is lost")
	}
	r.wantCode(r.do(&StoreDelete{StoreKey: kv("a"), If: IfVersion, Version: was.Version}), CodeConflict, "no value")
	if res := r.putCopy(kv("a"), "again", func(c *StoreCopy) { c.If = IfAbsent }); res.Code != CodeOK || !res.Created {
		t.Fatalf("%+v", res)
	}
	r.wantCode(move(kv("a"), r.index), CodeOK, "")
	r.wantCode(r.do(&StoreDelete{StoreKey: kv("a")}), CodeOK, "")
	r.wantCode(r.do(&StoreDelete{StoreKey: kv("a")}), CodeAbsent, "")
	r.survives()
}

// TestStoreCopiesMoveOfLate: what was found out about the holders before others were named says nothing about those, not even that a value is lost; also when the ones that are named are the same.
func TestStoreCopiesMoveOfLate(t *testing.T) {
	r := stored(t, testStore())
	was := r.putCopy(kv("a"), "hello")
	move := func(seen uint64, holders ...string) {
		t.Helper()
		r.wantCode(r.do(&StoreHolders{Taken: r.now, Seen: seen, Moves: []StoreMove{{StoreKey: kv("a"), Version: was.Version, Holders: holders}}}), CodeOK, "")
	}
	holders := func(want ...string) {
		t.Helper()
		if v := r.s.Stored(kv("a")); v == nil || !slices.Equal(v.Copy.Holders, want) {
			t.Fatalf("%+v, want holders %v", v, want)
		}
		r.survives()
	}
	seen := r.index
	move(seen, "n1/a", "n2/b") // they had it not, and have been given it once more
	holders("n1/a", "n2/b")
	before := r.s.Digest()
	move(seen) // decided before that
	move(seen, "n3/c")
	if holders("n1/a", "n2/b"); r.s.Digest() != before {
		t.Error("the state has changed")
	}
	move(r.index, "n3/c")
	holders("n3/c")
	r.do(&StoreHolders{Taken: r.now, Moves: []StoreMove{{StoreKey: kv("a"), Version: was.Version, Holders: []string{"n2/b"}}}}) // of a program that does not say what it has seen
	holders("n2/b")
	seen = r.index
	was = r.putCopy(kv("a"), "again")
	move(seen, "n3/c") // a write names its holders itself, and has a version of its own
	holders("n3/c")
	move(r.index)
	if r.s.StoredLost(kv("a")) == nil {
		t.Error("it is not lost")
	}
	r.survives()
}

// TestStoreCopiesMovedImpossible: a snapshot in which a value was moved before it was written, or after the last entry, is refused.
func TestStoreCopiesMovedImpossible(t *testing.T) {
	for name, moved := range map[string]func(*replicaUnderTest) uint64{"before": func(r *replicaUnderTest) uint64 { return r.s.Stored(kv("a")).Version }, "after": func(r *replicaUnderTest) uint64 { return r.index + 1 }} {
		r := stored(t, testStore())
		r.putCopy(kv("a"), "x")
		v := r.s.Stored(kv("a"))
		bad, c := *v, *v.Copy
		c.moved = moved(r)
		bad.Copy, bad.sum = &c, sum{}
		bad.sum = itemSum(itemStored, appendStored(nil, &bad))
		r.cur().store.set(v, &bad)
		r.cur().publish(r.index)
		if err := New().Restore(bytes.NewReader(snapshotBytes(t, r.s))); !errors.Is(err, ErrSnapshotDamaged) || !strings.Contains(err.Error(), "impossible value") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestStoreDropped: what was replaced, removed or moved is told of once, and is no part of the state; so is no more than a bounded number.
func TestStoreDropped(t *testing.T) {
	r := stored(t, testStore())
	r.putCopy(kv("a"), "one")
	r.putCopy(kv("b"), "two")
	want := func(list ...string) {
		t.Helper()
		var got []Copy
		for _, c := range r.s.StoreDropped() {
			got = append(got, Copy{Hash: c.Hash, Size: c.Size, Holders: c.Holders})
		}
		if len(got) != len(list) {
			t.Fatalf("%+v, want those of %q", got, list)
		}
		for i := range list {
			if c := copyOf(list[i]); got[i].Hash != c.Hash || !slices.Equal(got[i].Holders, c.Holders) {
				t.Errorf("%d: %+v, want that of %q", i, got[i], list[i])
			}
		}
	}
	want()
	r.putCopy(kv("a"), "three")
	r.do(&StoreDelete{StoreKey: kv("a")})
	r.do(&StoreHolders{Taken: r.now, Seen: r.index, Moves: []StoreMove{{StoreKey: kv("b"), Version: r.s.Stored(kv("b")).Version, Holders: []string{"n3/c"}}}})
	want("one", "three", "two")
	want()
	r.survives()
	for n := range maxDropped + 2 {
		r.cur().store.drop(&Copy{Size: uint32(n)}, nil)
	}
	if n := len(r.s.StoreDropped()); n != maxDropped {
		t.Errorf("%d are remembered", n)
	}
}

// TestStoreCopiesRefusals: what cannot be is refused, and changes nothing.
func TestStoreCopiesRefusals(t *testing.T) {
	for name, tt := range map[string]struct {
		edit  func(*StoreCopy)
		words string
	}{
		"no bytes":         {func(c *StoreCopy) { c.Size = 0 }, "1 to 1048576 bytes, not 0"},
		"too many bytes":   {func(c *StoreCopy) { c.Size = MaxStoredValue + 1 }, "not 1048577"},
		"nobody":           {func(c *StoreCopy) { c.Holders = nil }, "no member"},
		"three":            {func(c *StoreCopy) { c.Holders = []string{"a", "b", "c"} }, "3 holders"},
		"twice the same":   {func(c *StoreCopy) { c.Holders = []string{"a", "a"} }, "twice"},
		"no name":          {func(c *StoreCopy) { c.Holders = []string{""} }, "1 to 128 bytes, not 0"},
		"long name":        {func(c *StoreCopy) { c.Holders = []string{strings.Repeat("a", 129)} }, "not 129"},
		"no key":           {func(c *StoreCopy) { c.Key = "" }, "1 to 512"},
		"long type":        {func(c *StoreCopy) { c.Type = strings.Repeat("a", 257) }, "at most 256"},
		"negative time":    {func(c *StoreCopy) { c.TTL = -1e9 }, "time to live"},
		"module without":   {func(c *StoreCopy) { c.Module = 2 }, "has no store"},
		"no promise":       {func(c *StoreCopy) { c.Taken = time.Time{} }, "asked again"},
		"unlike condition": {func(c *StoreCopy) { c.If = 9 }, "condition 9"},
	} {
		t.Run(name, func(t *testing.T) {
			r := stored(t, testStore())
			r.put(kv("b"), "stays")
			before := r.s.Digest()
			res := r.putCopy(kv("a"), "x", tt.edit)
			if res.Code == CodeOK || !strings.Contains(res.Message, tt.words) {
				t.Fatalf("%+v, want %q", res, tt.words)
			}
			if r.s.Digest() != before {
				t.Fatal("the state has changed")
			}
			r.survives()
		})
	}
}

// TestStoreCopiesImpossible: a snapshot with holders that no command can have made is refused.
func TestStoreCopiesImpossible(t *testing.T) {
	for name, spoil := range map[string]func(*Copy){
		"no bytes": func(c *Copy) { c.Size = 0 }, "too many bytes": func(c *Copy) { c.Size = 1 << 30 }, "three holders": func(c *Copy) { c.Holders = []string{"a", "b", "c"} },
		"twice the same": func(c *Copy) { c.Holders = []string{"a", "a"} }, "no name": func(c *Copy) { c.Holders = []string{"", "a"} },
	} {
		r := stored(t, testStore())
		r.putCopy(kv("a"), "x")
		v := r.s.Stored(kv("a"))
		bad := *v
		c := *v.Copy
		spoil(&c)
		bad.Copy, bad.sum = &c, sum{}
		bad.sum = itemSum(itemStored, appendStored(nil, &bad))
		r.cur().store.set(v, &bad)
		r.cur().publish(r.index)
		if err := New().Restore(bytes.NewReader(snapshotBytes(t, r.s))); !errors.Is(err, ErrSnapshotDamaged) || !strings.Contains(err.Error(), "impossible value") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestStoreCopiesWhole: an archive has the bytes themselves, so that it can be restored where none of the holders is; what cannot be had is in it as lost, or there is no archive.
func TestStoreCopiesWhole(t *testing.T) {
	r := stored(t, testStore())
	bytesOf := map[[32]byte]string{}
	for _, data := range []string{"one", "two", "gone"} {
		r.putCopy(kv(data), data)
		bytesOf[sha256.Sum256([]byte(data))] = data
	}
	r.put(kv("plain"), "in the log")
	write := func(fetch func(*Stored) ([]byte, error)) (*State, error) {
		snap := r.s.Snapshot()
		defer snap.Release()
		snap.Whole(fetch)
		var b bytes.Buffer
		if _, err := snap.WriteTo(&b); err != nil {
			return nil, err
		}
		return restored(t, b.Bytes()), nil
	}
	before := r.s.Digest()
	s, err := write(func(v *Stored) ([]byte, error) {
		if v.Key() == "gone" {
			return nil, nil
		}
		return []byte(bytesOf[v.Copy.Hash]), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"one": "one", "two": "two", "plain": "in the log"} {
		v, was := s.Stored(kv(key)), r.s.Stored(kv(key))
		if v == nil || string(v.Data) != want || v.Copy != nil || v.Version != was.Version || v.Type != was.Type || !v.Changed().Equal(was.Changed()) {
			t.Errorf("%s: %+v, was %+v", key, v, was)
		}
	}
	if s.Stored(kv("gone")) != nil || s.StoredLost(kv("gone")) == nil || s.Applied() != r.s.Applied() || r.s.Digest() != before {
		t.Errorf("%+v", s.StoredLost(kv("gone")))
	}
	if _, total := s.StoreUse(); total == 0 {
		t.Error("the bytes count for nothing")
	}
	want := errors.New("nobody answers")
	if _, err := write(func(*Stored) ([]byte, error) { return nil, want }); !errors.Is(err, want) {
		t.Errorf("%v", err)
	}
}

// TestStoreCopiesWalk: who looks for what is kept beside the log finds that alone.
func TestStoreCopiesWalk(t *testing.T) {
	r := stored(t, testStore())
	r.s.StoredCopies(func(*Stored) bool { t.Error("there is none"); return false })
	r.put(kv("a"), "x")
	r.putCopy(kv("b"), "x")
	r.putCopy(ofSession(1), "y")
	r.putCopy(kv("d"), "x")
	r.do(&StoreHolders{Moves: []StoreMove{{StoreKey: kv("d"), Version: r.index}}})
	var seen []StoreKey
	r.s.StoredCopies(func(v *Stored) bool { seen = append(seen, v.Address()); return true })
	if len(seen) != 2 || seen[0] != ofSession(1) || seen[1] != kv("b") {
		t.Errorf("%+v", seen)
	}
}

// The commands and the form of a value that is kept beside the log have files of their own.
func TestGoldenV4StoreCopies(t *testing.T) {
	r := newReplicaUnderTest(t)
	applyGolden(t, r, goldenV1(t))
	at := testStart.Add(5 * time.Second)
	key := testKey(1)
	session := StoreKey{Space: SpaceSessions, Module: 1, Key: string(key[:])}
	cluster := testCluster("c1", 30*time.Minute, "i1", "i2")
	cluster.Modules = []config.Module{{ContextRoot: "/a", Enabled: true, Store: &config.Store{Sessions: true, KV: true, Copies: config.CopiesTwo, MaxValue: 64 << 10, MaxBytes: 1 << 20}}}
	entry := func(file string, c Command) goldenEntry {
		return goldenEntry{file: "v4_" + file + ".entry", bytes: mustEncode(t, at, c), code: CodeOK}
	}
	change := entry("store_copies_config", &ConfigChange{RequestID: testRequestID(80), Expect: 1, Actor: "admin", Config: testConfig(cluster)})
	change.config = true
	applyGolden(t, r, []goldenEntry{
		change,
		entry("store_copy_session", &StoreCopy{RequestID: testRequestID(81), StoreKey: session, Type: "application/json", Copy: copyOf("one"), Taken: at}),
		entry("store_copy_key", &StoreCopy{RequestID: testRequestID(82), StoreKey: kv("motd"), If: IfAbsent, TTL: time.Hour, Type: "text/plain", Copy: copyOf("two"), Taken: at}),
		entry("store_copy_lost", &StoreCopy{RequestID: testRequestID(83), StoreKey: kv("lost"), Copy: copyOf("three"), Taken: at}),
	})
	last := r.index
	applyGolden(t, r, []goldenEntry{entry("store_holders", &StoreHolders{Taken: at, Moves: []StoreMove{{StoreKey: kv("motd"), Version: last - 1, Holders: []string{"n2/b", "n3/c"}}, {StoreKey: kv("lost"), Version: last}}})})
	led := func(file string) {
		t.Helper()
		digest := []byte(r.s.Digest().String() + "\n")
		if want := golden(t, file+".digest", digest); !bytes.Equal(digest, want) {
			t.Errorf("the log leads to digest %s, the file has %s", digest, want)
		}
		wantEqual(t, restored(t, golden(t, file+".snapshot", snapshotBytes(t, r.s))), r.s)
	}
	led("v4_store_copies")
	if v := r.s.Stored(kv("motd")); v == nil || v.Copy.Holders[1] != "n3/c" || r.s.StoredLost(kv("lost")) == nil {
		t.Fatalf("%+v", v)
	}
	applyGolden(t, r, []goldenEntry{entry("store_holders_seen", &StoreHolders{Taken: at, Seen: r.index, Moves: []StoreMove{{StoreKey: kv("motd"), Version: last - 1, Holders: []string{"n1/a", "n4/d"}}}})})
	led("v4_store_copies_seen")
	if v := r.s.Stored(kv("motd")); v == nil || v.Copy.Holders[1] != "n4/d" || v.Copy.moved != r.index {
		t.Fatalf("%+v", v)
	}
}
