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
