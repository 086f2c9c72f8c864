package fsm

import (
	"reflect"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// assign, move and drop are operations on key n.
func assign(n int, to InstanceID) SessionOp {
	return SessionOp{Kind: OpAssign, Key: testKey(n), Instance: to, Reason: ReasonPolicy}
}

func move(n int, from, to InstanceID) SessionOp {
	return SessionOp{Kind: OpMove, Key: testKey(n), Instance: to, Expect: from, Reason: ReasonUnavailable}
}

func drop(n int) SessionOp { return SessionOp{Kind: OpDrop, Key: testKey(n), Reason: ReasonOperator} }

func (r *replicaUnderTest) wantDecisions(n int, whole bool, want ...Decision) {
	r.t.Helper()
	got, all := r.s.Decisions(testKey(n))
	if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) || all != whole {
		r.t.Fatalf("%+v, whole %v\nwant %+v, whole %v", got, all, want, whole)
	}
}

// The history of a session: where it was, why, and the log index of each decision.
func TestDecisions(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.configure(testCluster("c", time.Minute, "i1", "i2", "i3"))
	r.wantDecisions(1, false)
	r.ops(assign(1, 1))
	first := Decision{Index: 2, To: 1, Reason: ReasonPolicy}
	r.wantDecisions(1, true, first)
	r.at(time.Second)
	r.ops(move(1, 1, 2), SessionOp{Kind: OpTouch, Key: testKey(1)})
	second := Decision{Index: 3, Time: testStart.Add(time.Second), From: 1, To: 2, Reason: ReasonUnavailable}
	r.wantDecisions(1, true, first, second)
	r.ops(move(1, 1, 2)) // sent again: no decision
	r.wantDecisions(1, true, first, second)
	r.at(2 * time.Second)
	r.ops(move(1, 2, 3), drop(1))
	third := Decision{Index: 5, Time: testStart.Add(2 * time.Second), From: 2, To: 3, Reason: ReasonUnavailable}
	last := Decision{Index: 5, Time: testStart.Add(2 * time.Second), From: 3, Reason: ReasonOperator}
	r.wantDecisions(1, true, first, second, third, last)
	r.survives()
	r.ops(assign(1, 2))
	again := Decision{Index: 6, To: 2, Reason: ReasonPolicy}
	r.wantDecisions(1, true, first, second, third, last, again)
	// Expiry leaves what was remembered, and adds nothing.
	r.at(time.Hour)
	r.do(&Expire{Count: Shards})
	r.wantDecisions(1, true, first, second, third, last)
	// All in one entry.
	r.ops(assign(2, 1), move(2, 1, 2), move(2, 2, 1), drop(2), assign(2, 3))
	at := testStart.Add(time.Hour)
	r.wantDecisions(2, true, Decision{Index: 8, To: 1, Reason: ReasonPolicy}, Decision{Index: 8, Time: at, From: 1, To: 2, Reason: ReasonUnavailable},
		Decision{Index: 8, Time: at, From: 2, To: 1, Reason: ReasonUnavailable}, Decision{Index: 8, Time: at, From: 1, Reason: ReasonOperator},
		Decision{Index: 8, To: 3, Reason: ReasonPolicy})
	r.survives()
}

// What an older version decided has no index: it is said to be unknown, not made up.
func TestDecisionsOfAnOlderVersion(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.configure(testCluster("c", time.Minute, "i1", "i2"))
	r.ops(SessionOp{Kind: OpAssign, Key: testKey(1), Instance: 1})
	r.wantDecisions(1, false, Decision{To: 1})
	r.ops(move(1, 1, 2))
	r.wantDecisions(1, false, Decision{To: 1}, Decision{Index: 3, Time: testStart, From: 1, To: 2, Reason: ReasonUnavailable})
	r.survives()
}

