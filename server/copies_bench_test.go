package server

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/admin/client"
)

// BenchmarkStoreCopies answers: what do values of 64 KiB and 1 MiB cost when all nodes have them, and when two have? Three and five nodes in one process, one writer at a node, over HTTP. It reports the bytes that come onto all disks
// for each value (files as long as they are), and the memory that all nodes together keep of it. Run it with -benchtime 100x.
func BenchmarkStoreCopies(b *testing.B) {
	for _, nodes := range []int{3, 5} {
		for _, copies := range []string{"all", "2"} {
			for _, kib := range []int{64, 1023} {
				b.Run(fmt.Sprintf("nodes=%d/copies=%s/%dKiB", nodes, copies, kib), func(b *testing.B) {
					g := startGroup(b, nodes)
					g.apply(b, g.servers[0], strings.ReplaceAll(strings.ReplaceAll(copiesText, "copies: 2", "copies: "+copies), "64MiB", "512MiB"))
					c := g.store(b, 0)
					before, disk := heap(), g.onDisk(b)
					data := make([]byte, kib<<10)
					n := 0
					for b.Loop() {
						_, _ = rand.Read(data)
						if _, err := c.PutKey(b.Context(), shop, fmt.Sprint("k", n), client.Value{Data: bytes.Clone(data)}, 0, client.WriteIf{}); err != nil {
							b.Fatal(err)
						}
						n++
					}
					b.ReportMetric(float64(g.onDisk(b)-disk)/float64(n), "disk-B/value")
					b.ReportMetric(float64(heap()-before)/float64(n), "mem-B/value")
				})
			}
		}
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// onDisk sums up what is in the data directories.
func (g *testGroup) onDisk(tb testing.TB) (total int64) {
	tb.Helper()
	for _, s := range g.servers {
		err := filepath.WalkDir(s.config.DataDir, func(_ string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			info, err := d.Info()
			if os.IsNotExist(err) {
				return nil
			}
			total += info.Size()
			return err
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	return total
}
