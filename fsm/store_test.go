package fsm

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// stored is a group with module /a of cluster c1 (id 1), which has a store, and /b (id 2), which has none.
func stored(t tester, s *config.Store) *replicaUnderTest {
	r := newReplicaUnderTest(t)
	c := testCluster("c1", 30*time.Minute, "i1")
	c.Modules = []config.Module{{ContextRoot: "/a", Enabled: true, Store: s}, {ContextRoot: "/b", Enabled: true}}
	r.wantCode(r.do(&ConfigChange{Config: testConfig(c)}), CodeOK, "")
	return r
}

func kv(key string) StoreKey { return StoreKey{Space: SpaceKV, Module: 1, Key: key} }

func ofSession(n int) StoreKey {
	k := testKey(n)
	return StoreKey{Space: SpaceSessions, Module: 1, Key: string(k[:])}
}

func (r *replicaUnderTest) put(k StoreKey, data string, edit ...func(*StorePut)) Result {
	r.t.Helper()
	c := &StorePut{StoreKey: k, Type: "text/plain", Data: []byte(data)}
	for _, e := range edit {
		e(c)
	}
	return r.do(c)
}

func (r *replicaUnderTest) wantStored(k StoreKey, data string) *Stored {
	r.t.Helper()
	v := r.s.Stored(k)
	if v == nil || string(v.Data) != data {
		r.t.Fatalf("%+v: %+v, want %q", k, v, data)
	}
	return v
}

func (r *replicaUnderTest) wantNone(k StoreKey) {
	r.t.Helper()
	if v := r.s.Stored(k); v != nil {
		r.t.Fatalf("%+v: there is version %d", k, v.Version)
	}
}

// TC-02: a value is written, read, replaced and removed; its version is the log index of its last write.
func TestStoreValues(t *testing.T) {
	r := stored(t, testStore())
	for _, k := range []StoreKey{kv("a"), ofSession(1)} {
		res := r.put(k, "one")
		if v := r.wantStored(k, "one"); res.Version != r.index || v.Version != r.index || v.Type != "text/plain" || v.Key() != k.Key || v.Space() != k.Space || v.Module != 1 || !v.Changed().Equal(testStart) {
			t.Fatalf("%+v, %+v", res, v)
		}
		r.put(k, "")
		r.wantStored(k, "")
		r.survives()
		if res := r.do(&StoreDelete{StoreKey: k}); res.Code != CodeOK || res.Version != r.index {
			t.Fatalf("%+v", res)
		}
		r.wantNone(k)
		r.wantCode(r.do(&StoreDelete{StoreKey: k}), CodeAbsent, "no value")
	}
	if use, total := r.s.StoreUse(); len(use) != 0 || total != 0 {
		t.Errorf("%+v, %d bytes are left", use, total)
	}
	r.survives()
}

// Compare and set: a write whose condition does not hold changes nothing, and says what is there.
func TestStoreConditions(t *testing.T) {
	r := stored(t, testStore())
	cond := func(c StoreIf, version uint64) func(*StorePut) {
		return func(p *StorePut) { p.If, p.Version = c, version }
	}
	k := kv("a")
	r.wantCode(r.put(k, "x", cond(IfPresent, 0)), CodeConflict, "there is no value")
	r.wantCode(r.put(k, "x", cond(IfVersion, 1)), CodeConflict, "there is no value")
	first := r.put(k, "one", cond(IfAbsent, 0)).Version
	if res := r.put(k, "x", cond(IfAbsent, 0)); res.Code != CodeConflict || res.Version != first {
		t.Fatalf("%+v", res)
	}
	second := r.put(k, "two", cond(IfVersion, first)).Version
	if res := r.put(k, "x", cond(IfVersion, first)); res.Code != CodeConflict || res.Version != second {
		t.Fatalf("%+v", res)
	}
	r.wantCode(r.put(k, "x", cond(4, 0)), CodeInvalid, "condition 4")
	r.wantCode(r.do(&StoreDelete{StoreKey: k, If: IfVersion, Version: first}), CodeConflict, "")
	r.wantStored(k, "two")
	r.wantCode(r.put(k, "three", cond(IfPresent, 0)), CodeOK, "")
	r.wantCode(r.do(&StoreDelete{StoreKey: k, If: IfVersion, Version: r.index}), CodeOK, "")
	r.wantCode(r.do(&StoreDelete{StoreKey: k, If: IfVersion, Version: r.index}), CodeConflict, "no value")
	r.survives()
}

