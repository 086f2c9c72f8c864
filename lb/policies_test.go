package lb

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// weightedPolicies are those that give shares by weight.
var weightedPolicies = []string{"weighted-round-robin", "least-sessions", "least-requests", "power-of-two", "peak-ewma"}

// policyNode is one node's view of a cluster in a test of policies.
type policyNode struct {
	c *cluster
	g *fakeGroup
}

// policyNodes makes n nodes of one group with a cluster of the given weights.
func policyNodes(n int, policy string, weights ...int) (*fakeGroup, []policyNode) {
	cc := &config.Config{Clusters: []config.Cluster{{Name: "c"}}}
	for i, w := range weights {
		cc.Clusters[0].Instances = append(cc.Clusters[0].Instances, config.Instance{Name: fmt.Sprint("i", i+1), Weight: w})
	}
	g := newFakeGroup(cc)
	var nodes []policyNode
	for k := range n {
		c := weightedCluster(policy, weights...)
		c.state.view = counted{g.node(), map[fsm.InstanceID]int{}}
		c.state.turn.Store(uint64(k) * 7919)
		for i := range c.instances {
			c.instances[i].id = fsm.InstanceID(i + 1)
		}
		c.state.use(c)
		nodes = append(nodes, policyNode{c, g})
	}
	for _, n := range nodes { // one table for all
		n.c.state.view = nodes[0].c.state.view
		n.c.state.refresh()
	}
	return g, nodes
}

// counted is a View that counts sessions by itself: adding up a table of thousands for each pick takes too long.
type counted struct {
	View
	sessions map[fsm.InstanceID]int
}

func (c counted) Sessions(id fsm.InstanceID) int { return c.sessions[id] }

// take gives a new session to whom the node picks. It stays there, with a request in flight for as long as the test lasts if the policy looks at those.
func (n policyNode) take() *instance {
	in := n.c.state.pick(nil)
	n.c.state.view.(counted).sessions[in.id]++
	in.state.latency.observe(time.Millisecond)
	in.state.inFlight.Add(1)
	return in
}

func sharesOf(nodes []policyNode, picks int) map[string]float64 {
	got := map[string]float64{}
	for i := range picks {
		got[nodes[i%len(nodes)].take().name] += 1 / float64(picks)
	}
	return got
}

// TestSharesOfAllPolicies: 1/3 and 2/3; with a third 1/4, 1/2, 1/4; when the first is down 2/3 and 1/3. On one node and on three.
func TestSharesOfAllPolicies(t *testing.T) { // WAS-15, WAS-16, WAS-17
	const picks = 30_000
	for _, policy := range weightedPolicies {
		for _, n := range []int{1, 3} {
			t.Run(fmt.Sprint(policy, "/", n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { // time stands still: latencies are equal
					_, nodes := policyNodes(n, policy, 1, 2)
					wantShares(t, sharesOf(nodes, picks), 1./3, 2./3)
					_, nodes = policyNodes(n, policy, 1, 2, 1)
					wantShares(t, sharesOf(nodes, picks), 1./4, 1./2, 1./4)
					for _, node := range nodes {
						(*node.c.instances[0].state.endpoints.Load())[0].health.refused("down", time.Now())
						node.c.state.refresh()
					}
					wantShares(t, sharesOf(nodes, picks), 0, 2./3, 1./3)
				})
			})
		}
	}
}

// TestSharesOfIdleInstances: by weight as well, when each request is over before the next comes.
func TestSharesOfIdleInstances(t *testing.T) {
	for _, policy := range []string{"weighted-round-robin", "least-requests", "power-of-two"} {
		wantShares(t, weightedCluster(policy, 1, 2, 1).shares(30_000), 1./4, 1./2, 1./4)
	}
}

// TestSharesWhileWeightsChange: what was picked before a change does not count after it.
func TestSharesWhileWeightsChange(t *testing.T) {
	for _, policy := range []string{"weighted-round-robin", "least-requests", "power-of-two"} {
		_, nodes := policyNodes(3, policy, 1, 2, 1)
		for _, weights := range [][]int{{1, 1, 2}, {4, 1, 0}, {1, 2, 1}} {
			total := 0
			for i, w := range weights {
				total += w
				for _, n := range nodes {
					n.c.instances[i].weight = w
				}
			}
			got := map[string]float64{}
			for _, n := range nodes {
				n.c.state.refresh()
			}
			for i := range 30_000 {
				got[nodes[i%3].c.state.pick(nil).name] += 1. / 30_000
			}
			wantShares(t, got, float64(weights[0])/float64(total), float64(weights[1])/float64(total), float64(weights[2])/float64(total))
		}
	}
}

// TestWeightZeroForAllPolicies: assigned requests only.
func TestWeightZeroForAllPolicies(t *testing.T) { // WAS-12
	for _, policy := range append(weightedPolicies, "round-robin") {
		_, nodes := policyNodes(1, policy, 1, 0, 1)
		if got := sharesOf(nodes, 1000); got["i2"] != 0 {
			t.Errorf("%s: weight 0 got %v", policy, got)
		}
	}
}

