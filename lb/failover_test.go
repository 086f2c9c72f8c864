package lb

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// sessionsOn starts n sessions and gives the clients by the instance they are on.
func sessionsOn(t *testing.T, r *rig, n int) map[string][]*client {
	t.Helper()
	on := map[string][]*client{}
	for range n {
		cl := newClient(t)
		got := cl.get(r.url("/"))
		on[got.body] = append(on[got.body], cl)
	}
	return on
}

func TestFailOverMovesOnceInsideTheCluster(t *testing.T) {
	for _, kind := range []string{"insert", "learn"} {
		t.Run(kind, func(t *testing.T) {
			var a, b, c, alien *app
			conf := conf
			if kind == "learn" {
				conf = learnConf
				a, b, c = newApp(t, "i1", tomcat("i1")), newApp(t, "i2", tomcat("i2")), newApp(t, "i3", tomcat("i3"))
			} else {
				a, b, c = newApp(t, "i1", nil), newApp(t, "i2", nil), newApp(t, "i3", nil)
			}
			alien = newApp(t, "alien", nil)
			cc := conf(of(a, b, c)...)
			other := clone(cc).Clusters[0]
			other.Name, other.Instances = "c2", of(alien)
			other.Modules[0].ContextRoot = "/other"
			cc.Clusters = append(cc.Clusters, other)
			g := newFakeGroup(cc)
			r, second := newRigOn(t, g, Options{}), newRigOn(t, g, Options{})
			on := sessionsOn(t, r, 12)
			a.CloseClientConnections()
			a.Close()
			moved := map[string]int{}
			for _, cl := range on["i1"] {
				first := cl.get(r.url("/"))
				if first.StatusCode != 200 || first.body == "i1" || first.body == "alien" {
					t.Fatalf("failed over to %d %s", first.StatusCode, first.body)
				}
				moved[first.body]++
				for _, node := range []*rig{r, second, r} {
					if got := cl.get(node.url("/")); got.body != first.body {
						t.Fatalf("moved again from %s to %s", first.body, got.body)
					}
				}
			}
			if len(g.moves()) != len(on["i1"]) || moved["i2"] == 0 || moved["i3"] == 0 {
				t.Fatalf("%d moves of %d sessions: %v", len(g.moves()), len(on["i1"]), moved)
			}
			for _, name := range []string{"i2", "i3"} {
				for _, cl := range on[name] {
					if got := cl.get(r.url("/")); got.body != name {
						t.Fatalf("a session of %s went to %s", name, got.body)
					}
				}
			}
			if s := r.status("c1", "i1"); s.Health != "down" || s.Reason == "" {
				t.Fatalf("status of the dead instance: %+v", s)
			}
		})
	}
}

func TestFailOverGoesWhereTheGroupSays(t *testing.T) {
	a, b, c := newApp(t, "i1", nil), newApp(t, "i2", nil), newApp(t, "i3", nil)
	r := newRig(t, conf(of(a, b, c)...))
	on := sessionsOn(t, r, 3)
	cl := on["i1"][0]
	a.Close()
	// while this node makes up its mind another one moves the session to i3
	first := true
	r.g.with(func() {
		r.g.record = func(op fsm.SessionOp) {
			if isMove(op.Kind) && first {
				first = false
				r.g.with(func() { r.g.applyOp(fsm.SessionOp{Kind: fsm.OpMove, Key: op.Key, Expect: op.Expect, Instance: 3}) })
			}
		}
	})
	for range 2 {
		if got := cl.get(r.url("/")); got.body != "i3" {
			t.Fatalf("went to %s, the group says i3", got.body)
		}
	}
}

func TestFailOverOfRemovedInstance(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	cc := conf(of(a, b)...)
	r := newRig(t, cc)
	on := sessionsOn(t, r, 4)
	without := clone(cc)
	without.Clusters[0].Instances = of(b)
	r.apply(without)
	for _, cl := range append(on["i1"], on["i2"]...) {
		if got := cl.get(r.url("/")); got.body != "i2" {
			t.Fatalf("went to %s", got.body)
		}
	}
	if n := len(r.g.moves()); n != 2 {
		t.Fatalf("%d moves, want 2", n)
	}
}

func TestServiceWhileOneInstanceRuns(t *testing.T) { // WAS-24
	apps := []*app{newApp(t, "i1", nil), newApp(t, "i2", nil), newApp(t, "i3", nil), newApp(t, "i4", nil)}
	cc := conf(of(apps...)...)
	cc.Clusters[0].Modules[0].Retries = -1
	r := newRig(t, cc)
	cl := newClient(t)
	cl.get(r.url("/"))
	for _, a := range apps[:3] {
		a.Close()
	}
	for range 5 {
		if got := cl.get(r.url("/")); got.body != "i4" {
			t.Fatalf("%d %s", got.StatusCode, got.body)
		}
		if got := newClient(t).get(r.url("/")); got.body != "i4" {
			t.Fatalf("new session: %d %s", got.StatusCode, got.body)
		}
	}
	apps[3].Close()
	got := cl.get(r.url("/"))
	if got.StatusCode != 503 || got.Header.Get("Retry-After") == "" {
		t.Fatalf("with no instance: %d %v", got.StatusCode, got.Header)
	}
}

