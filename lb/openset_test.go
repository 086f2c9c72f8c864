package lb

import (
	"testing"

	"github.com/holdfast-lb/holdfast/fsm"
)

// rankedCluster has two near instances, a far one, a suspect one and a backup, in this order.
func rankedCluster() (*cluster, counted) {
	c := weightedCluster("round-robin", 1, 1, 1, 1, 1)
	view := counted{nil, map[fsm.InstanceID]int{}}
	c.state.view, c.locality = view, true
	for i, in := range c.instances {
		in.id, in.near, in.maxSessions, in.bounded = fsm.InstanceID(i+1), i < 2, 10, true
		in.state.limit(5)
	}
	c.instances[3].verdict, c.instances[4].backup = fsm.HealthSuspect, true
	c.state.use(c)
	return c, view
}

func (c *cluster) picks(n int) string {
	got := map[string]bool{}
	for range n {
		if in := c.state.pick(nil); in != nil {
			got[in.name] = true
		}
	}
	s := ""
	for _, in := range c.instances {
		if got[in.name] {
			s += in.name
		}
	}
	return s
}

// TestYieldsAreCounted: for near instances that were passed by because they are busy, and for nobody else; that is how the node gets a larger share.
func TestYieldsAreCounted(t *testing.T) { // WAS-22
	c, view := rankedCluster()
	want := func(what string, counts ...int64) {
		t.Helper()
		c.picks(4)
		for i, n := range counts {
			if got := c.instances[i].state.yielded.Swap(0); got != n {
				t.Errorf("%s: i%d has %d, want %d", what, i+1, got, n)
			}
		}
	}
	want("all well", 0, 0, 0, 0, 0)
	c.instances[0].state.inFlight.Store(5)
	want("another near one is free", 0, 0, 0, 0, 0)
	c.instances[1].state.inFlight.Store(5)
	want("they go far", 4, 4, 0, 0, 0)
	view.sessions[2] = 10
	want("a near one has no room: a connection would not help", 4, 0, 0, 0, 0)
	view.sessions[2] = 0
	if c.state.pick([]*instanceState{c.instances[0].state}); c.instances[0].state.yielded.Swap(0) != 0 || c.instances[1].state.yielded.Swap(0) != 1 {
		t.Error("one that has been tried and failed is no reason for a connection more")
	}
	c.instances[2].state.inFlight.Store(5)
	want("all are busy, so they wait", 0, 0, 0, 0, 0)
}

// TestYieldsAreReported, so that the leader hears of them.
func TestYieldsAreReported(t *testing.T) {
	a, b := newApp(t, "near", nil), newApp(t, "far", nil)
	cc := conf(of(a, b)...)
	cl := &cc.Clusters[0]
	cl.Locality, cl.Instances[0].Zone, cl.Instances[1].Zone = "zone", "z1", "z2"
	cl.Instances[0].MaxConnections = 4 // and no share
	r := newRigOn(t, newFakeGroup(cc), Options{Node: "node1", Zone: "z1"})
	for range 3 {
		if got := newClient(t).get(r.url("/")); got.body != "far" {
			t.Fatalf("%d %s", got.StatusCode, got.body)
		}
	}
	if s := r.status("c1", cl.Instances[0].Name); s.Yielded != 3 {
		t.Errorf("the leader is told of %d, want 3: %+v", s.Yielded, s)
	}
}

// TestOrderOfInstances: near, far, suspect, backup; each only when those before cannot take a session. One without a free connection counts as able to:
// far ones of the same rank are preferred to waiting, suspect and backup ones are not.
func TestOrderOfInstances(t *testing.T) { // WAS-22, WAS-25
	c, view := rankedCluster()
	want := func(what, names string) {
		t.Helper()
		if got := c.picks(20); got != names {
			t.Errorf("%s: %s, want %s", what, got, names)
		}
	}
	want("all well", "i1i2")
	c.instances[0].state.inFlight.Store(5)
	want("one near one is busy", "i2")
	c.instances[1].state.inFlight.Store(5)
	want("both near ones are busy", "i3")
	c.instances[2].state.inFlight.Store(5)
	want("all are busy: wait for a near one", "i1i2")
	c.instances[0].state.inFlight.Store(0)
	want("a connection is free again", "i1")
	view.sessions[1] = 10
	want("but there is no room for a session", "i2")
	view.sessions[2] = 10
	want("nor on the other near one: wait for the far one", "i3")
	view.sessions[3] = 11
	want("the first rank is full", "i4")
	view.sessions[4] = 10
	want("so are the suspects", "i5")
	if !c.state.available() {
		t.Error("the backup has room")
	}
	view.sessions[5] = 10
	want("all are full", "")
	if c.state.available() {
		t.Error("nobody has room")
	}
}

// TestNoShareIsBusy: an instance of which this node has no share, or has more in flight than its share, gets nothing new while another is free.
func TestNoShareIsBusy(t *testing.T) {
	c, _ := rankedCluster()
	c.instances[0].state.limit(0)
	c.instances[1].state.inFlight.Store(5)
	c.instances[1].state.limit(3)
	if got := c.picks(20); got != "i3" {
		t.Errorf("%s", got)
	}
}

// TestQuorumDecidesAboutVerdicts: the set follows the quorum without being told.
func TestQuorumDecidesAboutVerdicts(t *testing.T) {
	c := weightedCluster("round-robin", 1, 1)
	quorum := true
	c.state.quorum = func() bool { return quorum }
	c.instances[0].verdict = fsm.HealthFailed
	c.state.use(c)
	if got := c.picks(10); got != "i2" {
		t.Errorf("with a quorum: %s", got)
	}
	quorum = false
	if got := c.picks(10); got != "i1i2" {
		t.Errorf("without: %s", got)
	}
	quorum = true
	if got := c.picks(10); got != "i2" {
		t.Errorf("with one again: %s", got)
	}
}
