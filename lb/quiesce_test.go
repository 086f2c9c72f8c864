package lb

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// inForce waits until the balancer obeys what the group has decided.
func (r *rig) inForce() {
	r.t.Helper()
	want := r.node.Operating().Index
	r.wait("in force", func() bool { _, index, ok := r.b.InForce(); return ok && index >= want })
}

// disable takes an instance of c1 out of service; it quiesces.
func (r *rig) disable(c *config.Config, instance int) *config.Config {
	r.t.Helper()
	off := clone(c)
	off.Clusters[0].Instances[instance].Enabled = false
	r.apply(off)
	r.inForce()
	return off
}

func (r *rig) endQuiesces() {
	r.t.Helper()
	r.g.endQuiesces()
	r.inForce()
}

// TestQuiescePhases: no unassigned requests at once, assigned ones until the end, then they fail over inside the cluster.
func TestQuiescePhases(t *testing.T) { // SUN-45 to SUN-48, SUN-56
	for _, kind := range []string{"insert", "learn"} {
		t.Run(kind, func(t *testing.T) {
			a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
			cc := conf(of(a, b)...)
			if kind == "learn" {
				a, b = tomcats(t)
				cc = learnConf(of(a, b)...)
			}
			r := newRig(t, cc)
			on := sessionsOn(t, r, 10)
			r.disable(cc, 0)
			for range 20 {
				if got := newClient(t).get(r.url("/")); got.body != "i2" {
					t.Fatalf("an unassigned request went to %q", got.body)
				}
			}
			for _, cl := range on["i1"] {
				if got := cl.get(r.url("/")); got.body != "i1" {
					t.Fatal("an assigned request left its quiescing instance")
				}
			}
			r.endQuiesces()
			before := a.count()
			for _, cl := range on["i1"] {
				for range 2 {
					if got := cl.get(r.url("/")); got.body != "i2" {
						t.Fatalf("%d %s", got.StatusCode, got.body)
					}
				}
			}
			if a.count() != before {
				t.Fatal("a request reached the stopped instance")
			}
			if n := len(r.g.moves()); n != len(on["i1"]) {
				t.Fatalf("%d moves of %d sessions", n, len(on["i1"]))
			}
			for _, op := range r.g.moves() {
				if op.Reason != fsm.ReasonQuiesced || op.Module == 0 {
					t.Fatalf("%+v", op)
				}
			}
			if got := metric(t, r, "holdfast_failovers_total", "cluster=c1", "reason=quiesced"); got != float64(len(on["i1"])) {
				t.Fatalf("%v fail-overs", got)
			}
		})
	}
}

func (g *fakeGroup) recorded(kind fsm.OpKind) (list []fsm.SessionOp) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, op := range g.ops {
		if op.Kind == kind {
			list = append(list, op)
		}
	}
	return list
}

// TestRequestInFlightOutlivesTheQuiesce: dispatched before the end, answered after it.
func TestRequestInFlightOutlivesTheQuiesce(t *testing.T) { // SUN-50, SUN-55
	begun, finish := make(chan struct{}), make(chan struct{})
	slow := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/long" {
			close(begun)
			<-finish
		}
		io.WriteString(w, "i1")
	}
	a, b := newApp(t, "i1", slow), newApp(t, "i2", nil)
	cc := conf(of(a, b)...)
	r := newRig(t, cc)
	cl := sessionsOn(t, r, 2)["i1"][0]
	r.disable(cc, 0)
	answer := make(chan reply, 1)
	go func() { answer <- cl.get(r.url("/long")) }()
	<-begun
	r.endQuiesces()
	if n := r.status("c1", "i1").InFlight; n != 1 {
		t.Fatalf("%d in flight", n)
	}
	if n := r.modules()["c1/"]; n != 1 {
		t.Fatalf("%d in flight for the module", n)
	}
	close(finish)
	if got := <-answer; got.body != "i1" {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	r.wait("nothing in flight", func() bool { return r.status("c1", "i1").InFlight == 0 && r.modules()["c1/"] == 0 })
	if got := cl.get(r.url("/")); got.body != "i2" {
		t.Fatal(got.body)
	}
}

