package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkPromote answers: how long is it from the start of a promotion to the first answer of an application, with a million assignments, half of which are in the log behind
// the newest whole state? It reports milliseconds of both parts. Run it with -benchtime 3x.
func BenchmarkPromote(b *testing.B) {
	app := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	b.Cleanup(app.Close)
	g := startGroup(b, 1)
	g.configure(b, app.URL)
	fill(b, g.servers[0], 500_000)
	dir := b.TempDir()
	st, end := standbyOf(b, dir, g.admins())
	caughtUp(b, st, g.servers[0])
	fill(b, g.servers[0], 500_000)
	caughtUp(b, st, g.servers[0])
	end()
	g.stop[0]() // it has the listener's port
	eventually(b, "the old node has left", func() error {
		if g.servers[0].balancer.Addr("web") == nil {
			return nil
		}
		return errors.New("the listener is bound")
	})
	var promote, serve time.Duration
	rounds := 0
	for b.Loop() {
		to := Promotion{Restoration: Restoration{DataDir: filepath.Join(b.TempDir(), "data"), Name: "n1"}, Archive: dir, Force: rounds > 0}
		start := time.Now()
		report, err := Promote(to)
		if err != nil || report.Sessions != 1_000_000 || report.Entries == 0 {
			b.Fatalf("%+v, %v", report, err)
		}
		promote += time.Since(start)
		end := serveUntilAnswered(b, g, to.DataDir)
		serve += time.Since(start)
		end()
		rounds++
	}
	per := func(d time.Duration) float64 { return float64(d.Milliseconds()) / float64(rounds) }
	b.ReportMetric(per(promote), "promote-ms")
	b.ReportMetric(per(serve), "answer-ms")
	b.ReportMetric(0, "ns/op")
}

// serveUntilAnswered runs a node on a data directory until the application has answered through it.
func serveUntilAnswered(b *testing.B, g *testGroup, dir string) (end func()) {
	b.Helper()
	c := Defaults()
	c.Name, c.DataDir, c.PeerAddr, c.AdminAddr, c.LogLevel, c.BindAddress = "n1", dir, "127.0.0.1:0", "127.0.0.1:0", "warn", "127.0.0.1"
	n, err := New(c, g.out)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	client := &http.Client{}
	eventually(b, "an answer", func() error {
		resp, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/", g.port))
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d", resp.StatusCode)
		}
		return nil
	})
	return func() {
		cancel()
		client.CloseIdleConnections()
		if err := errors.Join(<-done, n.Close()); err != nil {
			b.Error(err)
		}
	}
}
