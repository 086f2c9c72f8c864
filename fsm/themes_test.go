package fsm

import (
	"fmt"
	"testing"
	"time"
)

func TestGroupInit(t *testing.T) {
	r := newReplicaUnderTest(t)
	if r.s.Group() != nil {
		t.Fatal("a group before GroupInit")
	}
	bad := testGroup()
	bad.Secret = bad.Secret[:31]
	if res := r.do(&GroupInit{Group: bad}); res.Code != CodeInvalid {
		t.Fatalf("short secret: %+v", res)
	}
	if res := r.do(&GroupInit{RequestID: testRequestID(1), Group: testGroup()}); res.Code != CodeOK {
		t.Fatalf("first: %+v", res)
	}
	other := testGroup()
	other.ID = "another"
	if res := r.do(&GroupInit{RequestID: testRequestID(2), Group: other}); res.Code != CodeInvalid {
		t.Fatalf("second: %+v", res)
	}
	if g := r.s.Group(); g.ID != testGroup().ID || !g.Created.Equal(testStart) {
		t.Fatalf("group %+v", g)
	}
}

func TestTokens(t *testing.T) {
	r := newReplicaUnderTest(t)
	put := func(tok Token, want Code) {
		t.Helper()
		if res := r.do(&TokenPut{Token: tok}); res.Code != want {
			t.Fatalf("put %s: %+v, want %d", tok.ID, res, want)
		}
	}
	use := func(id, key string, want Code) {
		t.Helper()
		if res := r.do(&TokenUse{ID: id, UsedBy: []byte(key), UsedName: "n-" + key}); res.Code != want {
			t.Fatalf("use %s: %+v, want %d", id, res, want)
		}
	}
	put(testToken("b", RoleNode), CodeOK)
	put(testToken("a", "admin"), CodeOK)
	put(testToken("c", RoleNode), CodeOK)
	put(testToken("a", "viewer"), CodeInvalid)
	put(testToken("", "viewer"), CodeInvalid)
	short := testToken("d", "viewer")
	short.Hash = short.Hash[1:]
	put(short, CodeInvalid)

	use("a", "k1", CodeInvalid)
	use("x", "k1", CodeAbsent)
	use("b", "", CodeInvalid)
	use("b", "k1", CodeOK)
	use("b", "k1", CodeOK)
	use("b", "k2", CodeUsed)
	r.now = testStart.Add(time.Hour)
	use("c", "k1", CodeExpired)
	use("b", "k1", CodeOK)

	if got, ok := r.s.TokenByID("b"); !ok || got.UsedName != "n-k1" || string(got.UsedBy) != "k1" {
		t.Fatalf("token b: %+v, %v", got, ok)
	}
	if ts := r.s.Tokens(); len(ts) != 3 || ts[0].ID != "a" || ts[1].ID != "b" || ts[2].ID != "c" {
		t.Fatalf("tokens %+v", ts)
	}
	wantEqual(t, restored(t, snapshotBytes(t, r.s)), r.s)
	if res := r.do(&TokenDrop{ID: "b"}); res.Code != CodeOK {
		t.Fatalf("drop: %+v", res)
	}
	if res := r.do(&TokenDrop{ID: "b"}); res.Code != CodeAbsent {
		t.Fatalf("drop again: %+v", res)
	}
	if _, ok := r.s.TokenByID("b"); ok {
		t.Fatal("b is still there")
	}
}