func (r *rig) modules() map[string]int64 {
	n := map[string]int64{}
	for _, m := range r.b.Modules() {
		n[m.Cluster+m.Host+m.ContextRoot] = m.InFlight
	}
	return n
}

func TestStoppedInstanceIsNoTarget(t *testing.T) {
	a, b, c := newApp(t, "i1", nil), newApp(t, "i2", nil), newApp(t, "i3", nil)
	cc := conf(of(a, b, c)...)
	r := newRig(t, cc)
	on := sessionsOn(t, r, 9)
	off := r.disable(cc, 1)
	r.endQuiesces() // i2 is stopped
	off = clone(off)
	off.Clusters[0].Instances[2].Enabled = false
	r.apply(off) // i3 quiesces
	r.inForce()
	a.Close()
	for _, cl := range on["i1"] {
		if got := cl.get(r.url("/")); got.StatusCode != 503 || got.Header.Get("Retry-After") == "" {
			t.Fatalf("fail-over to an instance that takes no new sessions: %d %s", got.StatusCode, got.body)
		}
	}
	for _, cl := range on["i3"] {
		if got := cl.get(r.url("/")); got.body != "i3" {
			t.Fatal(got.body)
		}
	}
}

// TestModuleQuiescesIntoAnotherCluster: new sessions of a module that is disabled in one cluster begin in the other that has it.
func TestModuleQuiescesIntoAnotherCluster(t *testing.T) { // SUN-59 to SUN-62
	for _, kind := range []string{"insert", "learn"} {
		t.Run(kind, func(t *testing.T) {
			a, b := newApp(t, "blue", nil), newApp(t, "green", nil)
			cc := conf(inst("i1", a.URL))
			if kind == "learn" {
				a, b = newApp(t, "blue", tomcat("blue")), newApp(t, "green", tomcat("green"))
				cc = learnConf(inst("i1", a.URL))
			}
			other := clone(cc).Clusters[0]
			other.Name, other.Instances = "c2", []config.Instance{inst("i1", b.URL)}
			cc.Clusters = append(cc.Clusters, other)
			r := newRig(t, cc)
			on := sessionsOn(t, r, 8)
			off := clone(cc)
			off.Clusters[0].Modules[0].Enabled = false
			r.apply(off)
			r.inForce()
			for range 6 {
				if got := newClient(t).get(r.url("/")); got.body != "green" {
					t.Fatalf("new session: %d %s", got.StatusCode, got.body)
				}
			}
			for _, cl := range on["blue"] {
				if got := cl.get(r.url("/")); got.body != "blue" {
					t.Fatalf("assigned during the quiesce: %d %s", got.StatusCode, got.body)
				}
			}
			r.endQuiesces()
			for _, cl := range on["blue"] {
				got := cl.get(r.url("/"))
				if got.body != "green" || got.Header.Get("X-Holdfast-Session") != "lost" {
					t.Fatalf("after the quiesce: %d %s %v", got.StatusCode, got.body, got.Header)
				}
				if got := cl.get(r.url("/")); got.body != "green" || got.Header.Get("X-Holdfast-Session") != "" {
					t.Fatalf("the next: %s %v", got.body, got.Header)
				}
			}
			if n := len(r.g.moves()); n != 0 {
				t.Fatalf("%d sessions moved: none may cross clusters", n) // SUN-71
			}
			if got := metric(t, r, "holdfast_sessions_lost_total", "cluster=c1"); got != float64(len(on["blue"])) {
				t.Fatalf("%v sessions lost", got)
			}
		})
	}
}