// TC-38: the log carries the part that changes.
func TestStoreSplices(t *testing.T) {
	r := stored(t, testStore())
	k := ofSession(1)
	splice := func(at, cut int, insert string) Result {
		version := uint64(0)
		if v := r.s.Stored(k); v != nil {
			version = v.Version
		}
		return r.do(&StoreSplice{StoreKey: k, Version: version, At: uint32(at), Cut: uint32(cut), Insert: []byte(insert)})
	}
	r.wantCode(splice(0, 0, "x"), CodeConflict, "no value")
	r.put(k, "abcdef")
	r.wantCode(splice(1, 2, "XYZ"), CodeOK, "")
	v := r.wantStored(k, "aXYZdef")
	r.wantCode(splice(7, 0, "!"), CodeOK, "")
	r.wantStored(k, "aXYZdef!")
	if string(v.Data) != "aXYZdef" {
		t.Error("a value that was read has changed")
	}
	r.wantCode(splice(0, 8, ""), CodeOK, "")
	r.wantStored(k, "")
	r.wantCode(splice(0, 1, ""), CodeInvalid, "bytes 0 to 1 of a value that has 0")
	r.wantCode(splice(1<<31, 1<<31, "x"), CodeInvalid, "")
	r.wantCode(r.do(&StoreSplice{StoreKey: k, Version: 1}), CodeConflict, "not 1")
	if got := r.wantStored(k, "").Type; got != "text/plain" {
		t.Error(got)
	}
	r.survives()
}

// TC-15: what is over a bound is refused, with the bound, and nothing is kept of it.
func TestStoreBounds(t *testing.T) {
	small := &config.Store{Sessions: true, KV: true, MaxValue: 1000, MaxBytes: 5000}
	r := stored(t, small)
	r.wantCode(r.put(kv("a"), strings.Repeat("x", 1001)), CodeInvalid, "1001 bytes, at most 1000")
	r.wantCode(r.put(kv("a"), strings.Repeat("x", 1000)), CodeOK, "")
	n := 1
	for ; ; n++ {
		res := r.put(kv(fmt.Sprint("k", n)), strings.Repeat("x", 500))
		if res.Code == CodeFull {
			if !strings.Contains(res.Message, "may have 5000") {
				t.Error(res.Message)
			}
			break
		}
		r.wantCode(res, CodeOK, "")
	}
	if n < 4 || n > 8 {
		t.Errorf("%d values of 500 bytes fit into 5000", n)
	}
	r.wantNone(kv(fmt.Sprint("k", n)))
	r.wantCode(r.put(ofSession(1), strings.Repeat("x", 500)), CodeFull, "") // both spaces count together
	r.wantCode(r.put(kv("k1"), "smaller"), CodeOK, "")                      // what is replaced gives its room back
	r.wantCode(r.put(ofSession(1), "x"), CodeOK, "")
	use, total := r.s.StoreUse()
	if len(use) != 1 || use[0].Module != 1 || use[0].Sessions != 1 || use[0].Keys != n || use[0].Bytes > 5000 || use[0].Bytes != total {
		t.Errorf("%+v, %d", use, total)
	}
	r.survives()
}

