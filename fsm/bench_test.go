package fsm

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"
)

// The sizes of benchmarks; HOLDFAST_BENCH_10M=1 adds ten million.
func benchSizes() []int {
	if os.Getenv("HOLDFAST_BENCH_10M") != "" {
		return []int{1_000_000, 10_000_000}
	}
	return []int{1_000_000}
}

func filled(b *testing.B, n int) *replicaUnderTest {
	b.Helper()
	r := newReplicaUnderTest(b)
	r.configure(testCluster("c", 30*time.Minute, "i1", "i2", "i3", "i4"))
	fillSessions(b, r, 0, n, 4)
	return r
}

func forSizes(b *testing.B, f func(b *testing.B, r *replicaUnderTest, n int)) {
	for _, n := range benchSizes() {
		r := filled(b, n)
		b.Run(fmt.Sprintf("entries=%d", n), func(b *testing.B) { f(b, r, n) })
	}
}

func BenchmarkLookup(b *testing.B) {
	forSizes(b, func(b *testing.B, r *replicaUnderTest, n int) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			if _, ok := r.s.Lookup(testKey(i % n)); !ok {
				b.Fatal("lost")
			}
			i += 7919
		}
	})
}

func BenchmarkLookupParallel(b *testing.B) {
	forSizes(b, func(b *testing.B, r *replicaUnderTest, n int) {
		b.RunParallel(func(p *testing.PB) {
			for i := 0; p.Next(); i += 7919 {
				if _, ok := r.s.Lookup(testKey(i % n)); !ok {
					b.Error("lost")
					return
				}
			}
		})
	})
}

// BenchmarkApplyNew applies batches of 512 new sessions.
func BenchmarkApplyNew(b *testing.B) {
	forSizes(b, func(b *testing.B, r *replicaUnderTest, n int) {
		const batch = 512
		ops := make([]SessionOp, batch)
		next := n
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			for i := range ops {
				ops[i] = SessionOp{Kind: OpAssign, Key: testKey(next), Instance: 1}
				next++
			}
			entry := EncodeSessions(r.now, ops)
			b.StartTimer()
			r.apply(entry)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batch, "ns/session")
	})
}

// BenchmarkApplyTouch applies batches of 512 touches of known sessions.
func BenchmarkApplyTouch(b *testing.B) {
	forSizes(b, func(b *testing.B, r *replicaUnderTest, n int) {
		const batch = 512
		ops := make([]SessionOp, batch)
		next := 0
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			for i := range ops {
				ops[i] = SessionOp{Kind: OpTouch, Key: testKey(next % n)}
				next += 7919
			}
			r.now = r.now.Add(time.Second)
			entry := EncodeSessions(r.now, ops)
			b.StartTimer()
			r.apply(entry)
		}
	})
}

// BenchmarkSnapshotPause is the time for which Snapshot keeps the writer.
func BenchmarkSnapshotPause(b *testing.B) {
	forSizes(b, func(b *testing.B, r *replicaUnderTest, _ int) {
		var took durations
		for b.Loop() {
			start := time.Now()
			snap := r.s.Snapshot()
			took = append(took, time.Since(start))
			snap.Release()
		}
		took.report(b)
	})
}

// BenchmarkApplyAfterSnapshot is the dearest case for the writer: a snapshot is held, and each of 512 new sessions falls
// into a shard that has to be copied first.
func BenchmarkApplyAfterSnapshot(b *testing.B) {
	forSizes(b, func(b *testing.B, r *replicaUnderTest, n int) {
		const batch = 512
		ops := make([]SessionOp, batch)
		next := 1 << 40
		var took durations
		for b.Loop() {
			b.StopTimer()
			for i := range ops {
				ops[i] = SessionOp{Kind: OpAssign, Key: testKey(next), Instance: 1}
				next++
			}
			entry := EncodeSessions(r.now, ops)
			snap := r.s.Snapshot()
			b.StartTimer()
			start := time.Now()
			r.apply(entry)
			took = append(took, time.Since(start))
			snap.Release()
		}
		took.report(b)
	})
}

// durations of single calls. The median is what the code costs; the maximum has the scheduler and other processes in it.
type durations []time.Duration

func (d durations) report(b *testing.B) {
	slices.Sort(d)
	b.ReportMetric(float64(d[0].Microseconds()), "min-µs")
	b.ReportMetric(float64(d[len(d)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(d[len(d)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(d[len(d)-1].Microseconds()), "max-µs")
}

func BenchmarkSnapshotWrite(b *testing.B) {
	forSizes(b, func(b *testing.B, r *replicaUnderTest, n int) {
		var size int64
		for b.Loop() {
			snap := r.s.Snapshot()
			var err error
			if size, err = snap.WriteTo(io.Discard); err != nil {
				b.Fatal(err)
			}
			snap.Release()
		}
		b.ReportMetric(float64(size)/float64(n), "B/assignment")
	})
}

func BenchmarkRestore(b *testing.B) {
	forSizes(b, func(b *testing.B, r *replicaUnderTest, n int) {
		snapshot := snapshotBytes(b, r.s)
		s := New()
		for b.Loop() {
			if err := s.Restore(bytes.NewReader(snapshot)); err != nil {
				b.Fatal(err)
			}
		}
		if s.Digest() != r.s.Digest() {
			b.Fatal("digests differ")
		}
	})
}

// BenchmarkMemory is the live heap for each assignment, for a table that has grown and for one that was restored.
func BenchmarkMemory(b *testing.B) {
	for _, n := range benchSizes() {
		b.Run(fmt.Sprintf("entries=%d", n), func(b *testing.B) {
			var grown, back float64
			for b.Loop() {
				before := liveHeap()
				r := filled(b, n)
				grown = float64(liveHeap()-before) / float64(n)
				snapshot := snapshotBytes(b, r.s)
				runtime.KeepAlive(r)
				r = nil
				before = liveHeap()
				s := restored(b, snapshot)
				back = float64(liveHeap()-before) / float64(n)
				runtime.KeepAlive(s)
				runtime.KeepAlive(snapshot)
			}
			b.ReportMetric(grown, "B/assignment")
			b.ReportMetric(back, "B/assignment-restored")
		})
	}
}

func liveHeap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
