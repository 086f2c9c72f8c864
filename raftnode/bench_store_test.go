package raftnode

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// BenchmarkStore has callers write values of 1 KiB, one after the other, on real disks and real TCP.
func BenchmarkStore(b *testing.B) {
	g := startGroup(b, 3)
	c := config.Empty()
	c.Clusters = append(c.Clusters, config.Cluster{Name: "c", Modules: []config.Module{{ContextRoot: "/a", Store: &config.Store{Sessions: true, MaxValue: 1 << 20, MaxBytes: 512 << 20}}}})
	res, err := g.leader().node.Propose(b.Context(), &fsm.ConfigChange{Config: c})
	if err != nil || res.Code != fsm.CodeOK {
		b.Fatal(res, err)
	}
	var next atomic.Int64
	for _, where := range []string{"leader", "follower"} {
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/callers=%d", where, callers), func(b *testing.B) {
				m := g.leader()
				if where == "follower" {
					m = g.followers()[0]
				}
				benchStore(b, m, callers, &next)
			})
		}
	}
}

func benchStore(b *testing.B, m *member, callers int, next *atomic.Int64) {
	data := bytes.Repeat([]byte{7}, 1<<10)
	var left atomic.Int64
	left.Store(int64(b.N))
	took := make([][]time.Duration, callers)
	var all sync.WaitGroup
	b.ResetTimer()
	start := time.Now()
	for i := range callers {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				at := time.Now()
				key := testKey(int(next.Add(1)) % 100_000)
				res, err := m.node.Propose(context.Background(), &fsm.StorePut{StoreKey: fsm.StoreKey{Space: fsm.SpaceSessions, Module: 1, Key: string(key[:])}, Data: data})
				if err != nil || res.Code != fsm.CodeOK {
					b.Error(res, err)
					return
				}
				took[i] = append(took[i], time.Since(at))
			}
		})
	}
	all.Wait()
	b.StopTimer()
	list := slices.Concat(took...)
	slices.Sort(list)
	if len(list) > 0 {
		b.ReportMetric(float64(len(list))/time.Since(start).Seconds(), "writes/s")
		b.ReportMetric(float64(list[len(list)/2].Microseconds()), "p50-µs")
		b.ReportMetric(float64(list[len(list)*99/100].Microseconds()), "p99-µs")
	}
}
