package lb

import (
	"fmt"
	"testing"

	"github.com/holdfast-lb/holdfast/internal/hostile"
)

// inFrontOf is a rig without affinity and health checks around one address, so that nothing but what clients send arrives there.
func inFrontOf(t *testing.T, addr string) *rig {
	c := conf(inst("i1", "http://"+addr))
	c.Clusters[0].Affinity.Type, c.Clusters[0].Health.Type = "none", "none"
	return newRig(t, c)
}

// TestOneReading sends each request of the corpus, alone and followed by an innocent one, whole and cut at every place where a reader could take what it has
// for whole. It is refused, or it arrives in exactly one reading, byte for byte.
func TestOneReading(t *testing.T) {
	all := hostile.Requests()
	if len(all) < 400 {
		t.Fatalf("the corpus has %d requests", len(all))
	}
	const workers = 8
	tries := make(chan int, workers)
	for worker := range workers {
		t.Run(fmt.Sprint(worker), func(t *testing.T) {
			t.Parallel()
			origin, err := hostile.NewOrigin()
			if err != nil {
				t.Fatal(err)
			}
			defer origin.Close()
			trial := &hostile.Trial{Addr: inFrontOf(t, origin.Addr).addr(), Origin: origin}
			n := 0
			for i := worker; i < len(all); i += workers {
				n += everyWay(t, trial, all[i])
			}
			tries <- n
		})
	}
	t.Cleanup(func() {
		sum := 0
		for range workers {
			sum += <-tries
		}
		t.Logf("%d requests in %d connections", len(all), sum)
	})
}

// everyWay gives how many connections it took.
func everyWay(t *testing.T, trial *hostile.Trial, r hostile.Request) int {
	n := 0
	for _, followed := range []bool{false, true} {
		if followed && r.Cut() {
			continue // its rest would be what follows
		}
		cuts := r.Cuts(10)
		ways := []hostile.Way{{Name: "whole", Followed: followed}, {Name: "in pieces", Followed: followed, Cuts: cuts}}
		for _, cut := range cuts {
			ways = append(ways, hostile.Way{Name: fmt.Sprintf("cut at %d", cut), Followed: followed, Cuts: []int{cut}})
		}
		for _, w := range ways {
			n++
			for _, wrong := range trial.Try(r, w) {
				t.Errorf("%s, %s, followed %v: %s\n%.300q\n%s", r.Name, w.Name, followed, wrong, r.Raw, r.Why)
			}
		}
	}
	return n
}

// TestOneReadingOfResponses: what an instance sends beyond the rules is refused, or its client gets one reading of it; nobody else gets a byte of it.
func TestOneReadingOfResponses(t *testing.T) {
	s, err := hostile.NewScript()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	addr := inFrontOf(t, s.Addr).addr()
	all := hostile.Responses()
	if len(all) < 70 {
		t.Fatalf("the corpus has %d responses", len(all))
	}
	for _, r := range all {
		for _, wrong := range s.TryResponse(addr, r) {
			t.Errorf("%s: %s\n%.300q", r.Name, wrong, r.Raw)
		}
	}
}
