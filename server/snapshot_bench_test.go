package server

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// BenchmarkSnapshotUnderLoad answers: does a request wait longer because the node that serves it writes a snapshot of a million
// assignments? A group of three in one process is loaded with them, then assigned requests go through one node at 500 a second, each with its own
// due time (so that a stall delays, and counts for, all that were due in it), in windows with and without a snapshot in turn. It reports the
// 99.9th percentile and the worst of each kind, in milliseconds, and what a snapshot took. Run it with -benchtime 10x: ten pairs of windows.
func BenchmarkSnapshotUnderLoad(b *testing.B) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	defer app.Close()
	group := startGroup(b, 3)
	group.configure(b, app.URL)
	fill(b, group.servers[0], 1_000_000)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	url := "http://" + group.servers[0].balancer.Addr("web").String() + "/"
	cookies := newSession(b, client, url)

	var quiet, busy []time.Duration
	var took time.Duration
	for b.Loop() {
		quiet = append(quiet, window(b, client, url, cookies, nil)...)
		// A snapshot needs something new in the log.
		fill(b, group.servers[0], 1)
		busy = append(busy, window(b, client, url, cookies, func() {
			start := time.Now()
			if err := group.servers[0].node.Snapshot(b.Context()); err != nil {
				b.Error(err)
			}
			took = max(took, time.Since(start))
		})...)
	}
	report := func(kind string, all []time.Duration) {
		slices.Sort(all)
		b.ReportMetric(float64(all[len(all)*999/1000].Microseconds())/1000, kind+"-p99.9-ms")
		b.ReportMetric(float64(all[len(all)-1].Microseconds())/1000, kind+"-worst-ms")
	}
	report("quiet", quiet)
	report("snapshot", busy)
	b.ReportMetric(float64(took.Milliseconds()), "snapshot-ms")
	b.ReportMetric(0, "ns/op")
}

// window sends one second of requests; beside them runs beside, if any.
func window(b *testing.B, client *http.Client, url string, cookies []*http.Cookie, beside func()) []time.Duration {
	const rate, count = 500, 500
	latency := make([]time.Duration, count)
	var all sync.WaitGroup
	start := time.Now()
	if beside != nil {
		all.Go(beside)
	}
	for i := range count {
		due := start.Add(time.Duration(i) * time.Second / rate)
		<-time.After(time.Until(due)) // the pace of an open loop, not a wait for something
		all.Go(func() {
			if err := get(client, url, cookies); err != nil {
				b.Error(err)
			}
			latency[i] = time.Since(due)
		})
	}
	all.Wait()
	return latency
}

func get(client *http.Client, url string, cookies []*http.Cookie) error {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	for _, c := range cookies {
		req.AddCookie(c)
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s", resp.Status)
	}
	return err
}

func newSession(b *testing.B, client *http.Client, url string) []*http.Cookie {
	resp, err := client.Get(url)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	if len(resp.Cookies()) == 0 {
		b.Fatalf("no session was made: %s", resp.Status)
	}
	return resp.Cookies()
}

var filled atomic.Uint64

// fill records count new assignments through a node.
func fill(tb testing.TB, s *Server, count int) {
	tb.Helper()
	id, ok := s.state.InstanceID("cluster1", "i1")
	if !ok {
		tb.Fatal("no such instance")
	}
	var workers sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(count))
	for range min(count, 4000) {
		workers.Go(func() {
			for left.Add(-1) >= 0 {
				op := fsm.SessionOp{Kind: fsm.OpAssign, Instance: id}
				binary.LittleEndian.PutUint64(op.Key[:], filled.Add(1)*0x9e3779b97f4a7c15)
				ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
				if _, err := s.node.Record(ctx, op); err != nil {
					tb.Error(err)
					left.Store(0)
				}
				cancel()
			}
		})
	}
	workers.Wait()
}