// TestNoHerd: nodes that know the same do not all go for the same instance.
func TestNoHerd(t *testing.T) { // WAS-21
	for _, policy := range append(weightedPolicies, "round-robin") {
		_, nodes := policyNodes(3, policy, 1, 1, 1)
		first := map[string]bool{}
		for k, n := range nodes {
			n.c.state.turn.Store(uint64(k))
			first[n.c.state.pick(nil).name] = true
		}
		if len(first) < 2 {
			t.Errorf("%s: all nodes begin with the same instance", policy)
		}
	}
}

func TestLeastSessionsCountsTheGroup(t *testing.T) { // the true count, whoever recorded them
	_, nodes := policyNodes(1, "least-sessions", 1, 2)
	sessions := nodes[0].c.state.view.(counted).sessions
	sessions[1], sessions[2] = 5, 20
	for want := 5; want < 10; want++ { // 5:20 until it is 10:20
		if got := nodes[0].take(); got.name != "i1" {
			t.Fatalf("at %v went to %s", sessions, got.name)
		}
	}
	wantShares(t, sharesOf(nodes, 30_000), 1./3, 2./3)
}

func TestLeastSessionsCountsWhatIsOpening(t *testing.T) {
	_, nodes := policyNodes(1, "least-sessions", 1, 1)
	nodes[0].c.instances[0].state.opening.Store(3) // a burst whose records are not there yet
	for range 3 {
		if got := nodes[0].take(); got.name != "i2" {
			t.Fatal(got.name)
		}
	}
}

func TestLeastRequestsCountsWhatWaits(t *testing.T) {
	c := weightedCluster("least-requests", 1, 1)
	c.instances[0].state.inFlight.Store(2)
	c.instances[1].state.inFlight.Store(1)
	c.instances[1].state.waiting.Store(3)
	for range 4 {
		if got := c.state.pick(nil); got.name != "i1" {
			t.Fatal(got.name)
		}
	}
}

func TestPowerOfTwoAvoidsTheBusyOne(t *testing.T) {
	c := weightedCluster("power-of-two", 1, 1, 1, 1)
	c.instances[2].state.inFlight.Store(100)
	for range 1000 {
		if c.state.pick(nil).name == "i3" {
			t.Fatal("the busy one of two was taken")
		}
	}
}

func TestPeakEWMA(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := weightedCluster("peak-ewma", 1, 1)
		c.instances[0].state.latency.observe(30 * time.Millisecond)
		c.instances[1].state.latency.observe(10 * time.Millisecond)
		got := map[string]int{}
		for range 400 { // requests that stay: the slow one gets one for three
			in := c.state.pick(nil)
			in.state.inFlight.Add(1)
			got[in.name]++
		}
		if got["i1"] < 95 || got["i1"] > 105 {
			t.Fatal(got)
		}
	})
}

func TestPeakEWMALeavesTheUnknownAlone(t *testing.T) {
	c := weightedCluster("peak-ewma", 1, 1)
	c.instances[0].state.latency.observe(time.Second)
	in := c.state.pick(nil)
	if in.name != "i2" {
		t.Fatal("an idle one that was never measured is not tried")
	}
	in.state.inFlight.Add(1)
	for range 10 {
		if got := c.state.pick(nil); got.name != "i1" {
			t.Fatal("all requests go to one that has answered none")
		}
	}
}

// TestSlowStart: a tenth of its share at first, growing to the whole.
func TestSlowStart(t *testing.T) { // TC-13
	for _, policy := range append(weightedPolicies, "round-robin") {
		t.Run(policy, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := weightedCluster(policy, 1, 1, 1)
				c.state.view = counted{nil, map[fsm.InstanceID]int{}}
				c.slowStart = 100 * time.Second
				for _, in := range c.instances {
					in.state.warm = warmup{}
					in.state.warm.startWarm() // there when the node starts
				}
				c.state.use(c)
				wantShares(t, c.shares(30_000), 1./3, 1./3, 1./3)
				h := (*c.instances[0].state.endpoints.Load())[0].health
				h.refused("down", time.Now())
				c.state.refresh()
				time.Sleep(time.Second)
				h.isUp.Store(true)
				c.state.refresh()
				want := func(share float64) {
					t.Helper()
					wantShares(t, c.shares(30_000), share/(share+2), 1/(share+2), 1/(share+2))
				}
				want(0.1)
				time.Sleep(50 * time.Second)
				want(0.55)
				time.Sleep(50 * time.Second)
				want(1)
			})
		})
	}
}

// TestSlowStartOfAllIsNone: who is alone, or cold like all others, gets everything.
func TestSlowStartOfAllIsNone(t *testing.T) {
	c := weightedCluster("weighted-round-robin", 1, 2)
	c.slowStart = time.Hour
	for _, in := range c.instances {
		in.state.warm = warmup{}
	}
	c.state.use(c)
	wantShares(t, c.shares(30_000), 1./3, 2./3)
}
