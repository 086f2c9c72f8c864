package storage

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
)

const benchSize = 256 // bytes of data in an entry: a batch of nine session records

// bareBolt is raft-boltdb as it comes, with the same options.
func bareBolt(b *testing.B) *raftboltdb.BoltStore {
	b.Helper()
	s, err := raftboltdb.New(raftboltdb.Options{Path: filepath.Join(b.TempDir(), boltName), BoltOptions: boltOptions()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

func BenchmarkStoreLogs(b *testing.B) {
	for _, batch := range []uint64{1, 64, 1024} {
		run := func(b *testing.B, l raft.LogStore) {
			logs := entries(1, batch, benchSize)
			next := uint64(1)
			b.SetBytes(int64(batch) * benchSize)
			for b.Loop() {
				for _, e := range logs {
					e.Index = next
					next++
				}
				if err := l.StoreLogs(logs); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.Run(fmt.Sprintf("holdfast/%d", batch), func(b *testing.B) { run(b, newDir(b).Log()) })
		b.Run(fmt.Sprintf("bare/%d", batch), func(b *testing.B) { run(b, bareBolt(b)) })
	}
}

func BenchmarkGetLog(b *testing.B) {
	const n = 10_000
	run := func(b *testing.B, l raft.LogStore) {
		if err := l.StoreLogs(entries(1, n, benchSize)); err != nil {
			b.Fatal(err)
		}
		i := uint64(0)
		var log raft.Log
		for b.Loop() {
			if err := l.GetLog(1+i%n, &log); err != nil {
				b.Fatal(err)
			}
			i++
		}
	}
	b.Run("holdfast", func(b *testing.B) { run(b, newDir(b).Log()) })
	b.Run("bare", func(b *testing.B) { run(b, bareBolt(b)) })
}

// benchDir makes a closed directory of 100,000 entries.
func benchDir(b *testing.B) string {
	b.Helper()
	d := newDir(b)
	for i := uint64(1); i <= 100_000; i += 1000 {
		store(b, d.Log(), entries(i, i+999, benchSize)...)
	}
	mustClose(b, d)
	return d.Path()
}

func BenchmarkVerify100k(b *testing.B) {
	path := benchDir(b)
	for b.Loop() {
		if r, err := Verify(path); err != nil || r.Entries != 100_000 {
			b.Fatal(r, err)
		}
	}
}

func BenchmarkOpen100k(b *testing.B) {
	path := benchDir(b)
	for b.Loop() {
		d, err := Open(path)
		if err != nil {
			b.Fatal(err)
		}
		mustClose(b, d)
	}
}

// BenchmarkOpenSmall is what the fault tests do tens of thousands of times.
func BenchmarkOpenSmall(b *testing.B) {
	d := newDir(b)
	store(b, d.Log(), entries(1, 40, 150)...)
	mustClose(b, d)
	for b.Loop() {
		d, err := Open(d.Path())
		if err != nil {
			b.Fatal(err)
		}
		mustClose(b, d)
	}
}

// BenchmarkCompact deletes 65,536 entries from the front, what raft does after each snapshot.
func BenchmarkCompact(b *testing.B) {
	const n = 65_536
	run := func(b *testing.B, l raft.LogStore) {
		next := uint64(1)
		for b.Loop() {
			b.StopTimer()
			for range n / 1024 {
				if err := l.StoreLogs(entries(next, next+1023, benchSize)); err != nil {
					b.Fatal(err)
				}
				next += 1024
			}
			b.StartTimer()
			if err := l.DeleteRange(1, next-2); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("holdfast", func(b *testing.B) { run(b, newDir(b).Log()) })
	b.Run("bare", func(b *testing.B) { run(b, bareBolt(b)) })
}