// The memory is bounded, and honest about what it may have lost.
func TestDecisionsAreForgotten(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.configure(testCluster("c", time.Hour, "i1", "i2"))
	r.ops(assign(1, 1), assign(2, 1), assign(3, 1))
	r.ops(move(1, 1, 2))
	r.wantDecisions(1, true, Decision{Index: 2, To: 1, Reason: ReasonPolicy}, Decision{Index: 3, Time: testStart, From: 1, To: 2, Reason: ReasonUnavailable})
	var ops []SessionOp
	for n := range maxDecisions {
		from := InstanceID(n%2 + 1)
		ops = append(ops, move(2, from, 3-from))
	}
	r.ops(ops...)
	if got := len(r.cur().decisions.last()); got != maxDecisions {
		t.Fatalf("%d decisions, want %d", got, maxDecisions)
	}
	// Key 1: its assignment is lost, its move is in the table; key 2: the ring begins with it, perhaps not with its first; key 3 never moved,
	// but that is no longer known.
	r.wantDecisions(1, false, Decision{Index: 3, To: 2, Reason: ReasonUnavailable})
	if list, whole := r.s.Decisions(testKey(2)); len(list) != maxDecisions+1 || whole {
		t.Fatalf("%d decisions, whole %v", len(list), whole)
	}
	r.wantDecisions(3, false, Decision{Index: 2, To: 1, Reason: ReasonPolicy})
	r.ops(assign(4, 1))
	r.wantDecisions(4, true, Decision{Index: 5, To: 1, Reason: ReasonPolicy})
	r.survives()
	r.ops(move(4, 1, 2))
	r.survives()
}

// ADR 10: a move that is sent again after its session was moved away and back does not move it once more.
func TestMoveAt(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.configure(testCluster("c", time.Hour, "i1", "i2", "i3"))
	r.ops(assign(1, 1))
	a, _ := r.s.Lookup(testKey(1))
	first := SessionOp{Kind: OpMoveAt, Key: testKey(1), Instance: 2, Version: uint32(a.Index), Reason: ReasonUnavailable}
	want := func(op SessionOp, code Code, inst InstanceID) {
		t.Helper()
		if got := r.ops(op)[0]; got.Code != code || got.Instance != inst {
			t.Fatalf("%+v, want code %d and instance %d", got, code, inst)
		}
	}
	want(first, CodeOK, 2)
	want(first, CodeOK, 2) // its outcome was unknown
	want(move(1, 2, 1), CodeOK, 1)
	want(first, CodeMismatch, 1) // a plain move would succeed here
	want(drop(1), CodeOK, 0)
	want(first, CodeAbsent, 0)
	r.ops(SessionOp{Kind: OpAssign, Key: testKey(2), Instance: 1}) // of an older version: no index
	want(SessionOp{Kind: OpMoveAt, Key: testKey(2), Instance: 2, Reason: ReasonUnavailable}, CodeMismatch, 1)
	want(SessionOp{Kind: OpMoveAt, Key: testKey(2), Instance: 9, Reason: ReasonUnavailable}, CodeUnknownInstance, 1)
}

// OpAssign and OpMove keep an instance's bound, whatever order they come in; a session that is there already may stay.
func TestMaxSessions(t *testing.T) {
	r := newReplicaUnderTest(t)
	c := testCluster("c", time.Minute, "i1", "i2")
	c.Instances[0].MaxSessions = 2
	r.configure(c)
	want := func(op SessionOp, code Code, inst InstanceID) {
		t.Helper()
		if got := r.ops(op)[0]; got.Code != code || got.Instance != inst {
			t.Fatalf("%+v: %+v, want code %d and instance %d", op, got, code, inst)
		}
	}
	res := r.ops(assign(1, 1), assign(2, 1), assign(3, 1), assign(4, 2))
	if res[0].Code != CodeOK || res[1].Code != CodeOK || res[2].Code != CodeFull || res[2].Instance != 0 {
		t.Fatalf("%+v", res)
	}
	want(move(4, 2, 1), CodeFull, 2)
	want(move(5, 0, 1), CodeFull, 0)
	want(move(1, 2, 1), CodeOK, 1) // stays
	want(assign(1, 1), CodeExists, 1)
	want(move(9, 2, 1), CodeAbsent, 0)
	r.survives()
	want(drop(2), CodeOK, 0)
	want(move(4, 2, 1), CodeOK, 1)
	want(assign(3, 1), CodeFull, 0)
	// A smaller bound moves nobody away; a larger one lets in at once.
	c.Instances = []config.Instance{c.Instances[0], c.Instances[1]}
	c.Instances[0].MaxSessions = 1
	r.configure(c)
	want(move(1, 2, 1), CodeOK, 1)
	want(assign(3, 1), CodeFull, 0)
	c.Instances = []config.Instance{c.Instances[0], c.Instances[1]}
	c.Instances[0].MaxSessions = 3
	r.configure(c)
	want(assign(3, 1), CodeOK, 1)
	// What expires makes room.
	r.at(time.Hour)
	r.do(&Expire{Count: Shards})
	want(assign(6, 1), CodeOK, 1)
	wantCounts(t, r.s)
}