func TestConfigSet(t *testing.T) {
	r := newReplicaUnderTest(t)
	if rev := r.s.Revision(); rev == nil || rev.Number != 0 || rev.Config == nil {
		t.Fatalf("revision before the first: %+v", rev)
	}
	r.configure(testCluster("c1", time.Hour, "b", "a"), testCluster("c2", time.Hour, "a"))
	if res := r.do(&ConfigSet{Expect: 0, Config: testConfig()}); res.Code != CodeConflict || res.Revision != 1 {
		t.Fatalf("lost race: %+v", res)
	}
	if res := r.apply(rawEntry(kindConfigSet, []byte(`{"expect":1,"config":null}`))); res.Code != CodeInvalid {
		t.Fatalf("no configuration: %+v", res)
	}
	want := []InstanceRef{{"c1", "b"}, {"c1", "a"}, {"c2", "a"}}
	check := func() {
		t.Helper()
		for i, ref := range want {
			if got, ok := r.s.InstanceRef(InstanceID(i + 1)); !ok || got != ref {
				t.Errorf("id %d: %v, %v, want %v", i+1, got, ok, ref)
			}
			if id, ok := r.s.InstanceID(ref.Cluster, ref.Instance); !ok || id != InstanceID(i+1) {
				t.Errorf("%v: id %d, %v, want %d", ref, id, ok, i+1)
			}
		}
		for _, id := range []InstanceID{0, InstanceID(len(want) + 1)} {
			if ref, ok := r.s.InstanceRef(id); ok {
				t.Errorf("id %d is %v", id, ref)
			}
		}
	}
	check()
	// Who is removed keeps the id, and has it when it comes back.
	r.configure(testCluster("c3", time.Hour, "z"), testCluster("c1", time.Hour, "a"))
	want = append(want, InstanceRef{"c3", "z"})
	check()
	r.configure(testCluster("c1", time.Hour, "b", "n", "n"))
	want = append(want, InstanceRef{"c1", "n"})
	check()
	wantEqual(t, restored(t, snapshotBytes(t, r.s)), r.s)
}

func TestHistoryKeepsTheLast(t *testing.T) {
	r := newReplicaUnderTest(t)
	for n := range MaxRevisions + 20 {
		r.now = r.now.Add(time.Second)
		if res := r.configure(testCluster("c", time.Hour, fmt.Sprint("i", n%7))); res.Revision != uint64(n+1) {
			t.Fatalf("revision %d: %+v", n+1, res)
		}
	}
	all := r.s.Revisions()
	if len(all) != MaxRevisions || all[0].Number != 21 || all[MaxRevisions-1] != r.s.Revision() || r.s.Revision().Number != MaxRevisions+20 {
		t.Fatalf("%d revisions, from %d to %d", len(all), all[0].Number, all[len(all)-1].Number)
	}
	wantEqual(t, restored(t, snapshotBytes(t, r.s)), r.s)
}

func TestHistoryIsBoundedInBytes(t *testing.T) {
	h := new(history)
	var gone int
	for n := range 40 {
		var forgotten []*Revision
		h, forgotten = h.with(&Revision{Number: uint64(n + 1), raw: make([]byte, 4<<20)})
		gone += len(forgotten)
	}
	if len(h.revisions) != 16 || h.bytes != maxHistoryBytes || gone != 24 || h.current().Number != 40 {
		t.Fatalf("%d revisions of %d bytes, %d forgotten", len(h.revisions), h.bytes, gone)
	}
}

func TestExpire(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.configure(testCluster("long", 2*time.Hour, "i1"), testCluster("short", time.Minute, "i2"), testCluster("none", 0, "i3"))
	r.ops(SessionOp{Kind: OpAssign, Key: testKey(1), Instance: 1}, SessionOp{Kind: OpAssign, Key: testKey(2), Instance: 2},
		SessionOp{Kind: OpAssign, Key: testKey(3), Instance: 3}, SessionOp{Kind: OpAssign, Key: testKey(4), Instance: 2})
	sweep := func(after time.Duration, want ...int) {
		t.Helper()
		r.now = testStart.Add(after)
		for from := uint32(0); from < Shards; from += 1024 {
			if res := r.do(&Expire{Shard: from, Count: 1024}); res.Code != CodeOK {
				t.Fatalf("expire: %+v", res)
			}
		}
		if r.s.Len() != len(want) {
			t.Fatalf("after %v: %d sessions, want %v", after, r.s.Len(), want)
		}
		for _, n := range want {
			if _, ok := r.s.Lookup(testKey(n)); !ok {
				t.Fatalf("after %v: session %d is gone", after, n)
			}
		}
		wantCounts(t, r.s)
		wantEqual(t, restored(t, snapshotBytes(t, r.s)), r.s)
	}
	sweep(90*time.Second-time.Millisecond, 1, 2, 3, 4)
	r.ops(SessionOp{Kind: OpTouch, Key: testKey(4)})
	sweep(90*time.Second, 1, 3, 4)
	sweep(45*time.Minute-time.Millisecond, 1, 3)
	sweep(45*time.Minute, 1)
	// Removed from the configuration, so the default counts, no longer the cluster's two hours.
	r.configure(testCluster("short", time.Minute, "i2"))
	sweep(46 * time.Minute)

	for _, bad := range []Expire{{Shard: Shards}, {Shard: 0, Count: Shards + 1}, {Shard: Shards - 1, Count: 2}, {Shard: 1, Count: 1<<32 - 1}} {
		if res := r.do(&bad); res.Code != CodeInvalid {
			t.Errorf("%+v: %+v", bad, res)
		}
	}
}

