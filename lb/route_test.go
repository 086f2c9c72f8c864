package lb

import (
	"testing"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// TestRoutes: cookies and path parameters that hold only the route of an instance lead unknown ids, and requests without one.
func TestRoutes(t *testing.T) { // clients of a Sun balancer keep their instance
	a, b := tomcats(t)
	cc := learnConf(of(a, b)...)
	cc.Clusters[0].Affinity.Routes = []string{"JROUTE"}
	cc.Clusters[0].Instances[1].Route = "r2"
	r := newRig(t, cc)
	known := newClient(t)
	for known.get(r.url("/")).body != "i1" {
		known = newClient(t)
	}
	for i, c := range []struct {
		path  string
		lines []string
		want  string
	}{
		{"/", []string{"Cookie: JSESSIONID=u1; JROUTE=r2"}, "i2"},
		{"/", []string{"Cookie: JROUTE=r2; JSESSIONID=u2"}, "i2"},
		{"/", []string{"Cookie: JSESSIONID=u3; JROUTE=nobody; JROUTE=r2"}, "i2"},
		{"/", []string{"Cookie: JSESSIONID=u4.i1; JROUTE=r2"}, "i1"}, // the id's own suffix first
		{"/x;jsessionid=u5;jroute=r2", nil, "i2"},
		{"/x;JROUTE=r2/y;jsessionid=u6", nil, "i2"},
		{"/", []string{"Cookie: JROUTE=r2"}, "i2"},
		{"/", []string{"Cookie: JROUTE=:r2"}, "i2"},
		{"/x;jroute=r2", nil, "i2"},
	} {
		for range 3 { // more often than the round robin could hit by chance
			if got := send(t, r, c.path, c.lines...); got.body != c.want {
				t.Errorf("%d: went to %s", i, got.body)
			}
		}
	}
	for _, op := range r.g.recorded(fsm.OpAssign) {
		if op.Key == SessionKey(r.g.group, "c1", "", "/", "u1") && op.Reason != fsm.ReasonRoute {
			t.Errorf("%+v", op)
		}
	}
	other := clone(cc)
	other.Clusters[0].Affinity.Routes = nil
	r.apply(other)
	got := map[string]int{}
	for range 4 {
		got[send(t, r, "/", "Cookie: JROUTE=r2").body]++
	}
	if got["i1"] != 2 {
		t.Errorf("without routes: %v", got)
	}
}

func TestRouteOfKnownSessionIsIgnored(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	cc := learnConf(of(a, b)...)
	cc.Clusters[0].Affinity.Routes = []string{"JROUTE"}
	r := newRig(t, cc)
	key := SessionKey(r.g.group, "c1", "", "/", "abc")
	r.node.Record(t.Context(), fsm.SessionOp{Kind: fsm.OpAssign, Key: key, Instance: 1})
	for range 3 {
		if got := send(t, r, "/", "Cookie: JSESSIONID=abc; JROUTE=i2"); got.body != "i1" {
			t.Fatal(got.body)
		}
	}
}

// TestRouteIsOnlyAHint: an instance that gets no new sessions is not made to take one.
func TestRouteIsOnlyAHint(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	cc := learnConf(of(a, b)...)
	cc.Clusters[0].Affinity.Routes = []string{"JROUTE"}
	r := newRig(t, cc)
	r.verdict(states{1: fsm.HealthFailed})
	if got := send(t, r, "/", "Cookie: JROUTE=i1"); got.body != "i2" {
		t.Fatal(got.body)
	}
	r.verdict(nil)
	r.disable(cc, 0)
	if got := send(t, r, "/", "Cookie: JROUTE=i1"); got.body != "i2" {
		t.Fatal(got.body)
	}
}

// TestPlusSeparator: WebSphere with CloneSeparatorChange.
func TestPlusSeparator(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	cc := learnConf(of(a, b)...)
	cc.Clusters[0].Instances[1].Route = "v544d0o0"
	r := newRig(t, cc)
	for _, id := range []string{"0000A2MB4IJozU_VM8IffsMNfdR+v544d0o0", "0001x+nobody+v544d0o0", "0002y+v544d0o0+i1", "0003z:v544d0o0"} {
		for range 3 {
			if got := send(t, r, "/", "Cookie: JSESSIONID="+id); got.body != "i2" {
				t.Errorf("%s went to %s", id, got.body)
			}
		}
	}
	if _, ok := r.g.sessions()[SessionKey(r.g.group, "c1", "", "/", "0000A2MB4IJozU_VM8IffsMNfdR")]; !ok {
		t.Error("the clone id is part of the key")
	}
	if got := send(t, r, "/", "Cookie: JSESSIONID=a+b+c"); got.StatusCode != 200 {
		t.Fatal(got.StatusCode)
	}
	if _, ok := r.g.sessions()[SessionKey(r.g.group, "c1", "", "/", "a+b+c")]; !ok {
		t.Error("a plus that separates nothing was taken for a separator")
	}
}

// TestListenersOfCertainNodes: by zone and by name.
func TestListenersOfCertainNodes(t *testing.T) { // SUN-87
	cc := conf()
	cc.Listeners = []config.Listener{
		{Name: "web", Address: "127.0.0.1:0", Protocol: "http"},
		{Name: "mine", Address: "127.0.0.2:0", Protocol: "http", Nodes: []string{"other", "node1"}},
		{Name: "zone", Address: "127.0.0.3:0", Protocol: "http", Zones: []string{"west"}, Nodes: []string{"other"}},
		{Name: "elsewhere", Address: "127.0.0.4:0", Protocol: "http", Nodes: []string{"other"}},
		{Name: "east", Address: "127.0.0.5:0", Protocol: "http", Zones: []string{"east", ""}},
	}
	for zone, want := range map[string]string{"west": "web mine zone ", "": "web mine ", "east": "web mine east "} {
		r := newRigOn(t, newFakeGroup(cc), Options{Zone: zone})
		got := ""
		for _, l := range cc.Listeners {
			if r.b.Addr(l.Name) != nil {
				got += l.Name + " "
			}
		}
		if got != want {
			t.Errorf("zone %q: %s", zone, got)
		}
	}
}
