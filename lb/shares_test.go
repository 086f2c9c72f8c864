package lb

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm"
)

// TestSharesOverHTTP: new sessions spread over three nodes, while weights change and an instance dies.
func TestSharesOverHTTP(t *testing.T) { // WAS-15 to WAS-17, WAS-21
	const perNode = 300
	for _, policy := range []string{"weighted-round-robin", "least-sessions", "least-requests", "power-of-two"} {
		t.Run(policy, func(t *testing.T) {
			a, b, c := newApp(t, "i1", nil), newApp(t, "i2", nil), newApp(t, "i3", nil)
			cc := conf(of(a, b)...)
			cc.Clusters[0].Policy = policy
			cc.Clusters[0].Instances[1].Weight = 2
			g := newFakeGroup(cc)
			var rigs []*rig
			for i := range 3 {
				rigs = append(rigs, newRigOn(t, g, Options{Node: fmt.Sprint("node", i)}))
			}
			clients := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}}
			defer clients.CloseIdleConnections()
			spread := func(want ...float64) {
				t.Helper()
				got := map[string]int{}
				for i := range 3 * perNode { // without cookies: each is a new session
					resp, err := clients.Get(rigs[i%3].url("/"))
					if err != nil {
						t.Fatal(err)
					}
					body, _ := io.ReadAll(resp.Body)
					resp.Body.Close()
					got[string(body)]++
				}
				for i, w := range want {
					if share := float64(got[fmt.Sprint("i", i+1)]) / (3 * perNode); math.Abs(share-w) > 0.01 {
						t.Fatalf("%v, want %v", got, want)
					}
				}
			}
			spread(1./3, 2./3)
			cc = clone(cc)
			cc.Clusters[0].Instances = append(cc.Clusters[0].Instances, inst("i3", c.URL))
			g.with(func() { // least-sessions evens out what was before: begin anew
				g.table = map[fsm.Key]fsm.Assignment{}
			})
			g.apply(cc)
			for _, r := range rigs {
				r.inForce()
			}
			spread(1./4, 1./2, 1./4)
			rigs[0].verdict(states{1: fsm.HealthFailed})
			for _, r := range rigs {
				r.inForce()
			}
			spread(0, 2./3, 1./3)
		})
	}
}
