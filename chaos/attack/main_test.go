package attack

import (
	"context"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/built"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(floodOrder); text != "" {
		os.Exit(flooding(text))
	}
	os.Exit(built.Main(m))
}

func start(t testing.TB, files int, clusters ...Cluster) *Rig {
	t.Helper()
	binary, err := built.Program()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := Start(ctx, binary, t.TempDir(), files, clusters...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !r.Alive() {
			t.Error("the process died")
		}
		if t.Failed() {
			t.Log(r.Tail())
		}
		r.Close()
	})
	return r
}

// good starts an ordinary instance and gives its cluster.
func good(t testing.TB) Cluster {
	s := Good()
	t.Cleanup(s.Close)
	return Cluster{Name: "good", ContextRoot: "/good", Instance: s.Listener.Addr().String()}
}

// neighbour begins one and gives how it fares while nothing else happens.
func neighbour(t testing.TB, r *Rig) *Neighbour {
	t.Helper()
	return neighbourAt(t, r, nil)
}

// neighbourAt is neighbour at an address of loopback.
func neighbourAt(t testing.TB, r *Rig, from net.IP) *Neighbour {
	t.Helper()
	n := NewNeighbour(t.Context(), "http://"+r.Addr+"/good/page", from, 5*time.Millisecond)
	t.Cleanup(n.Stop)
	eventually(t, "the neighbour has connections", func() bool { return get(http.DefaultClient, "http://"+r.Addr+"/good/page") == nil })
	n.Lap()
	wait(t, 2*time.Second)
	report := n.Lap()
	t.Logf("neighbour alone:  %s", report)
	if len(report.Failed) > 0 || report.Sent == 0 {
		t.Fatalf("the neighbour fails without an attack: %v", report.Failed)
	}
	return n
}

// fares holds the neighbour's lap against what it may suffer.
func fares(t testing.TB, n *Neighbour, under string, most time.Duration) {
	t.Helper()
	report := n.Lap()
	t.Logf("neighbour, %s: %s", under, report)
	if report.Sent == 0 || len(report.Failed) > 0 {
		t.Errorf("%s: %d of the neighbour's requests failed: %.300v", under, len(report.Failed), report.Failed)
	}
	if report.P99 > most {
		t.Errorf("%s: the neighbour's p99 is %v, more than %v", under, report.P99, most)
	}
}

// memory reports how much the process has grown over a base, in bytes.
func memory(t testing.TB, r *Rig, base int64, under string, most int64) {
	t.Helper()
	now, peak, err := r.Memory()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("memory, %s: %d MiB, %d at the most; %d before", under, now>>20, peak>>20, base>>20)
	if peak-base > most {
		t.Errorf("%s: the process grew by %d MiB, more than %d", under, (peak-base)>>20, most>>20)
	}
}

func base(t testing.TB, r *Rig) int64 {
	t.Helper()
	now, _, err := r.Memory()
	if err != nil {
		t.Fatal(err)
	}
	return now
}

// wait lets the attack go on for a time, which is what is measured.
func wait(t testing.TB, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(40 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		<-tick.C
	}
}
