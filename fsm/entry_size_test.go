package fsm

import "testing"

// TestLogBytesPerSession is what a new session costs in the log and on the way to each follower: 28 bytes, and a 14-byte header for all that share an entry.
func TestLogBytesPerSession(t *testing.T) { // TIP-02, docs/SCALE.md
	for n, want := range map[int]int{1: 42, 64: 1806, 4096: 114702} {
		ops := make([]SessionOp, n)
		for i := range ops {
			ops[i] = SessionOp{Kind: OpAssign, Key: testKey(i), Instance: 1, Module: 1, Reason: ReasonPolicy}
		}
		if got := len(EncodeSessions(testStart, ops)); got != want {
			t.Errorf("%d sessions take %d bytes, want %d", n, got, want)
		}
	}
}

// TestLogBytesPerStoredValue is what a write of the store costs in the log beside its bytes and its type, and what a splice costs in all: docs/BENCHMARKS.md.
func TestLogBytesPerStoredValue(t *testing.T) {
	if got := len(mustEncode(t, testStart, &StorePut{StoreKey: ofSession(1), Data: make([]byte, 1<<10)})); got != 1<<10+80 {
		t.Errorf("a value of 1 KiB takes %d bytes", got)
	}
	if got := len(mustEncode(t, testStart, &StoreSplice{StoreKey: ofSession(1), At: 700, Cut: 1, Insert: []byte("3")})); got != 76 {
		t.Errorf("a splice of one byte takes %d bytes", got)
	}
}
