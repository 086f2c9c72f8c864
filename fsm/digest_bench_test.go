package fsm

import (
	"testing"
	"time"
)

// What self-audit costs with a million sessions: a checkpoint, as each second has one; and what only a node that is wrong asks for: the image, and the digests of shards and parts.
func BenchmarkAudit(b *testing.B) {
	r := newReplicaUnderTest(b)
	r.configure(testCluster("c", time.Hour, "i1", "i2"))
	fillSessions(b, r, 0, 1_000_000, 2)
	b.Run("checkpoint", func(b *testing.B) {
		b.ReportAllocs()
		entry := mustEncode(b, r.now, &Checkpoint{PrevIndex: 1_000_000, PrevDigest: Digest{1}})
		for b.Loop() {
			r.apply(entry)
		}
		b.ReportMetric(float64(len(entry)), "B/entry")
	})
	b.Run("image", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.s.Snapshot().Release()
		}
	})
	s := r.s.Snapshot()
	defer s.Release()
	b.Run("shards", func(b *testing.B) {
		for b.Loop() {
			s.ShardDigests()
		}
	})
	b.Run("parts", func(b *testing.B) {
		for b.Loop() {
			s.Parts()
		}
	})
}