func TestIdleLimit(t *testing.T) {
	for idle, want := range map[time.Duration]int64{
		-1: 45 * 60_000, 0: 45 * 60_000, 1: 2, time.Millisecond: 2, time.Millisecond + 1: 3, time.Minute: 90_000,
		1<<63 - 1: 9223372036855 + 4611686018428,
	} {
		if got := idleLimit(idle); got != want {
			t.Errorf("idle %v: %d ms, want %d", idle, got, want)
		}
	}
}

func TestCheckpoint(t *testing.T) {
	leader, follower, late := newReplicaUnderTest(t), newReplicaUnderTest(t), newReplicaUnderTest(t)
	check := func() CheckpointRecord {
		c := leader.s.Checkpoint()
		cmd := &Checkpoint{PrevIndex: c.Index, PrevDigest: c.Digest}
		leader.do(cmd)
		follower.do(cmd)
		return follower.s.Checkpoint()
	}
	for range 3 {
		if c := check(); c.Diverged != 0 || c.Index != follower.index || c.Digest != follower.s.Digest() || c != leader.s.Checkpoint() {
			t.Fatalf("equal replicas: %+v", c)
		}
	}
	// A replica that was restored has nothing to compare at first.
	late.s, late.index = restored(t, snapshotBytes(t, leader.s)), leader.index
	if c := late.s.Checkpoint(); c != (CheckpointRecord{}) {
		t.Fatalf("restored: %+v", c)
	}
	late.do(&Checkpoint{PrevIndex: leader.index, PrevDigest: Digest{1}})
	if c := late.s.Checkpoint(); c.Diverged != 0 {
		t.Fatalf("compared without a record: %+v", c)
	}
	// One assignment that only the follower has.
	leader.configure(testCluster("c", time.Hour, "i1"))
	follower.configure(testCluster("c", time.Hour, "i1"))
	leader.ops()
	follower.ops(SessionOp{Kind: OpAssign, Key: testKey(1), Instance: 1})
	at := leader.index + 1
	if c := check(); c.Diverged != 0 {
		t.Fatalf("diverged before the leader's digest is known: %+v", c)
	}
	for range 2 {
		if c := check(); c.Diverged != at {
			t.Fatalf("diverged at %d: %+v", at, c)
		}
		at = leader.index
	}
	// One that cannot be compared says nothing new; and it ends with what differed.
	both := func(c Command) { leader.do(c); follower.do(c) }
	both(&Checkpoint{PrevIndex: 1})
	if c := follower.s.Checkpoint(); c.Diverged == 0 {
		t.Fatalf("forgotten: %+v", c)
	}
	follower.ops(SessionOp{Kind: OpDrop, Key: testKey(1)})
	leader.ops()
	check()
	if c := check(); c.Diverged != 0 {
		t.Fatalf("equal again: %+v", c)
	}
	if c := leader.s.Checkpoint(); c.Diverged != 0 {
		t.Fatalf("leader: %+v", c)
	}
}

