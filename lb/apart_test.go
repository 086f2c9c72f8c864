package lb

import (
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm"
)

// twoHosts has three instances on host a, a failed one among them, and one on host b: a vertical cluster on each of two machines.
func twoHosts(policy string) *cluster {
	c := weightedCluster(policy, 1, 1, 1, 1)
	for i, in := range c.instances {
		in.id, in.host = fsm.InstanceID(i+1), []string{"a", "a", "a", "b"}[i]
	}
	c.byName = map[string]*instance{}
	c.state.view = counted{nil, map[fsm.InstanceID]int{}}
	c.state.use(c)
	return c
}

// successors are those who take over from the first instance.
func successors(c *cluster, t takeover) string {
	c.state.use(c)
	got := map[string]bool{}
	t.tried = append(t.tried, c.instances[0].state)
	for range 40 {
		if in := c.state.pickOther(t); in != nil {
			got[in.name] = true
		}
	}
	names := ""
	for _, in := range c.instances {
		if got[in.name] {
			names += in.name
		}
	}
	return names
}

// TestAnotherHostTakesOver: what fails over, and what is sent again, goes to another host than that of the failed instance, if there is a choice among equals.
// Order of instances: none of a higher rank, no near one, and none with a free connection yields to one that has nothing but another host.
func TestAnotherHostTakesOver(t *testing.T) { // WAS-02
	fromA := takeover{away: []string{"a"}}
	for _, policy := range append(slices.Clone(weightedPolicies), "round-robin") {
		c := twoHosts(policy)
		if got := successors(c, fromA); got != "i4" {
			t.Errorf("%s: %s", policy, got)
		}
		if got := c.state.pickAway([]*instanceState{c.instances[0].state}, fromA.away); got.name != "i4" {
			t.Errorf("%s: a request is sent again to %s", policy, got.name)
		}
		if got := c.picks(40); got != "i1i2i3i4" {
			t.Errorf("%s: new sessions go to %s", policy, got)
		}
	}
	for _, tc := range []struct {
		name, want string
		change     func(*cluster)
		who        takeover
	}{
		{"nothing has failed", "i2i3i4", nil, takeover{}},
		{"both hosts have failed", "i2i3i4", nil, takeover{away: []string{"a", "b"}}},
		{"the other host is of no use", "i2i3", func(c *cluster) { c.instances[3].enabled, c.instances[3].phase = false, fsm.PhaseQuiescing }, fromA},
		{"it is suspect", "i2i3", func(c *cluster) { c.instances[3].verdict = fsm.HealthSuspect }, fromA},
		{"it is a backup", "i2i3", func(c *cluster) { c.instances[3].backup = true }, fromA},
		{"it has weight 0", "i2i3", func(c *cluster) { c.instances[3].weight = 0 }, fromA},
		{"it is far", "i2i3", func(c *cluster) { c.locality = true; c.instances[1].near, c.instances[2].near = true, true }, fromA},
		{"it is busy", "i2i3", func(c *cluster) {
			c.instances[3].bounded = true
			c.instances[3].state.limit(1)
			c.instances[3].state.inFlight.Store(1)
		}, fromA},
		{"all have weight 0", "i4", func(c *cluster) {
			for _, in := range c.instances {
				in.weight = 0
			}
		}, fromA},
		{"failoverTo names another", "i2", func(c *cluster) { c.byName["i2"] = c.instances[1] }, takeover{away: []string{"a"}, preferred: "i2"}},
		{"only a version of the same host", "i2", func(c *cluster) { c.instances[1].version = "2" }, takeover{away: []string{"a"}, sameVersion: true, version: "2"}},
	} {
		c := twoHosts("weighted-round-robin")
		if tc.change != nil {
			tc.change(c)
		}
		if got := successors(c, tc.who); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}

func TestHostOfAnInstance(t *testing.T) {
	for urls, want := range map[string]string{
		"http://WWW.example.com:41 https://other:42": "www.example.com", "http://[2001:DB8::1]:80": "2001:db8::1", "http://[::ffff:192.0.2.1]:80": "192.0.2.1", "": "", "%": "",
	} {
		if got := hostOf(strings.Fields(urls)); got != want {
			t.Errorf("%q: %q, want %q", urls, got, want)
		}
	}
}

// TestSessionsLeaveAFailedHost: i1 and i2 are on one host, i3 is on another. (To this test a name is another host than the address behind it.)
func TestSessionsLeaveAFailedHost(t *testing.T) { // WAS-02
	a, b, c := dying(t, "i1"), newApp(t, "i2", nil), newApp(t, "i3", nil)
	onHost := func(url string) string { return strings.Replace(url, "127.0.0.1", "localhost", 1) }
	cc := conf(inst("i1", onHost(a.url)), inst("i2", onHost(b.URL)), inst("i3", c.URL))
	cc.Clusters[0].Health.Passive, cc.Clusters[0].Health.Type = []string{"connect", "reset"}, "none"
	r := newRig(t, cc)
	on := sessionsOn(t, r, 12)
	if len(on["i1:"]) != 4 {
		t.Fatal(on)
	}
	r.verdict(states{1: fsm.HealthFailed})
	for _, cl := range on["i1:"][:2] {
		if got := cl.get(r.url("/")); got.body != "i3" {
			t.Fatalf("a session of i1 fails over to %s", got.body)
		}
	}
	r.verdict(nil)
	if got := on["i1:"][2].get(r.url("/die")); got.body != "i3" {
		t.Fatalf("a request that i1 died of is sent again to %d %s", got.StatusCode, got.body)
	}
	r.verdict(states{1: fsm.HealthFailed, 3: fsm.HealthFailed})
	if got := on["i1:"][3].get(r.url("/")); got.body != "i2" {
		t.Fatalf("without a choice it goes to %d %s", got.StatusCode, got.body)
	}
}

// TestQuiescedIsNotFailed: that an instance was stopped says nothing about its host.
func TestQuiescedIsNotFailed(t *testing.T) { // WAS-02
	a, b, c := newApp(t, "i1", nil), newApp(t, "i2", nil), newApp(t, "i3", nil)
	onHost := func(url string) string { return strings.Replace(url, "127.0.0.1", "localhost", 1) }
	cc := conf(inst("i1", onHost(a.URL)), inst("i2", onHost(b.URL)), inst("i3", c.URL))
	r := newRig(t, cc)
	on := sessionsOn(t, r, 24)
	r.disable(cc, 0)
	r.g.endQuiesces()
	r.inForce()
	moved := map[string]int{}
	for _, cl := range on["i1"] {
		moved[cl.get(r.url("/")).body]++
	}
	if moved["i2"] == 0 || moved["i3"] == 0 || len(moved) != 2 {
		t.Errorf("sessions of the stopped instance went to %v", moved)
	}
}
