package lb

import (
	"errors"
	"net"
	"net/http"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// verdict sets the group's view of instances of c1, by id.
func (r *rig) verdict(states map[fsm.InstanceID]fsm.HealthState) {
	r.t.Helper()
	r.g.operate(func(o *fsm.Operating) {
		o.Verdicts = nil
		for id := fsm.InstanceID(1); id < 10; id++ {
			if s := states[id]; s != "" {
				o.Verdicts = append(o.Verdicts, fsm.Verdict{Instance: id, State: s})
			}
		}
	})
	r.inForce()
}

type states = map[fsm.InstanceID]fsm.HealthState

// newSessions counts where new sessions go.
func (r *rig) newSessions(n int) map[string]int {
	r.t.Helper()
	got := map[string]int{}
	for range n {
		got[newClient(r.t).get(r.url("/")).body]++
	}
	return got
}

// TestVerdicts: what the group has found failed gets nothing, what it suspects gets new sessions only when nobody else can take them.
func TestVerdicts(t *testing.T) { // TC-32
	a, b, c := newApp(t, "i1", nil), newApp(t, "i2", nil), newApp(t, "i3", nil)
	r := newRig(t, conf(of(a, b, c)...))
	on := sessionsOn(t, r, 9)
	r.verdict(states{1: fsm.HealthSuspect, 3: fsm.HealthUp})
	if got := r.newSessions(10); got["i1"] != 0 || got["i2"] != 5 || got["i3"] != 5 {
		t.Fatal(got)
	}
	if got := on["i1"][0].get(r.url("/")); got.body != "i1" {
		t.Fatal("an assigned request left a suspect instance")
	}
	r.verdict(states{1: fsm.HealthFailed})
	if got := on["i1"][0].get(r.url("/")); got.body == "i1" {
		t.Fatal("an assigned request went to a failed instance")
	}
	if got := r.newSessions(10); got["i1"] != 0 {
		t.Fatal(got)
	}
	r.verdict(states{1: fsm.HealthSuspect, 2: fsm.HealthFailed, 3: fsm.HealthFailed})
	if got := r.newSessions(3); got["i1"] != 3 {
		t.Fatal(got)
	}
	r.verdict(states{1: fsm.HealthFailed, 2: fsm.HealthFailed, 3: fsm.HealthFailed})
	if got := newClient(t).get(r.url("/")); got.StatusCode != 503 {
		t.Fatal(got.StatusCode)
	}
	// Without a quorum verdicts may be stale: what this node reaches is what counts.
	r.node.setCut(true)
	if got := r.newSessions(3); got["i1"] != 1 || got["i2"] != 1 || got["i3"] != 1 {
		t.Fatal(got)
	}
	if got := on["i1"][1].get(r.url("/")); got.body != "i1" {
		t.Fatal(got.body)
	}
	r.node.setCut(false)
	if got := newClient(t).get(r.url("/")); got.StatusCode != 503 {
		t.Fatal(got.StatusCode)
	}
}

// TestWhatThisNodeCannotReachItDoesNotUse, whatever the group says.
func TestWhatThisNodeCannotReachItDoesNotUse(t *testing.T) {
	b := newApp(t, "i2", nil)
	r := newRig(t, conf(inst("i1", deadURL(t)), inst("i2", b.URL)))
	r.wait("down here", func() bool { return r.status("c1", "i1").Health == "down" })
	r.verdict(states{1: fsm.HealthUp})
	if got := r.newSessions(4); got["i2"] != 4 {
		t.Fatal(got)
	}
}

func TestLocality(t *testing.T) { // WAS-22
	t.Run("zone", func(t *testing.T) {
		a, b, c := newApp(t, "i1", nil), newApp(t, "i2", nil), newApp(t, "i3", nil)
		cc := conf(of(a, b, c)...)
		cc.Clusters[0].Locality = "zone"
		for i, zone := range []string{"west", "east", "west"} {
			cc.Clusters[0].Instances[i].Zone = zone
		}
		r := newRigOn(t, newFakeGroup(cc), Options{Zone: "west"})
		if got := r.newSessions(10); got["i1"] != 5 || got["i3"] != 5 {
			t.Fatal(got)
		}
		a.Close()
		r.verdict(states{3: fsm.HealthFailed})
		if got := r.newSessions(3); got["i2"] != 3 {
			t.Fatal(got)
		}
		nowhere := newRigOn(t, newFakeGroup(cc), Options{})
		if got := nowhere.newSessions(4); got["i2"] == 0 || got["i3"] == 0 {
			t.Fatalf("a node without a zone has near instances: %v", got)
		}
	})
	t.Run("host", func(t *testing.T) {
		addrs := func() ([]net.Addr, error) {
			return []net.Addr{&net.IPNet{IP: net.ParseIP("192.0.2.7"), Mask: net.CIDRMask(24, 32)}, &net.IPNet{IP: net.ParseIP("2001:db8::7"), Mask: net.CIDRMask(64, 128)}}, nil
		}
		b := &Balancer{opts: Options{Interfaces: addrs}, log: nil}
		n := b.nearness("host")
		for url, want := range map[string]bool{
			"http://192.0.2.7:80": true, "http://192.0.2.8:80": false, "http://127.0.0.1:80": true, "http://127.8.9.1:80": true, "http://localhost:80": true,
			"http://[::1]:80": true, "http://[2001:db8::7]:80": true, "http://[2001:db8::8]:80": false, "http://www.example.com": false,
			"http://[::ffff:192.0.2.7]:80": true,
		} {
			if got := n.near(&config.Instance{Listeners: []string{url}}); got != want {
				t.Errorf("%s: %v", url, got)
			}
		}
		if !n.near(&config.Instance{Listeners: []string{"http://192.0.2.8:80", "https://192.0.2.7:443"}}) {
			t.Error("one of its listeners is enough")
		}
		a, c := newApp(t, "i1", nil), newApp(t, "i2", nil)
		cc := conf(of(a, c)...)
		cc.Clusters[0].Locality = "host"
		cc.Clusters[0].Instances[0].Listeners = []string{"http://192.0.2.9:1"} // not asked: the near one is there
		cc.Clusters[0].Health.Type = "none"
		r := newRigOn(t, newFakeGroup(cc), Options{Interfaces: func() ([]net.Addr, error) { return nil, errors.New("not today") }})
		if got := r.newSessions(4); got["i2"] != 4 {
			t.Fatal(got)
		}
	})
}

func TestBackupInstances(t *testing.T) { // WAS-25
	for _, failBack := range []string{"immediate", "session"} {
		for _, replicated := range []bool{true, false} {
			a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
			cc := conf(of(a, b)...)
			cc.Clusters[0].FailBack, cc.Clusters[0].Instances[1].Backup = failBack, true
			cc.Clusters[0].Modules[0].Replicated = replicated
			r := newRig(t, cc)
			if got := r.newSessions(4); got["i1"] != 4 {
				t.Fatal(got)
			}
			r.verdict(states{1: fsm.HealthSuspect})
			if got := r.newSessions(2); got["i1"] != 2 {
				t.Fatalf("the backup serves while another is available: %v", got)
			}
			r.verdict(states{1: fsm.HealthFailed})
			cl := newClient(t)
			if got := cl.get(r.url("/")); got.body != "i2" {
				t.Fatal(got.body)
			}
			r.verdict(nil)
			if got := r.newSessions(2); got["i1"] != 2 {
				t.Fatal(got)
			}
			want := "i2"
			if failBack == "immediate" && replicated {
				want = "i1"
			}
			for range 2 {
				if got := cl.get(r.url("/")); got.body != want || got.Header.Get("X-Holdfast-Session") != "" {
					t.Fatalf("%s, replicated %v: %s, want %s", failBack, replicated, got.body, want)
				}
			}
			if want == "i1" {
				if ops := r.g.moves(); len(ops) != 1 || ops[0].Reason != fsm.ReasonPolicy || metric(t, r, "holdfast_failovers_total", "reason=failback") != 1 {
					t.Fatalf("%+v", ops)
				}
			}
		}
	}
}

// backupConf has c1 with the backup c2, each with one instance.
func backupConf(a, b *app) *config.Config {
	cc := conf(inst("i1", a.URL))
	other := clone(cc).Clusters[0]
	other.Name, other.Instances = "c2", []config.Instance{inst("i1", b.URL)}
	cc.Clusters[0].Backup = []string{"c2"}
	cc.Clusters = append(cc.Clusters, other)
	return cc
}

// TestBackupCluster: new sessions begin there while no instance of the cluster is available, and stay there: none crosses.
func TestBackupCluster(t *testing.T) { // WAS-25, SUN-71
	a, b := newApp(t, "main", nil), newApp(t, "spare", nil)
	r := newRig(t, backupConf(a, b))
	cl := newClient(t)
	cl.get(r.url("/"))
	if got := r.newSessions(6); got["main"] != 6 {
		t.Fatalf("the backup has a share: %v", got)
	}
	r.verdict(states{1: fsm.HealthFailed})
	spare := newClient(t)
	if got := spare.get(r.url("/")); got.body != "spare" {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	if got := cl.get(r.url("/")); got.StatusCode != 503 {
		t.Fatalf("a session crossed clusters: %d %s", got.StatusCode, got.body)
	}
	r.verdict(nil)
	if got := r.newSessions(4); got["main"] != 4 {
		t.Fatalf("no fail-back: %v", got)
	}
	if got := spare.get(r.url("/")); got.body != "spare" {
		t.Fatal("a session left the backup cluster")
	}
	if got := cl.get(r.url("/")); got.body != "main" {
		t.Fatal(got.body)
	}
	if n := len(r.g.moves()); n != 0 {
		t.Fatalf("%d moves", n)
	}
}

// TestBackupClusterForQuiescing: all instances of the cluster quiesce; the backup takes new sessions before onAllQuiescing: serve does.
func TestBackupClusterForQuiescing(t *testing.T) {
	a, b := newApp(t, "main", nil), newApp(t, "spare", nil)
	cc := backupConf(a, b)
	cc.Clusters[0].OnAllQuiescing = "serve"
	r := newRig(t, cc)
	r.disable(cc, 0)
	if got := r.newSessions(3); got["spare"] != 3 {
		t.Fatal(got)
	}
	r.verdict(states{2: fsm.HealthFailed})
	if got := r.newSessions(3); got["main"] != 3 {
		t.Fatal(got)
	}
}

func TestBackupClusterWithoutTheModule(t *testing.T) {
	a, b := newApp(t, "main", nil), newApp(t, "spare", nil)
	cc := backupConf(a, b)
	cc.Clusters[1].Modules[0].ContextRoot = "/other"
	r := newRig(t, cc)
	r.verdict(states{1: fsm.HealthFailed})
	if got := newClient(t).get(r.url("/")); got.StatusCode != 503 {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
}

func TestRankOfClusters(t *testing.T) {
	names := func(list []*module) (s string) {
		for _, m := range list {
			s += m.cluster.name
		}
		return s
	}
	for _, c := range []struct {
		backups           map[string][]string
		primaries, spares string
	}{
		{nil, "abc", ""},
		{map[string][]string{"a": {"b"}}, "ac", "b"},
		{map[string][]string{"a": {"c", "b"}}, "a", "cb"},
		{map[string][]string{"a": {"b"}, "b": {"c"}}, "a", "bc"},
		{map[string][]string{"a": {"b"}, "b": {"a"}}, "abc", ""},             // each other's
		{map[string][]string{"a": {"b"}, "b": {"c"}, "c": {"a"}}, "abc", ""}, // a ring has no beginning
		{map[string][]string{"a": {"a", "nobody"}}, "abc", ""},               // nonsense changes nothing
		{map[string][]string{"a": {"c"}, "b": {"c"}}, "ab", "c"},
	} {
		s := &site{}
		for _, name := range []string{"a", "b", "c"} {
			s.modules = append(s.modules, &module{cluster: &cluster{name: name}, backup: c.backups[name]})
		}
		s.rankClusters()
		if p, sp := names(s.primaries), names(s.spares); p != c.primaries || sp != c.spares {
			t.Errorf("%v: %s and %s, want %s and %s", c.backups, p, sp, c.primaries, c.spares)
		}
	}
}

// TestFailoverTo: the preferred instance takes the sessions over, even one that gets no new ones (weight 0), but none that quiesces.
func TestFailoverTo(t *testing.T) { // TC-40
	a, b, c := newApp(t, "i1", nil), newApp(t, "i2", nil), newApp(t, "i3", nil)
	cc := conf(of(a, b, c)...)
	cc.Clusters[0].Instances[0].FailoverTo, cc.Clusters[0].Instances[2].Weight = "i3", 0
	r := newRig(t, cc)
	on := sessionsOn(t, r, 8)
	r.verdict(states{1: fsm.HealthFailed})
	for _, cl := range on["i1"][:2] {
		if got := cl.get(r.url("/")); got.body != "i3" {
			t.Fatal(got.body)
		}
	}
	r.disable(cc, 2)
	r.verdict(states{1: fsm.HealthFailed})
	if got := on["i1"][2].get(r.url("/")); got.body != "i2" {
		t.Fatal(got.body)
	}
}

// TestFailoverSameVersion: a session goes to instances of its version or to none.
func TestFailoverSameVersion(t *testing.T) { // SUN-73
	a, b, c := newApp(t, "i1", nil), newApp(t, "i2", nil), newApp(t, "i3", nil)
	cc := conf(of(a, b, c)...)
	cc.Clusters[0].FailoverSameVersion = true
	for i, v := range []string{"1", "2", "1"} {
		cc.Clusters[0].Instances[i].Version = v
	}
	cc.Clusters[0].Instances[0].FailoverTo = "i2" // no exception
	r := newRig(t, cc)
	on := sessionsOn(t, r, 9)
	r.verdict(states{1: fsm.HealthFailed})
	for _, cl := range on["i1"] {
		if got := cl.get(r.url("/")); got.body != "i3" {
			t.Fatalf("%d %s", got.StatusCode, got.body)
		}
	}
	r.verdict(states{1: fsm.HealthFailed, 3: fsm.HealthFailed})
	if got := on["i3"][0].get(r.url("/")); got.StatusCode != 503 || metric(t, r, "holdfast_failovers_refused_total", "cluster=c1", "reason=version") != 1 {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	if got := newClient(t).get(r.url("/")); got.body != "i2" {
		t.Fatal("a new session has no version yet")
	}
	r.verdict(nil)
	without := clone(cc) // i3 is removed: this node knows what it was
	without.Clusters[0].Instances = without.Clusters[0].Instances[:2]
	r.apply(without)
	r.inForce()
	if got := on["i3"][0].get(r.url("/")); got.body != "i1" {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	fresh := newRigOn(t, r.g, Options{}) // one that has never seen it does not
	if got := on["i3"][1].get(fresh.url("/")); got.StatusCode != 503 {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
}

// TestNewSessionOfAnyVersion: that the first choice does not take the first request is no fail-over between versions.
func TestNewSessionOfAnyVersion(t *testing.T) {
	b := newApp(t, "i2", nil)
	cc := conf(inst("i1", deadURL(t)), inst("i2", b.URL))
	cc.Clusters[0].FailoverSameVersion, cc.Clusters[0].Health.Type = true, "none"
	cc.Clusters[0].Instances[0].Version, cc.Clusters[0].Instances[1].Version = "1", "2"
	r := newRig(t, cc)
	for range 4 {
		if got := newClient(t).get(r.url("/")); got.StatusCode != http.StatusOK {
			t.Fatal(got.StatusCode)
		}
	}
}