// Names, modules and times that nobody may write to change nothing.
func TestStoreRefusals(t *testing.T) {
	for name, tt := range map[string]struct {
		c     Command
		code  Code
		words string
	}{
		"module without a store": {&StorePut{StoreKey: StoreKey{Space: SpaceKV, Module: 2, Key: "a"}}, CodeInvalid, "has no store for keys and values"},
		"module that never was":  {&StorePut{StoreKey: StoreKey{Space: SpaceKV, Module: 99, Key: "a"}}, CodeInvalid, "has no store"},
		"no module":              {&StorePut{StoreKey: StoreKey{Space: SpaceKV, Key: "a"}}, CodeInvalid, "has no store"},
		"space not given":        {&StorePut{StoreKey: ofSession(1)}, CodeInvalid, "has no store for session data"},
		"no space":               {&StorePut{StoreKey: StoreKey{Module: 1, Key: "a"}}, CodeInvalid, "no space 0"},
		"odd space":              {&StorePut{StoreKey: StoreKey{Space: 9, Module: 1, Key: "a"}}, CodeInvalid, "no space 9"},
		"no key":                 {&StorePut{StoreKey: kv("")}, CodeInvalid, "1 to 512 bytes, not 0"},
		"long key":               {&StorePut{StoreKey: kv(strings.Repeat("k", 513))}, CodeInvalid, "not 513"},
		"session key too short":  {&StorePut{StoreKey: StoreKey{Space: SpaceSessions, Module: 1, Key: "a"}}, CodeInvalid, "16 bytes, not 1"},
		"long type":              {&StorePut{StoreKey: kv("a"), Type: strings.Repeat("t", 257)}, CodeInvalid, "at most 256"},
		"negative time to live":  {&StorePut{StoreKey: kv("a"), TTL: -time.Second}, CodeInvalid, "time to live"},
		"endless time to live":   {&StorePut{StoreKey: kv("a"), TTL: MaxStoredTTL + time.Millisecond}, CodeInvalid, "time to live"},
		"splice of no key":       {&StoreSplice{StoreKey: kv("")}, CodeInvalid, "not 0"},
		"delete of no key":       {&StoreDelete{StoreKey: kv("")}, CodeInvalid, "not 0"},
		"delete, odd condition":  {&StoreDelete{StoreKey: kv("b"), If: 7}, CodeInvalid, "condition 7"},
		"delete, if absent":      {&StoreDelete{StoreKey: kv("z"), If: IfAbsent}, CodeAbsent, "no value"},
		"clear of no space":      {&StoreClear{Module: 1}, CodeInvalid, "no space 0"},
		"clear of no module":     {&StoreClear{Space: SpaceKV, Module: 9}, CodeAbsent, "no such module"},
		"clear, long actor":      {&StoreClear{Space: SpaceKV, Module: 1, Actor: strings.Repeat("a", 257)}, CodeInvalid, "at most 256"},
		"sweep of the living":    {&StoreSweep{Keys: []StoreKey{kv("b"), kv(""), {Space: 7}, {Space: SpaceSessions, Key: "x"}}}, CodeOK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := stored(t, &config.Store{KV: true, MaxValue: 1 << 10, MaxBytes: 1 << 20})
			r.put(kv("b"), "stays")
			before := dumpOf(r.s)
			r.wantCode(r.do(tt.c), tt.code, tt.words)
			if after := dumpOf(r.s); after.Digest != before.Digest {
				t.Fatal("the state has changed")
			}
			r.survives()
		})
	}
}

// What is sent again is done once: also when others have written meanwhile, and when the memory goes through a snapshot.
func TestStoreWritesAreDoneOnce(t *testing.T) {
	r := stored(t, testStore())
	id := func(n int) func(*StorePut) { return func(p *StorePut) { p.RequestID = testRequestID(n) } }
	first := r.put(kv("a"), "mine", id(1))
	r.put(kv("a"), "theirs", id(2))
	for range 2 {
		if again := r.put(kv("a"), "mine", id(1)); again.Code != CodeOK || again.Version != first.Version {
			t.Fatalf("%+v, first %+v", again, first)
		}
		r.wantStored(kv("a"), "theirs")
		r.s = restored(t, snapshotBytes(t, r.s))
	}
	r.do(&StoreDelete{RequestID: testRequestID(3), StoreKey: kv("a")})
	r.put(kv("a"), "new", id(4))
	r.wantCode(r.do(&StoreDelete{RequestID: testRequestID(3), StoreKey: kv("a")}), CodeOK, "")
	r.wantStored(kv("a"), "new")
	// A refusal is not remembered: it may be tried again.
	refused := func(p *StorePut) { p.RequestID, p.If = testRequestID(5), IfAbsent }
	r.wantCode(r.put(kv("a"), "x", refused), CodeConflict, "")
	r.do(&StoreDelete{StoreKey: kv("a")})
	r.wantCode(r.put(kv("a"), "x", refused), CodeOK, "")
	r.survives()
}