func TestUnsentBodyGoesToAnotherInstance(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) {
		all, _ := io.ReadAll(r.Body)
		w.Write(all)
	}
	b := newApp(t, "i2", echo)
	cc := conf(inst("i1", deadURL(t)), inst("i2", b.URL))
	cc.Clusters[0].Health = config.Health{Type: "none"}
	r := newRig(t, cc)
	body := strings.Repeat("body", 50_000)
	for range 2 { // one of the two is meant for i1
		req, _ := http.NewRequest(http.MethodPost, r.url("/"), io.MultiReader(strings.NewReader(body)))
		got := newClient(t).do(req)
		if got.StatusCode != 200 || got.body != body {
			t.Fatalf("%d, %d bytes back", got.StatusCode, len(got.body))
		}
		if k := cookieNamed(got, "HOLDFAST"); k == nil {
			t.Fatal("no cookie")
		}
	}
	for _, a := range r.g.sessions() {
		if a.Instance != r.g.id("c1", "i2") {
			t.Fatal("a session is recorded for the instance that refused")
		}
	}
	if got := metric(t, r, "holdfast_connect_retries_total"); got != 1 {
		t.Fatalf("%v connect retries", got)
	}
	if got := metric(t, r, "holdfast_request_retries_total", "why=connect"); got != 1 {
		t.Fatalf("%v retries", got)
	}
}

func TestRetriesZeroStaysWithTheChosenInstance(t *testing.T) {
	b := newApp(t, "i2", nil)
	cc := conf(inst("i1", deadURL(t)), inst("i2", b.URL))
	cc.Clusters[0].Modules[0].Retries = 0
	cc.Clusters[0].Health = config.Health{Type: "none"}
	r := newRig(t, cc)
	codes := map[int]int{}
	for range 2 {
		codes[newClient(t).get(r.url("/")).StatusCode]++
	}
	if codes[200] != 1 || codes[503] != 1 {
		t.Fatal(codes)
	}
}

func TestNothingSentTwice(t *testing.T) {
	// the instance takes the request and dies without an answer
	dies := func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }
	a, b := newApp(t, "i1", dies), newApp(t, "i2", dies)
	cc := conf(of(a, b)...)
	cc.Clusters[0].Modules[0].Retries = -1
	r := newRig(t, cc)
	req, _ := http.NewRequest(http.MethodPost, r.url("/"), bytes.NewReader([]byte("x")))
	if got := newClient(t).do(req); got.StatusCode != 502 {
		t.Fatalf("%d", got.StatusCode)
	}
	if n := a.count() + b.count(); n != 1 {
		t.Fatalf("the request reached an instance %d times", n)
	}
}

func TestDisabledInstanceKeepsItsSessions(t *testing.T) { // SUN-46, SUN-47
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	cc := conf(of(a, b)...)
	r := newRig(t, cc)
	on := sessionsOn(t, r, 6)
	off := clone(cc)
	off.Clusters[0].Instances[0].Enabled = false
	r.apply(off)
	for range 10 {
		if got := newClient(t).get(r.url("/")); got.body != "i2" {
			t.Fatal("an unassigned request went to a disabled instance")
		}
	}
	for _, cl := range on["i1"] {
		if got := cl.get(r.url("/")); got.body != "i1" {
			t.Fatal("an assigned request left its disabled instance")
		}
	}
	if s := r.status("c1", "i1"); s.Enabled || s.Health != "up" {
		t.Fatalf("%+v", s)
	}
}

func TestWeightZeroTakesAssignedOnly(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	cc := conf(of(a, b)...)
	r := newRig(t, cc)
	on := sessionsOn(t, r, 4)
	zero := clone(cc)
	zero.Clusters[0].Instances[0].Weight = 0
	r.apply(zero)
	for range 6 {
		if got := newClient(t).get(r.url("/")); got.body != "i2" {
			t.Fatal("an unassigned request went to an instance of weight 0")
		}
	}
	if got := on["i1"][0].get(r.url("/")); got.body != "i1" {
		t.Fatal("an assigned request left its instance of weight 0")
	}
	b.Close()
	if got := on["i2"][0].get(r.url("/")); got.body != "i1" {
		t.Fatalf("the last instance did not take the session over: %d", got.StatusCode)
	}
}

func TestDisabledModuleTakesAssignedOnly(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	cc := conf(of(a, b)...)
	r := newRig(t, cc)
	cl := newClient(t)
	first := cl.get(r.url("/"))
	off := clone(cc)
	off.Clusters[0].Modules[0].Enabled = false
	r.apply(off)
	if got := cl.get(r.url("/")); got.body != first.body {
		t.Fatal("a session of a disabled module is not served")
	}
	if got := newClient(t).get(r.url("/")); got.StatusCode != 503 {
		t.Fatalf("unassigned: %d", got.StatusCode)
	}
}

func TestSameModuleInTwoClusters(t *testing.T) { // SUN-36, SUN-71
	a, b := newApp(t, "blue", nil), newApp(t, "green", nil)
	cc := conf(inst("i1", a.URL))
	other := clone(cc).Clusters[0]
	other.Name, other.Instances = "c2", []config.Instance{inst("i1", b.URL)}
	cc.Clusters = append(cc.Clusters, other)
	r := newRig(t, cc)
	on := sessionsOn(t, r, 8)
	if len(on["blue"]) != 4 || len(on["green"]) != 4 {
		t.Fatalf("not alternating: %d %d", len(on["blue"]), len(on["green"]))
	}
	a.Close()
	for _, cl := range on["green"] {
		if cl.get(r.url("/")).body != "green" {
			t.Fatal("moved")
		}
	}
	if got := on["blue"][0].get(r.url("/")); got.StatusCode != 503 {
		t.Fatalf("a session left its cluster: %d %s", got.StatusCode, got.body)
	}
	for range 4 {
		if got := newClient(t).get(r.url("/")); got.body != "green" {
			t.Fatalf("unassigned: %d", got.StatusCode)
		}
	}
}