// TestSessionsOfAStoppedClusterBeginAnew: when every instance of a cluster has been stopped, as in an upgrade, its sessions begin anew in the other cluster that
// has the module; they do not cross over, and without another cluster they get 503 and are there again when an instance is.
func TestSessionsOfAStoppedClusterBeginAnew(t *testing.T) { // SUN-69, SUN-71, SUN-78, SUN-80
	for _, kind := range []string{"insert", "learn"} {
		t.Run(kind, func(t *testing.T) {
			a, b := newApp(t, "blue", nil), newApp(t, "green", nil)
			cc := conf(inst("i1", a.URL))
			if kind == "learn" {
				a, b = newApp(t, "blue", tomcat("blue")), newApp(t, "green", tomcat("green"))
				cc = learnConf(inst("i1", a.URL))
			}
			alone := clone(cc)
			other := clone(cc).Clusters[0]
			other.Name, other.Instances = "c2", []config.Instance{inst("i1", b.URL)}
			cc.Clusters = append(cc.Clusters, other)
			r := newRig(t, cc)
			on := sessionsOn(t, r, 8)
			stop := func(c *config.Config) *config.Config {
				c = clone(c)
				c.Clusters[0].Instances[0].Enabled = false
				return c
			}
			r.apply(stop(alone))
			r.inForce()
			r.endQuiesces()
			if got := on["blue"][0].get(r.url("/")); got.StatusCode != 503 {
				t.Fatalf("nobody else has the module: %d %s", got.StatusCode, got.body)
			}
			r.apply(stop(cc))
			r.inForce()
			for _, cl := range on["blue"] {
				got := cl.get(r.url("/"))
				if got.body != "green" || got.Header.Get("X-Holdfast-Session") != "lost" {
					t.Fatalf("%d %s %v", got.StatusCode, got.body, got.Header)
				}
				if got := cl.get(r.url("/")); got.body != "green" || got.Header.Get("X-Holdfast-Session") != "" {
					t.Fatalf("the next: %s %v", got.body, got.Header)
				}
			}
			if n := len(r.g.moves()); n != 0 {
				t.Fatalf("%d sessions moved: none may cross clusters", n)
			}
			r.apply(alone)
			r.inForce()
			if got := newClient(t).get(r.url("/")); got.body != "blue" {
				t.Fatalf("enabled again: %d %s", got.StatusCode, got.body)
			}
		})
	}
}

func TestModuleDisabledEverywhere(t *testing.T) { // SUN-61
	for policy, want := range map[string]int{"unavailable": 503, "not-found": 404} {
		a := newApp(t, "i1", nil)
		cc := conf(of(a)...)
		cc.Clusters[0].Modules[0].WhenDisabled = policy
		r := newRig(t, cc)
		cl := newClient(t)
		cl.get(r.url("/"))
		off := clone(cc)
		off.Clusters[0].Modules[0].Enabled = false
		r.apply(off)
		r.inForce()
		if got := newClient(t).get(r.url("/")); got.StatusCode != want {
			t.Errorf("%s: unassigned during the quiesce: %d", policy, got.StatusCode)
		}
		if got := cl.get(r.url("/")); got.StatusCode != 200 {
			t.Errorf("%s: assigned during the quiesce: %d", policy, got.StatusCode)
		}
		r.endQuiesces()
		got := cl.get(r.url("/"))
		if got.StatusCode != want || want == 503 && got.Header.Get("Retry-After") == "" {
			t.Errorf("%s: assigned after the quiesce: %d %v", policy, got.StatusCode, got.Header)
		}
		r.apply(cc)
		r.inForce()
		if got := cl.get(r.url("/")); got.StatusCode != 200 {
			t.Errorf("%s: enabled again: %d", policy, got.StatusCode)
		}
	}
}

func TestAllInstancesQuiescing(t *testing.T) { // SUN-78
	for _, policy := range []string{"refuse", "serve"} {
		a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
		cc := conf(of(a, b)...)
		cc.Clusters[0].OnAllQuiescing = policy
		r := newRig(t, cc)
		sessionsOn(t, r, 2)
		off := r.disable(cc, 0)
		if got := newClient(t).get(r.url("/")); got.body != "i2" {
			t.Fatalf("%s: one still serves: %s", policy, got.body)
		}
		off = clone(off) // the other one is in force
		off.Clusters[0].Instances[1].Enabled = false
		r.apply(off)
		r.inForce()
		before := len(r.g.sessions())
		for range 4 {
			cl := newClient(t)
			got := cl.get(r.url("/"))
			switch {
			case policy == "refuse" && (got.StatusCode != 503 || got.Header.Get("Retry-After") == ""):
				t.Fatalf("refuse: %d %s", got.StatusCode, got.body)
			case policy == "serve" && (got.StatusCode != 200 || cl.get(r.url("/")).body != got.body):
				t.Fatalf("serve: %d %s", got.StatusCode, got.body)
			}
		}
		if made := len(r.g.sessions()) - before; policy == "serve" && made != 4 || policy == "refuse" && made != 0 {
			t.Fatalf("%s: %d sessions recorded", policy, made)
		}
		r.endQuiesces()
		if got := newClient(t).get(r.url("/")); got.StatusCode != 503 {
			t.Fatalf("%s: all stopped: %d", policy, got.StatusCode)
		}
	}
}

