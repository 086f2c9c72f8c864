package lb

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// weightedCluster is a cluster of available instances with the given weights.
func weightedCluster(policy string, weights ...int) *cluster {
	c := &cluster{name: "c", policy: policy, state: &clusterState{name: "c"}}
	for i, w := range weights {
		s := &instanceState{cluster: "c", name: fmt.Sprint("i", i+1)}
		s.endpoints.Store(&[]*endpoint{{url: "http://x", scheme: "http", health: newHealth(time.Now())}})
		c.instances = append(c.instances, &instance{id: 1, name: s.name, enabled: true, weight: w, cluster: c.state, state: s})
	}
	c.state.use(c)
	return c
}

func (c *cluster) shares(picks int) map[string]float64 {
	n := map[string]float64{}
	for range picks {
		n[c.state.pick(nil).name] += 1 / float64(picks)
	}
	return n
}

func wantShares(t *testing.T, got map[string]float64, want ...float64) {
	t.Helper()
	for i, w := range want {
		if math.Abs(got[fmt.Sprint("i", i+1)]-w) > 0.01 {
			t.Errorf("shares %v, want %v", got, want)
		}
	}
}

func TestWeightedShares(t *testing.T) { // WAS-15 to WAS-17
	const n = 30_000
	wantShares(t, weightedCluster("weighted-round-robin", 1, 2).shares(n), 1./3, 2./3)
	c := weightedCluster("weighted-round-robin", 1, 2, 1)
	wantShares(t, c.shares(n), 1./4, 1./2, 1./4)
	(*c.instances[0].state.endpoints.Load())[0].health.refused("down", time.Now())
	c.state.refresh()
	wantShares(t, c.shares(n), 0, 2./3, 1./3)
	wantShares(t, weightedCluster("weighted-round-robin", 1000, 999, 1).shares(200_000), 0.5, 0.4995, 0.0005)
	wantShares(t, weightedCluster("weighted-round-robin", 5, 0, 5).shares(n), 0.5, 0, 0.5)
	wantShares(t, weightedCluster("round-robin", 1, 2, 7).shares(n), 1./3, 1./3, 1./3)
	var many []int
	for i := range 100 {
		many = append(many, 1000-i) // too long an order to be precomputed
	}
	wantShares(t, weightedCluster("weighted-round-robin", many...).shares(95_050), 1000./95050, 999./95050)
}

func TestWeightedIsExactInEveryRound(t *testing.T) {
	c := weightedCluster("weighted-round-robin", 5, 1, 1)
	order := ""
	for range 14 {
		order += c.state.pick(nil).name[1:]
	}
	if order != "11213111121311" {
		t.Errorf("order %s is not the smooth one", order)
	}
}

// What is too long an order to be precomputed is spread: exact after a turn per unit of weight, and close to it at any time before.
func TestSpreadIsEvenAtAnyTime(t *testing.T) {
	weights := []int{1000, 1}
	for i := range 298 {
		weights = append(weights, 1+i%9)
	}
	c, total := weightedCluster("weighted-round-robin", weights...), 0
	for _, w := range weights {
		total += w
	}
	n := map[string]int{}
	for turn := 1; turn <= 2*total; turn++ {
		n[c.state.pick(nil).name]++
		for i, w := range weights {
			name := fmt.Sprint("i", i+1)
			if off := float64(n[name]) - float64(turn*w)/float64(total); math.Abs(off) > 5 || turn%total == 0 && off != 0 {
				t.Fatalf("%s of weight %d is %.1f off after %d turns", name, w, off, turn)
			}
		}
	}
}

func TestRoundRobinStaysEvenWhenOneIsDown(t *testing.T) {
	c := weightedCluster("round-robin", 1, 1, 1)
	(*c.instances[0].state.endpoints.Load())[0].health.refused("down", time.Now())
	c.state.refresh()
	wantShares(t, c.shares(1000), 0, 0.5, 0.5)
}

func TestPickLeavesOutTheTried(t *testing.T) {
	c := weightedCluster("weighted-round-robin", 1000, 1, 0)
	tried := []*instanceState{c.instances[0].state}
	for range 10 {
		if got := c.state.pick(tried); got.name != "i2" {
			t.Fatal(got.name)
		}
	}
	tried = append(tried, c.instances[1].state)
	if c.state.pick(tried) != nil {
		t.Error("weight 0 takes an unassigned request")
	}
	if got := c.state.pickOther(takeover{tried: tried}); got == nil || got.name != "i3" {
		t.Error("weight 0 does not take over as the last resort")
	}
	if c.state.pickOther(takeover{tried: append(tried, c.instances[2].state)}) != nil {
		t.Error("all were tried")
	}
}

func BenchmarkPick(b *testing.B) {
	c := weightedCluster("weighted-round-robin", 1, 2, 3)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c.state.pick(nil)
		}
	})
}
