package raftnode

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

const wordTerm = 7

// rival is one node of a model: all find the leader gone, and want to stand. Each step of it is one answer of another node.
type rival struct {
	id    raft.ServerID
	s     challenges
	last  position
	claim bool
	next  int // whom it asks
	got   chan verdict
}

// rivals is a group without its leader, in which answers get lost.
type rivals struct {
	nodes []*rival
	loses float64
	rand  *rand.Rand
}

func (g *rivals) step(r *rival) (stands bool) {
	if !r.s.free(wordTerm, r.id) {
		return false
	}
	if r.got == nil {
		if r.claim && !r.s.claim(wordTerm, r.id, time.Hour) {
			return false
		}
		r.next, r.got = 0, make(chan verdict, len(g.nodes))
	}
	if r.next < len(g.nodes) {
		o := g.nodes[r.next]
		r.next++
		if o != r {
			v := o.s.answer(goneRequest{cause: causeSilent, claim: r.claim, lost: lost{"leader", wordTerm}, last: r.last}, o.id, r.id, o.last, true, time.Hour)
			if g.rand.Float64() < g.loses {
				v = verdictNo
			}
			r.got <- v
		}
		return false
	}
	return g.decide(r)
}

func (g *rivals) decide(r *rival) bool {
	asked, need := len(g.nodes)-1, (len(g.nodes)+1)/2 // the lost leader counts
	got := r.got
	r.got = nil
	var a advice
	if r.claim {
		if a = gatherClaim(context.Background(), got, asked, need); a != adviceStand {
			r.s.unclaim(wordTerm, r.id)
		}
	} else {
		a = gatherWill(context.Background(), got, asked, need, time.Hour)
	}
	r.claim = a == adviceClaim || a == adviceYield && g.rand.IntN(4) == 0
	return a == adviceStand && r.s.take(wordTerm, r.id, time.Hour)
}

// TestAtMostOneStands plays what followers of a lost leader may ask each other in any order, with answers that are lost.
func TestAtMostOneStands(t *testing.T) {
	won := 0
	for seed := range uint64(4000) {
		g := &rivals{rand: rand.New(rand.NewPCG(seed, 1)), loses: float64(seed%3) / 4}
		for i := range 2 + seed%2*2 + seed/2%3 { // of 3 to 7
			g.nodes = append(g.nodes, &rival{id: raft.ServerID(fmt.Sprintf("n%d", i)), last: position{10 + g.rand.Uint64N(1+seed%2), 3}})
		}
		var stands []raft.ServerID
		for range 60 * len(g.nodes) {
			r := g.nodes[g.rand.IntN(len(g.nodes))]
			if g.step(r) {
				stands = append(stands, r.id)
			}
		}
		if len(stands) > 1 {
			t.Fatalf("seed %d: %v stand for the leader of one term", seed, stands)
		}
		won += len(stands)
		if g.loses == 0 && len(stands) == 0 && seed%2 == 0 {
			t.Fatalf("seed %d: nobody stands, although all answer, and the logs are equal", seed)
		}
	}
	t.Logf("%d of 4000 plays had a winner", won)
}
