package h1

import "testing"

// TestWhatWaitsGrowsInSteps: answers of TLS that a client does not take come in tens of bytes, and must not cost a copy of all that wait each.
func TestWhatWaitsGrowsInSteps(t *testing.T) {
	l, s := &loop{}, &sock{}
	l.bufs.most = 16 << 20
	record := make([]byte, 27)
	moves, at := 0, 0
	for len(s.out) <= unheardMost {
		l.keep(s, [][]byte{record}, 0)
		if cap(s.out) != at {
			moves, at = moves+1, cap(s.out)
		}
	}
	if moves > 8 || cap(s.out) > 2*unheardMost {
		t.Errorf("moved %d times, to %d bytes", moves, cap(s.out))
	}
}