func TestModuleOfASession(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.change(func(c *config.Cluster) {
		c.Modules = append(c.Modules, config.Module{ContextRoot: "/b", Enabled: true})
	})
	of := func(n int) ModuleID {
		a, _ := r.s.Lookup(testKey(n))
		return a.Module
	}
	with := func(op SessionOp, m ModuleID) SessionOp { op.Module = m; return op }
	touch := func(n int) SessionOp { return SessionOp{Kind: OpTouch, Key: testKey(n)} }
	r.ops(with(assign(1, 1), 1), assign(2, 1), assign(3, 1), with(assign(4, 1), 99))
	if of(1) != 1 || of(2) != 0 || of(4) != 0 || r.s.ModuleSessions(1) != 1 {
		t.Fatal("assign: wrong modules")
	}
	r.ops(with(touch(2), 2), with(move(3, 1, 2), 2), with(touch(1), 2), with(move(1, 1, 2), 2), with(touch(4), 99))
	if of(1) != 1 || of(2) != 2 || of(3) != 2 || of(4) != 0 || r.s.ModuleSessions(2) != 2 {
		t.Fatal("touch, move: filled in where unknown, and only there")
	}
	r.ops(with(move(4, 9, 1), 1)) // stays, fills in
	if of(4) != 1 || r.s.ModuleSessions(1) != 2 {
		t.Fatal("a move that stays fills it in too")
	}
	r.survives()
	wantCounts(t, r.s)
	r.ops(drop(1))
	r.at(3 * time.Hour)
	r.do(&Expire{Count: Shards})
	if r.s.ModuleSessions(1) != 0 || r.s.ModuleSessions(2) != 0 {
		t.Fatal("counted, and gone")
	}
}

// Reasons are numbers on disk in four bits: each keeps its number and its words, in operations and in snapshots.
func TestReasons(t *testing.T) {
	words := map[Reason]string{1: "chosen by the policy", 7: "the instance had been quiesced or stopped", 13: "idle for too long", 14: "no client heard of it", 15: "unknown", 255: "unknown"}
	for reason, want := range words {
		if got := reason.String(); got != want {
			t.Errorf("reason %d is %q, want %q", reason, got, want)
		}
	}
	if ReasonExpired != 13 || ReasonUnanswered != 14 || ReasonUnanswered > maxReason {
		t.Error("numbers of reasons have changed, or do not fit")
	}
	r := newReplicaUnderTest(t)
	r.configure(testCluster("c", time.Hour, "i1", "i2"))
	r.ops(assign(1, 1))
	r.ops(SessionOp{Kind: OpDrop, Key: testKey(1), Expect: 1, Reason: ReasonUnanswered})
	want := []Decision{{Index: 2, To: 1, Reason: ReasonPolicy}, {Index: 3, Time: r.s.Now(), From: 1, Reason: ReasonUnanswered}}
	r.wantDecisions(1, true, want...)
	r.survives()
	r.wantDecisions(1, true, want...)
}