// The memory of writes is bounded, and is not that of operators' requests.
func TestStoreMemoryOfWrites(t *testing.T) {
	r := stored(t, testStore())
	operator := &LockSet{RequestID: testRequestID(1), Owner: "o"}
	was := r.do(operator)
	numbered := func(n int) (id RequestID) {
		id[0], id[1], id[2] = 0xff, byte(n>>8), byte(n)
		return id
	}
	for n := range maxRecentWrites + 10 {
		r.put(kv("a"), "x", func(p *StorePut) { p.RequestID = numbered(n) })
	}
	if again := r.do(operator); again.Index != was.Index {
		t.Error("writes of applications have pushed out an operator's request")
	}
	if _, known := r.cur().store.recent.find(numbered(9)); known {
		t.Error("the oldest are remembered")
	}
	if _, known := r.cur().store.recent.find(numbered(10)); !known || len(r.cur().store.recent.ring) != maxRecentWrites {
		t.Error("the newest are forgotten")
	}
	r.survives()
	again := restored(t, snapshotBytes(t, r.s))
	if _, known := again.cur.Load().store.recent.find(numbered(10)); !known {
		t.Error("a snapshot forgets them")
	}
}

// TestStoreTimes: a key lives as long as it was given, the data of a session as long as an idle session, and as long as its assignment in any case.
func TestStoreTimes(t *testing.T) {
	r := stored(t, testStore())
	r.ops(SessionOp{Kind: OpAssign, Key: testKey(1), Instance: 1, Module: 1, Reason: ReasonPolicy})
	r.put(kv("ever"), "x")
	r.put(kv("minute"), "x", func(p *StorePut) { p.TTL = time.Minute })
	r.put(ofSession(1), "assigned")
	r.put(ofSession(2), "not")
	if v := r.s.Stored(ofSession(2)); v.TTL() != 45*time.Minute || !v.Expires().Equal(testStart.Add(45*time.Minute)) {
		t.Errorf("%v, %v", v.TTL(), v.Expires())
	}
	if v := r.s.Stored(kv("ever")); v.TTL() != 0 || !v.Expires().IsZero() {
		t.Errorf("%v, %v", v.TTL(), v.Expires())
	}
	r.at(time.Minute - time.Millisecond)
	r.ops()
	r.wantStored(kv("minute"), "x")
	r.at(time.Minute)
	r.ops()
	r.wantNone(kv("minute"))
	r.wantCode(r.put(kv("minute"), "y", func(p *StorePut) { p.If = IfAbsent }), CodeOK, "") // it is over for writers too
	r.at(44 * time.Minute)
	r.ops(SessionOp{Kind: OpTouch, Key: testKey(1)})
	r.at(50 * time.Minute)
	r.ops()
	r.wantNone(ofSession(2))
	r.wantStored(ofSession(1), "assigned") // the session is in use
	if over := r.s.StoreOver(SpaceSessions, r.now, 10); len(over) != 1 || over[0] != ofSession(2) {
		t.Errorf("%+v", over)
	}
	r.do(&StoreSweep{Keys: append(r.s.StoreOver(SpaceSessions, r.now, 10), ofSession(1), kv("ever"))})
	if over := r.s.StoreOver(SpaceSessions, r.now, 10); len(over) != 0 {
		t.Errorf("%+v", over)
	}
	r.wantStored(ofSession(1), "assigned")
	r.at(3 * time.Hour)
	r.do(&Expire{Count: Shards})
	r.wantNone(ofSession(1)) // and ends with it
	r.survives()
	if use, _ := r.s.StoreUse(); len(use) != 1 || use[0].Sessions != 1 {
		t.Errorf("%+v", use)
	}
}