// A replica knows its digests at the last checkpoints, and an entry that asks for an image says so.
func TestCheckpointsAreRemembered(t *testing.T) {
	r := newReplicaUnderTest(t)
	if _, ok := r.s.CheckpointAt(0); ok {
		t.Error("there is a checkpoint before the first")
	}
	want := map[uint64]Digest{}
	for i := range maxPoints + 5 {
		r.now = r.now.Add(time.Second)
		r.do(&Checkpoint{Hold: i%2 == 1})
		want[r.index] = r.s.Digest()
		if c := r.s.Checkpoint(); c.Hold != (i%2 == 1) || c.Index != r.index {
			t.Fatalf("%+v", c)
		}
		r.ops()
	}
	kept := 0
	for index, d := range want {
		if got, ok := r.s.CheckpointAt(index); ok {
			kept++
			if got != d {
				t.Errorf("at %d: %s, want %s", index, got, d)
			}
		}
	}
	if _, newest := r.s.CheckpointAt(r.index - 1); kept != maxPoints || !newest {
		t.Errorf("%d checkpoints, want the last %d", kept, maxPoints)
	}
	if _, ok := r.s.CheckpointAt(r.index); ok {
		t.Error("an entry that is no checkpoint has a digest")
	}
	if _, ok := restored(t, snapshotBytes(t, r.s)).CheckpointAt(r.index - 1); ok {
		t.Error("a restored replica remembers another one's checkpoints")
	}
	with, without := newReplicaUnderTest(t), newReplicaUnderTest(t)
	with.do(&Checkpoint{Hold: true})
	without.do(&Checkpoint{})
	if with.s.Digest() != without.s.Digest() {
		t.Error("the image is part of the state")
	}
}

// Every kind of replicated thing has its part in the digest.
func TestDigestCoversEverything(t *testing.T) {
	base := func() *replicaUnderTest {
		r := newReplicaUnderTest(t)
		r.do(&GroupInit{Group: testGroup()})
		r.configure(testCluster("c", time.Hour, "i1", "i2"))
		r.do(&TokenPut{Token: testToken("a", RoleNode)})
		r.ops(SessionOp{Kind: OpAssign, Key: testKey(1), Instance: 1})
		return r
	}
	seen := map[Digest]string{base().s.Digest(): "nothing"}
	for name, change := range map[string]func(r *replicaUnderTest){
		"time":          func(r *replicaUnderTest) { r.now = r.now.Add(time.Millisecond); r.ops() },
		"seen":          func(r *replicaUnderTest) { r.cur().table.update(r.slotOf(1, 1, 5)) },
		"instance":      func(r *replicaUnderTest) { r.ops(SessionOp{Kind: OpMove, Key: testKey(1), Instance: 2, Expect: 1}) },
		"another key":   func(r *replicaUnderTest) { r.ops(SessionOp{Kind: OpAssign, Key: testKey(2), Instance: 1}) },
		"drop":          func(r *replicaUnderTest) { r.ops(SessionOp{Kind: OpDrop, Key: testKey(1)}) },
		"revision":      func(r *replicaUnderTest) { r.configure(testCluster("c", time.Hour, "i1", "i2")) },
		"instance name": func(r *replicaUnderTest) { r.configure(testCluster("c", time.Hour, "i1", "i2", "i3")) },
		"token":         func(r *replicaUnderTest) { r.do(&TokenPut{Token: testToken("b", RoleNode)}) },
		"token use":     func(r *replicaUnderTest) { r.do(&TokenUse{ID: "a", UsedBy: []byte("k")}) },
		"token drop":    func(r *replicaUnderTest) { r.do(&TokenDrop{ID: "a"}) },
		"request":       func(r *replicaUnderTest) { r.do(&TokenDrop{RequestID: testRequestID(1), ID: "none"}) },
	} {
		r := base()
		change(r)
		r.cur().publish(r.index + 1)
		d := r.s.Digest()
		if other, ok := seen[d]; ok {
			t.Errorf("%s: the same digest as %s", name, other)
		}
		seen[d] = name
	}
}

func (r *replicaUnderTest) cur() *replica { return r.s.cur.Load() }

// slotOf gives the arguments of table.update for an assignment.
func (r *replicaUnderTest) slotOf(n int, instance InstanceID, seen uint32) (*shard, int, slot) {
	k := testKey(n)
	sh, i := r.cur().table.find(&k)
	return sh, i, slot{key: k, instance: instance, seen: seen}
}
