package server

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestDivide: without contention nothing moves, with it shares follow demand, a lowering comes before the raise that it pays for.
func TestDivide(t *testing.T) {
	node := func(share, demand int, starved bool) nodeUse {
		return nodeUse{reports: true, share: share, held: share, demand: demand, starved: starved}
	}
	silent := nodeUse{share: 4, held: 4}
	obeysNot := nodeUse{reports: true, share: 2, held: 5}
	for name, c := range map[string]struct {
		bound, reserve int
		nodes          []nodeUse
		want           []int
	}{
		"first":                   {10, 0, []nodeUse{node(0, 0, false), node(0, 0, false), node(0, 0, false)}, []int{4, 3, 3}},
		"nothing waits":           {9, 0, []nodeUse{node(3, 3, false), node(3, 0, false), node(3, 1, false)}, []int{3, 3, 3}},
		"lower first":             {12, 0, []nodeUse{node(4, 9, true), node(4, 0, false), node(4, 0, false)}, []int{4, 2, 2}},
		"then raise":              {12, 0, []nodeUse{node(4, 9, true), node(2, 0, false), node(2, 0, false)}, []int{8, 2, 2}},
		"not before it is obeyed": {12, 0, []nodeUse{node(4, 9, true), obeysNot, node(2, 0, false)}, []int{5, 2, 2}},
		"silent node keeps":       {12, 0, []nodeUse{node(4, 9, true), silent, node(4, 0, false)}, []int{4, 4, 2}},
		"reserve stays back":      {12, 4, []nodeUse{node(4, 9, true), node(2, 0, false), node(2, 0, false)}, []int{4, 1, 1}},
		"all wait alike":          {9, 0, []nodeUse{node(3, 9, true), node(3, 9, true), node(3, 9, true)}, []int{3, 3, 3}},
		"bound lowered":           {6, 0, []nodeUse{node(4, 0, false), node(4, 0, false), node(4, 0, false)}, []int{2, 2, 2}},
		"more nodes than bound":   {2, 0, []nodeUse{node(0, 0, false), node(0, 0, false), node(0, 0, false)}, []int{1, 1, 0}},
		"the one that waits":      {1, 0, []nodeUse{node(1, 0, false), node(0, 0, false), node(0, 1, true)}, []int{0, 0, 0}},
		"has its turn":            {1, 0, []nodeUse{node(0, 0, false), node(0, 0, false), node(0, 1, true)}, []int{0, 0, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			for i := range c.nodes {
				c.nodes[i].node = fmt.Sprintf("n%d", i+1)
			}
			if got := divide(c.bound, c.reserve, 0, c.nodes); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// TestScarceConnectionsGoRound: one connection for three nodes that all wait is each node's in turn.
func TestScarceConnectionsGoRound(t *testing.T) {
	had := map[int]bool{}
	nodes := []nodeUse{{node: "n1"}, {node: "n2"}, {node: "n3"}}
	for turn := range 6 {
		for range 2 { // lower, raise
			for i := range nodes {
				nodes[i].reports, nodes[i].demand, nodes[i].starved, nodes[i].held = true, 1, nodes[i].share == 0, nodes[i].share
			}
			for i, n := range divide(1, 0, turn, nodes) {
				nodes[i].share = n
			}
		}
		for i := range nodes {
			if nodes[i].share == 1 {
				had[i] = true
			}
		}
	}
	if len(had) != 3 {
		t.Errorf("only nodes %v ever had the connection", had)
	}
}

// TestDivideNeverExceeds lets nodes obey late, keep requests under way, fall silent and come back, at random: what all of them use together stays within the bound.
// (SUN: connection limits, exact over all nodes)
func TestDivideNeverExceeds(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 7))
		bound := 1 + r.IntN(40)
		n := 1 + r.IntN(5)
		nodes := make([]nodeUse, n)
		limit, inUse := make([]int, n), make([]int, n) // what each node obeys and uses in truth
		for i := range nodes {
			nodes[i].node = fmt.Sprintf("n%d", i)
		}
		for step := range 200 {
			sum := 0
			for i := range nodes {
				x := &nodes[i]
				want := r.IntN(bound + 5)
				switch {
				case want > inUse[i]:
					inUse[i] = max(inUse[i], min(want, limit[i]))
				case r.IntN(2) == 0: // requests end by themselves
					inUse[i] = want
				}
				sum += inUse[i]
				x.reports = r.IntN(5) > 0
				if x.reports && r.IntN(3) > 0 { // it obeys, and says so
					limit[i] = x.share
					x.held = max(x.share, inUse[i])
				} else {
					x.held = max(x.held, x.share)
				}
				x.demand, x.starved = want, want > limit[i]
			}
			if sum > bound {
				t.Fatalf("seed %d, step %d: %d in use, bound %d", seed, step, sum, bound)
			}
			for i, s := range divide(bound, 0, step, nodes) {
				if !nodes[i].reports && s != nodes[i].share {
					t.Fatalf("seed %d, step %d: the share of a silent node moved", seed, step)
				}
				nodes[i].share = s
				if r.IntN(2) == 0 { // some nodes learn of it at once
					limit[i] = max(s, 0)
				}
			}
		}
	}
}