// Lists come in order and in pages, by prefix, without what is over or of other modules.
func TestStoreLists(t *testing.T) {
	r := newReplicaUnderTest(t)
	c := testCluster("c1", time.Hour, "i1")
	c.Modules = []config.Module{{ContextRoot: "/a", Store: testStore()}, {ContextRoot: "/b", Store: testStore()}}
	r.wantCode(r.do(&ConfigChange{Config: testConfig(c)}), CodeOK, "")
	for _, k := range []string{"b", "a/2", "a/1", "a", "a0", "c"} {
		r.put(kv(k), k)
	}
	r.put(kv("a/3"), "over", func(p *StorePut) { p.TTL = time.Millisecond })
	r.put(StoreKey{Space: SpaceKV, Module: 2, Key: "a/9"}, "other")
	r.put(ofSession(1), "session")
	r.at(time.Second)
	r.ops()
	list := func(prefix, after string, limit int) string {
		values, more := r.s.StoredKeys(1, prefix, after, limit)
		var keys []string
		for _, v := range values {
			keys = append(keys, v.Key())
		}
		return fmt.Sprint(strings.Join(keys, " "), " ", more)
	}
	for _, tt := range []struct {
		prefix, after string
		limit         int
		want          string
	}{
		{"", "", 99, "a a/1 a/2 a0 b c false"}, {"a/", "", 99, "a/1 a/2 false"}, {"a/", "", 1, "a/1 true"}, {"a/", "a/1", 1, "a/2 false"}, {"a", "a/2", 9, "a0 false"},
		{"d", "", 9, " false"}, {"a", "z", 9, " false"}, {"", "b", 9, "c false"}, {"b", "a", 9, "b false"}, {"", "", 0, " true"},
	} {
		if got := list(tt.prefix, tt.after, tt.limit); got != tt.want {
			t.Errorf("%q after %q, %d: %q, want %q", tt.prefix, tt.after, tt.limit, got, tt.want)
		}
	}
}

// Whoever waits hears of each change, also of one that came by a snapshot.
func TestStoreNews(t *testing.T) {
	r := stored(t, testStore())
	quiet := func(ch <-chan struct{}) {
		t.Helper()
		select {
		case <-ch:
			t.Fatal("told of nothing")
		default:
		}
	}
	ch := r.s.StoreNews()
	r.ops(SessionOp{Kind: OpAssign, Key: testKey(1), Instance: 1})
	r.do(&StoreDelete{StoreKey: kv("a")})
	quiet(ch)
	if at := r.s.KeysChanged(1); at != 0 {
		t.Error(at)
	}
	r.put(kv("a"), "x")
	<-ch
	if at := r.s.KeysChanged(1); at != r.index || r.s.KeysChanged(2) != 0 {
		t.Error(at)
	}
	ch = r.s.StoreNews()
	r.do(&StoreDelete{StoreKey: kv("a")})
	<-ch
	if at := r.s.KeysChanged(1); at != r.index {
		t.Error(at)
	}
	ch = r.s.StoreNews()
	quiet(ch)
	if err := r.s.Restore(bytes.NewReader(snapshotBytes(t, r.s))); err != nil {
		t.Fatal(err)
	}
	<-ch
	if at := r.s.KeysChanged(2); at != r.index { // nobody knows what was removed before
		t.Error(at)
	}
}

// TestStoreClear: all of one space of one module, also when the configuration has it no more.
func TestStoreClear(t *testing.T) {
	r := stored(t, testStore())
	for n := range 20 {
		r.put(ofSession(n), "x")
		r.put(kv(fmt.Sprint(n)), "x")
	}
	r.wantCode(r.do(&ConfigChange{Expect: 1, Config: testConfig()}), CodeOK, "")
	r.wantCode(r.put(kv("1"), "y"), CodeInvalid, "has no store")
	r.wantStored(kv("1"), "x") // a configuration that is changed by mistake loses nothing
	clearing := &StoreClear{RequestID: testRequestID(1), Space: SpaceSessions, Module: 1, Actor: "me"}
	r.wantCode(r.do(clearing), CodeOK, "")
	events := r.s.Events(0, maxEvents)
	if last := events[len(events)-1]; last.Kind != EventStore || !strings.Contains(last.Text, "All session data of module /a removed: 20 values by me") {
		t.Errorf("%+v", last)
	}
	if use, _ := r.s.StoreUse(); len(use) != 1 || use[0].Sessions != 0 || use[0].Keys != 20 {
		t.Errorf("%+v", use)
	}
	r.do(&StoreClear{Space: SpaceKV, Module: 1})
	if use, total := r.s.StoreUse(); len(use) != 0 || total != 0 {
		t.Errorf("%+v", use)
	}
	r.survives()
}

