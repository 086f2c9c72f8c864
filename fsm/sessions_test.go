package fsm

import (
	"math"
	"testing"
	"time"
)

func TestSessionOps(t *testing.T) {
	a, b, c := testKey(1), testKey(2), testKey(3) // a is on 1, b on 2, c is absent
	tests := []struct {
		name string
		op   SessionOp
		code Code
		inst InstanceID // of the result
		want InstanceID // in the state afterwards
	}{
		{"assign absent", SessionOp{Kind: OpAssign, Key: c, Instance: 2}, CodeOK, 2, 2},
		{"assign present", SessionOp{Kind: OpAssign, Key: a, Instance: 2}, CodeExists, 1, 1},
		{"assign again", SessionOp{Kind: OpAssign, Key: a, Instance: 1}, CodeExists, 1, 1},
		{"assign to nobody", SessionOp{Kind: OpAssign, Key: c, Instance: 0}, CodeUnknownInstance, 0, 0},
		{"assign to unknown", SessionOp{Kind: OpAssign, Key: c, Instance: 9}, CodeUnknownInstance, 0, 0},
		{"assign to largest", SessionOp{Kind: OpAssign, Key: c, Instance: math.MaxUint32}, CodeUnknownInstance, 0, 0},
		{"move", SessionOp{Kind: OpMove, Key: a, Instance: 2, Expect: 1}, CodeOK, 2, 2},
		{"move again", SessionOp{Kind: OpMove, Key: b, Instance: 2, Expect: 1}, CodeOK, 2, 2},
		{"move lost race", SessionOp{Kind: OpMove, Key: b, Instance: 3, Expect: 1}, CodeMismatch, 2, 2},
		{"move absent as expected", SessionOp{Kind: OpMove, Key: c, Instance: 3}, CodeOK, 3, 3},
		{"move expected absent", SessionOp{Kind: OpMove, Key: a, Instance: 3}, CodeMismatch, 1, 1},
		{"move absent", SessionOp{Kind: OpMove, Key: c, Instance: 3, Expect: 1}, CodeAbsent, 0, 0},
		{"move to unknown", SessionOp{Kind: OpMove, Key: a, Instance: 9, Expect: 1}, CodeUnknownInstance, 1, 1},
		{"move to nobody", SessionOp{Kind: OpMove, Key: a, Instance: 0, Expect: 1}, CodeUnknownInstance, 1, 1},
		{"touch", SessionOp{Kind: OpTouch, Key: a}, CodeOK, 1, 1},
		{"touch absent", SessionOp{Kind: OpTouch, Key: c, Instance: 1}, CodeAbsent, 0, 0},
		{"drop", SessionOp{Kind: OpDrop, Key: a}, CodeOK, 0, 0},
		{"drop expected", SessionOp{Kind: OpDrop, Key: a, Expect: 1}, CodeOK, 0, 0},
		{"drop another", SessionOp{Kind: OpDrop, Key: a, Expect: 2}, CodeMismatch, 1, 1},
		{"drop absent", SessionOp{Kind: OpDrop, Key: c}, CodeAbsent, 0, 0},
		{"kind of a newer version", SessionOp{Kind: 200, Key: a}, CodeUnknownOp, 1, 1},
		{"kind zero", SessionOp{Key: a}, CodeUnknownOp, 1, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newReplicaUnderTest(t)
			r.configure(testCluster("c", time.Hour, "i1", "i2", "i3"))
			r.ops(SessionOp{Kind: OpAssign, Key: a, Instance: 1}, SessionOp{Kind: OpAssign, Key: b, Instance: 2})
			before := dumpOf(r.s)
			// No time passes, so that only the operation itself can change the digest.
			got := r.ops(tt.op)[0]
			if want := (SessionResult{tt.code, tt.inst, r.index}); got != want {
				t.Fatalf("result %+v, want %+v", got, want)
			}
			if after, _ := r.s.Lookup(tt.op.Key); after.Instance != tt.want {
				t.Fatalf("instance %d afterwards, want %d", after.Instance, tt.want)
			}
			if tt.code != CodeOK && r.s.Digest() != before.Digest {
				t.Fatal("a refusal has changed the state")
			}
			wantCounts(t, r.s)
			wantEqual(t, restored(t, snapshotBytes(t, r.s)), r.s)
		})
	}
}

func TestSessionSeen(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.configure(testCluster("c", time.Hour, "i1", "i2"))
	k := testKey(1)
	seen := func() time.Time {
		t.Helper()
		a, ok := r.s.Lookup(k)
		if !ok {
			t.Fatal("no assignment")
		}
		return a.SeenAt()
	}
	step := func(after time.Duration, op SessionOp, want time.Time) {
		t.Helper()
		r.now = testStart.Add(after)
		r.ops(op)
		if got := seen(); !got.Equal(want) {
			t.Fatalf("seen %v, want %v", got, want)
		}
	}
	step(1999*time.Millisecond, SessionOp{Kind: OpAssign, Key: k, Instance: 1}, testStart.Add(time.Second))
	step(time.Minute, SessionOp{Kind: OpTouch, Key: k}, testStart.Add(time.Minute))
	step(2*time.Minute, SessionOp{Kind: OpAssign, Key: k, Instance: 2}, testStart.Add(time.Minute))
	step(3*time.Minute, SessionOp{Kind: OpMove, Key: k, Instance: 2, Expect: 1}, testStart.Add(3*time.Minute))
	// The clock of a new leader may be behind: replicated time stays.
	step(time.Minute, SessionOp{Kind: OpTouch, Key: k}, testStart.Add(3*time.Minute))
	if want := testStart.Add(3 * time.Minute); !r.s.Now().Equal(want) {
		t.Fatalf("replicated time %v, want %v", r.s.Now(), want)
	}
}

// Clocks from the dawn and the end of time must neither overflow nor make a state that cannot be restored.
func TestAbsurdTimes(t *testing.T) {
	for _, ms := range []int64{math.MinInt64, -1, 0, 1, SeenEpoch*1000 - 1, maxNow, maxNow + 1, math.MaxInt64} {
		r := newReplicaUnderTest(t)
		r.now = time.UnixMilli(ms)
		r.configure(testCluster("c", math.MaxInt64, "i1"))
		r.ops(SessionOp{Kind: OpAssign, Key: testKey(1), Instance: 1})
		r.do(&Expire{Count: Shards})
		if r.s.Len() != 1 {
			t.Fatalf("time %d: session is gone", ms)
		}
		wantEqual(t, restored(t, snapshotBytes(t, r.s)), r.s)
	}
}

func TestApplyAllocatesOnlyResults(t *testing.T) {
	r := newReplicaUnderTest(t)
	r.configure(testCluster("c", time.Hour, "i1", "i2"))
	fillSessions(t, r, 0, 512, 2)
	var ops []SessionOp
	for n := range 512 {
		ops = append(ops, SessionOp{Kind: OpMove, Key: testKey(n), Instance: InstanceID(n%2 + 1), Expect: InstanceID((n+1)%2 + 1)})
	}
	b := EncodeSessions(r.now, ops)
	if n := testing.AllocsPerRun(100, func() { r.apply(b) }); n > 1 {
		t.Errorf("Apply of a session batch: %v allocations, want 1", n)
	}
	k := testKey(7)
	if n := testing.AllocsPerRun(100, func() { r.s.Lookup(k) }); n > 0 {
		t.Errorf("Lookup: %v allocations, want 0", n)
	}
}
