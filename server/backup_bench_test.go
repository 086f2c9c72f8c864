package server

import (
	"bytes"
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

// BenchmarkBackup answers: how long do backup, verification and restore of a million assignments take? It reports milliseconds for each.
// Run it with -benchtime 3x.
func BenchmarkBackup(b *testing.B) {
	g := startGroup(b, 1)
	g.configure(b, "http://127.0.0.1:1")
	fill(b, g.servers[0], 1_000_000)
	var create, verify, restore time.Duration
	rounds := 0
	for b.Loop() {
		fill(b, g.servers[0], 1) // a snapshot needs something new in the log
		start := time.Now()
		taken, err := g.servers[0].backup(b.Context(), wire.ValuesWhole)
		if err != nil {
			b.Fatal(err)
		}
		var archived bytes.Buffer
		if err := taken.Write(&archived); err != nil {
			b.Fatal(err)
		}
		_ = taken.Close()
		create += time.Since(start)
		start = time.Now()
		if _, err := VerifyArchive(bytes.NewReader(archived.Bytes())); err != nil {
			b.Fatal(err)
		}
		verify += time.Since(start)
		start = time.Now()
		if _, err := RestoreArchive(bytes.NewReader(archived.Bytes()), Restoration{DataDir: filepath.Join(b.TempDir(), "data"), Name: "n1"}); err != nil {
			b.Fatal(err)
		}
		restore += time.Since(start)
		rounds++
	}
	per := func(d time.Duration) float64 { return float64(d.Milliseconds()) / float64(rounds) }
	b.ReportMetric(per(create), "create-ms")
	b.ReportMetric(per(verify), "verify-ms")
	b.ReportMetric(per(restore), "restore-ms")
	b.ReportMetric(0, "ns/op")
}