// A group that begins again gives every value its time anew: while it was not there nobody could write.
func TestStoreInANewEpoch(t *testing.T) {
	r := stored(t, testStore())
	r.do(&GroupInit{RequestID: testRequestID(1), Group: testGroup()})
	r.put(kv("minute"), "x", func(p *StorePut) { p.TTL = time.Minute })
	r.put(kv("ever"), "x")
	later := testStart.Add(24 * time.Hour)
	if err := r.s.BeginEpoch(7, later); err != nil {
		t.Fatal(err)
	}
	if v := r.wantStored(kv("minute"), "x"); !v.Expires().Equal(later.Add(time.Minute)) {
		t.Error(v.Expires())
	}
	wantEqual(t, restored(t, snapshotBytes(t, r.s)), r.s)
}

// TC-27, WAS-26: the archive's values are the group's after a restore into it.
func TestStoreIsRestored(t *testing.T) {
	r := stored(t, testStore())
	r.do(&GroupInit{RequestID: testRequestID(1), Group: testGroup()})
	r.put(ofSession(1), "before")
	content := snapshotBytes(t, r.s)
	for range 5 {
		r.do(&Checkpoint{})
	}
	r.put(ofSession(1), "after")
	r.put(ofSession(2), "after")
	r.do(announced(t, "00c0ffee", content))
	r.do(&RestorePart{ID: "00c0ffee", Data: content})
	r.wantCode(r.do(commitOf("00c0ffee", content)), CodeOK, "")
	r.wantStored(ofSession(1), "before")
	r.wantNone(ofSession(2))
	r.survives()
}

// Entries that nobody could have encoded stop the node, and change nothing.
func TestStoreHostileEntries(t *testing.T) {
	whole := func(c Command) []byte {
		p, err := payloadOf(c)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	r := stored(t, testStore())
	r.put(kv("a"), "x")
	digest := r.s.Digest()
	for k, c := range map[kind]Command{
		kindStorePut: &StorePut{StoreKey: kv("a"), Data: []byte("data")}, kindStoreSplice: &StoreSplice{StoreKey: kv("a"), Insert: []byte("data")},
		kindStoreDelete: &StoreDelete{StoreKey: kv("a")}, kindStoreSweep: &StoreSweep{Keys: []StoreKey{kv("a")}},
	} {
		payload := whole(c)
		for n := range payload {
			if _, err := r.s.Apply(r.index+1, rawEntry(k, payload[:n])); !errors.Is(err, ErrEntryDamaged) {
				t.Fatalf("%T cut off at %d: %v", c, n, err)
			}
		}
		lengths := bytes.Repeat([]byte{0xff}, len(payload))
		if _, err := r.s.Apply(r.index+1, rawEntry(k, lengths)); !errors.Is(err, ErrEntryDamaged) {
			t.Fatalf("%T of huge lengths: %v", c, err)
		}
	}
	if r.s.Digest() != digest || r.s.Applied() != r.index {
		t.Fatal("an error has changed the state")
	}
	// What a later version appends is skipped.
	if res, err := r.s.Apply(r.index+1, rawEntry(kindStorePut, append(whole(&StorePut{StoreKey: kv("b"), Data: []byte("y")}), 1, 2, 3))); err != nil || res.Code != CodeOK {
		t.Fatalf("%+v, %v", res, err)
	}
}

// A value of the largest size fits into one entry of the log.
func TestLargestValueFitsIntoAnEntry(t *testing.T) {
	r := stored(t, &config.Store{KV: true, MaxValue: MaxStoredValue, MaxBytes: 4 << 20})
	k := kv(strings.Repeat("k", MaxStoredKey))
	data := bytes.Repeat([]byte{7}, MaxStoredValue)
	r.wantCode(r.do(&StorePut{RequestID: testRequestID(1), StoreKey: k, Type: strings.Repeat("t", maxNameBytes), Data: data}), CodeOK, "")
	r.wantCode(r.do(&StoreSplice{RequestID: testRequestID(2), StoreKey: k, Version: r.index, Cut: 1, Insert: []byte{8}}), CodeOK, "")
	r.wantCode(r.do(&StoreSplice{RequestID: testRequestID(3), StoreKey: k, Version: r.index, Insert: []byte{8}}), CodeInvalid, "at most 1048576")
	r.survives()
}