// TestStaleBookmarksDoNotProlongAQuiesce: an id that the group does not know is no session, whatever instance its suffix or cookie names.
func TestStaleBookmarksDoNotProlongAQuiesce(t *testing.T) {
	t.Run("learn", func(t *testing.T) {
		a, b := tomcats(t)
		cc := learnConf(of(a, b)...)
		cc.Clusters[0].Affinity.Routes = []string{"JROUTE"}
		r := newRig(t, cc)
		if got := send(t, r, "/", "Cookie: JSESSIONID=old.i1"); got.body != "i1" {
			t.Fatal("before: the suffix does not lead")
		}
		r.disable(cc, 0)
		for i, lines := range [][]string{{"Cookie: JSESSIONID=older.i1"}, {"Cookie: JSESSIONID=oldest; JROUTE=i1"}, {"Cookie: JROUTE=i1"}} {
			if got := send(t, r, "/", lines...); got.body != "i2" {
				t.Errorf("%d: a stale id went to the quiescing instance", i)
			}
		}
		if got := send(t, r, "/", "Cookie: JSESSIONID=old.i1"); got.body != "i1" {
			t.Error("a known session left")
		}
	})
	t.Run("insert", func(t *testing.T) {
		a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
		cc := conf(of(a, b)...)
		r := newRig(t, cc)
		on := sessionsOn(t, r, 4)
		r.disable(cc, 0)
		r.g.with(func() { // both sessions of i1 expire
			for k, v := range r.g.table {
				if v.Instance == 1 {
					delete(r.g.table, k)
				}
			}
		})
		for _, cl := range on["i1"] {
			if got := cl.get(r.url("/")); got.body != "i2" {
				t.Error("a session that is over went to the quiescing instance")
			}
		}
	})
	t.Run("module", func(t *testing.T) {
		a := newApp(t, "i1", tomcat("i1"))
		cc := learnConf(of(a)...)
		r := newRig(t, cc)
		off := clone(cc)
		off.Clusters[0].Modules[0].Enabled = false
		r.apply(off)
		r.inForce()
		if got := send(t, r, "/", "Cookie: JSESSIONID=old.i1"); got.StatusCode != 503 {
			t.Error("a stale id was served by a quiescing module")
		}
	})
}

// TestUnrelatedChangeDuringAQuiesce: verdicts, shares and other revisions leave it alone.
func TestUnrelatedChangeDuringAQuiesce(t *testing.T) { // SUN-65, SUN-68
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	cc := conf(of(a, b)...)
	r := newRig(t, cc)
	on := sessionsOn(t, r, 4)
	off := r.disable(cc, 0)
	lines := strings.Count(r.logs.String(), "configuration in force")
	r.g.operate(func(o *fsm.Operating) { o.Verdicts = []fsm.Verdict{{Instance: 2, State: fsm.HealthSuspect}} })
	r.inForce()
	if n := strings.Count(r.logs.String(), "configuration in force"); n != lines {
		t.Error("a verdict is logged as a new configuration")
	}
	off = clone(off)
	off.Clusters[0].Modules = append(off.Clusters[0].Modules, config.Module{ContextRoot: "/new", Enabled: true, Replicated: true})
	r.apply(off)
	r.inForce()
	if n := strings.Count(r.logs.String(), "configuration in force"); n != lines+1 {
		t.Error("a new revision is not logged once")
	}
	for _, cl := range on["i1"] {
		if got := cl.get(r.url("/")); got.body != "i1" {
			t.Fatal(got.body)
		}
	}
}
