package fsm

import (
	"runtime"
	"testing"
	"time"
)

// The live heap for each assignment, at many fills on the way from a quarter of a million to a million, with all that the state has besides:
// at most 48 bytes (docs/adr/0011).
func TestMemoryPerAssignment(t *testing.T) {
	const most = 48
	before := liveHeap()
	r := newReplicaUnderTest(t)
	r.configure(testCluster("c", 30*time.Minute, "i1", "i2", "i3", "i4"))
	worst, at := 0.0, 0
	const step = 25_000
	for n := step; n <= 1_000_000; n += step {
		fillSessions(t, r, n-step, n, 4)
		if n < 250_000 {
			continue // the shards themselves, half a MiB, count for too much
		}
		if each := float64(liveHeap()-before) / float64(n); each > worst {
			worst, at = each, n
		}
	}
	if worst > most {
		t.Fatalf("%.2f bytes for each of %d assignments, want at most %d", worst, at, most)
	}
	snapshot := snapshotBytes(t, r.s)
	runtime.KeepAlive(r)
	r = nil
	before = liveHeap()
	s := restored(t, snapshot)
	back := float64(liveHeap()-before) / 1e6
	if back > most {
		t.Fatalf("restored: %.2f bytes for each assignment, want at most %d", back, most)
	}
	runtime.KeepAlive(s)
	runtime.KeepAlive(snapshot)
	t.Logf("at most %.2f bytes (at %d), restored %.2f", worst, at, back)
}
