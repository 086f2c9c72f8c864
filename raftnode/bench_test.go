package raftnode

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// BenchmarkRecord has callers record new sessions, one operation after the other, on real disks and real TCP.
func BenchmarkRecord(b *testing.B) {
	g := startGroup(b, 3)
	a, _ := g.configure()
	var next atomic.Int64
	for _, where := range []string{"leader", "follower"} {
		for _, callers := range []int{1, 64, 1000} {
			b.Run(fmt.Sprintf("%s/callers=%d", where, callers), func(b *testing.B) {
				m := g.leader()
				if where == "follower" {
					m = g.followers()[0]
				}
				benchRecord(b, m, a, callers, &next)
			})
		}
	}
}

func benchRecord(b *testing.B, m *member, to fsm.InstanceID, callers int, next *atomic.Int64) {
	var left atomic.Int64
	left.Store(int64(b.N))
	took := make([][]time.Duration, callers)
	var wg sync.WaitGroup
	b.ResetTimer()
	start := time.Now()
	for i := range callers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for left.Add(-1) >= 0 {
				at := time.Now()
				op := fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(int(next.Add(1)) + 1e9), Instance: to}
				if _, err := m.node.Record(context.Background(), op); err != nil {
					b.Error(err)
					return
				}
				took[i] = append(took[i], time.Since(at))
			}
		}()
	}
	wg.Wait()
	b.StopTimer()
	all := slices.Concat(took...)
	slices.Sort(all)
	if len(all) > 0 {
		b.ReportMetric(float64(len(all))/time.Since(start).Seconds(), "ops/s")
		b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
		b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
	}
}

// BenchmarkSync is the cost of a read index.
func BenchmarkSync(b *testing.B) {
	g := startGroup(b, 3)
	for name, m := range map[string]*member{"leader": g.leader(), "follower": g.followers()[0]} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				if err := m.node.Sync(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
