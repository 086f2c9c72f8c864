package lb

import (
	"fmt"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// manyInstances is a cluster of n instances at an address that nobody asks.
func manyInstances(n int) *config.Config {
	var list []config.Instance
	for i := range n {
		list = append(list, inst(fmt.Sprint("i", i), fmt.Sprintf("http://127.0.0.1:1/%d", i)))
	}
	cc := conf(list...)
	cc.Clusters[0].Policy, cc.Clusters[0].Health.Type = "weighted-round-robin", "none"
	return cc
}

// The shares of many instances stay even although verdicts change all the time: each change makes the policy anew, and its turn goes on.
func TestManyInstancesKeepTheirSharesWhileVerdictsChange(t *testing.T) { // WAS-15 to WAS-17
	const n, rounds = 300, 20
	cc := manyInstances(n)
	r := newRig(t, cc)
	picks := map[string]int{}
	for i := range rounds * n {
		if i%7 == 0 {
			r.b.routing.Load().clusters["c1"].state.refresh()
		}
		picks[r.b.routing.Load().clusters["c1"].state.pick(nil).name]++
	}
	for name, got := range picks {
		if got < rounds-1 || got > rounds+1 {
			t.Errorf("%s: %d of %d picks, want %d", name, got, rounds*n, rounds)
		}
	}
	if len(picks) != n {
		t.Errorf("%d of %d instances are picked", len(picks), n)
	}
}

// BenchmarkVerdictChange is what a verdict costs a node with 300 instances.
func BenchmarkVerdictChange(b *testing.B) {
	for _, locality := range []string{"none", "host"} {
		b.Run(locality, func(b *testing.B) {
			cc := manyInstances(300)
			cc.Clusters[0].Locality = locality
			r := newRig(b, cc)
			states := []fsm.HealthState{fsm.HealthSuspect, fsm.HealthFailed}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				r.g.operate(func(o *fsm.Operating) { o.Verdicts = []fsm.Verdict{{Instance: 5, State: states[i%2]}} })
				r.b.reconcile()
			}
		})
	}
}
