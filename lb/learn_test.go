package lb

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// tomcat answers like an application server that keeps its sessions: it sets JSESSIONID=<n>.<route> when none is presented.
func tomcat(route string) http.HandlerFunc {
	var n atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie("JSESSIONID"); err != nil && !strings.Contains(r.URL.Path, ";jsessionid=") {
			http.SetCookie(w, &http.Cookie{Name: "JSESSIONID", Value: fmt.Sprintf("%s-%d.%s", route, n.Add(1), route), Path: "/"})
		} else if err == nil && r.URL.Path == "/login" {
			bare, _, _ := strings.Cut(c.Value, ".")
			http.SetCookie(w, &http.Cookie{Name: "JSESSIONID", Value: bare + "x." + route, Path: "/"})
		}
		fmt.Fprint(w, route)
	}
}

func learnConf(instances ...config.Instance) *config.Config {
	c := conf(instances...)
	c.Clusters[0].Affinity.Type, c.Clusters[0].Affinity.Names = "learn", []string{"JSESSIONID", "SID"}
	return c
}

func tomcats(t *testing.T) (*app, *app) {
	return newApp(t, "i1", tomcat("i1")), newApp(t, "i2", tomcat("i2"))
}

// withID sends a request with the header lines given as "Name: value".
func send(t *testing.T, r *rig, path string, lines ...string) reply {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, r.url(path), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		req.Header.Add(name, value)
	}
	return newClient(t).do(req)
}

func TestLearnFromSetCookie(t *testing.T) {
	a, b := tomcats(t)
	r := newRig(t, learnConf(of(a, b)...))
	for range 6 {
		cl := newClient(t)
		first := cl.get(r.url("/"))
		before := len(r.g.sessions())
		for range 3 {
			if got := cl.get(r.url("/page")); got.body != first.body {
				t.Fatalf("moved from %s to %s", first.body, got.body)
			}
		}
		if cl.get(r.url("/login")).body != first.body || cl.get(r.url("/")).body != first.body {
			t.Fatal("moved after the session id changed")
		}
		if n := len(r.g.sessions()) - before; n != 1 {
			t.Fatalf("the changed id made %d records", n)
		}
	}
	if n := len(r.g.sessions()); n != 12 {
		t.Fatalf("%d assignments, want 12", n)
	}
	if strings.Contains(r.accessLog()+r.logs.String(), "i1-1") {
		t.Fatal("a session id is in a log")
	}
}

func TestLearnFindsTheIDWhereverItIs(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	c := learnConf(of(a, b)...)
	c.Clusters[0].Instances[1].Route = "clone2"
	r := newRig(t, c)
	key := SessionKey(r.g.group, "c1", "", "/", "abc")
	two := r.g.id("c1", "i2")
	if _, err := r.node.Record(t.Context(), fsm.SessionOp{Kind: fsm.OpAssign, Key: key, Instance: two}); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name, path string
		lines      []string
	}{
		{"cookie", "/", []string{"Cookie: JSESSIONID=abc"}},
		{"second name", "/", []string{"Cookie: SID=abc"}},
		{"quoted", "/", []string{`Cookie: JSESSIONID="abc"`}},
		{"among others", "/", []string{"Cookie: a=b; JSESSIONID=abc; c=d"}},
		{"second line", "/", []string{"Cookie: a=b", "Cookie: JSESSIONID=abc"}},
		{"second cookie of the name", "/", []string{"Cookie: JSESSIONID=unknown; JSESSIONID=abc"}},
		{"route suffix", "/", []string{"Cookie: JSESSIONID=abc.clone2"}},
		{"suffix of another instance: table wins", "/", []string{"Cookie: JSESSIONID=abc.i1"}},
		{"clone suffix", "/", []string{"Cookie: JSESSIONID=abc:clone2"}},
		{"clone list", "/", []string{"Cookie: JSESSIONID=abc:i1:clone2"}},
		{"path parameter", "/x;jsessionid=abc", nil},
		{"path parameter with suffix", "/x;jsessionid=abc.clone2", nil},
		{"path parameter in the middle", "/x;jsessionid=abc/y/z?q=1", nil},
		{"after another parameter", "/x;v=1;jsessionid=abc;w=2", nil},
		{"second name as parameter", "/x;sid=abc", nil},
		{"percent-encoded", "/x;jsessionid=%61bc", nil},
	}
	for _, c := range cases {
		for range 3 {
			if got := send(t, r, c.path, c.lines...); got.body != "i2" {
				t.Errorf("%s: went to %s", c.name, got.body)
			}
		}
	}
	if n := r.g.count(fsm.OpAssign); n != 1 {
		t.Errorf("%d OpAssign for one known session", n)
	}
	// not session ids
	for _, path := range []string{"/x?jsessionid=abc", "/x;JSESSIONID2=abc", "/x;jsessionid=", "/x%3Bjsessionid=abc"} {
		hits := map[string]bool{}
		for range 4 {
			hits[send(t, r, path).body] = true
		}
		if len(hits) != 2 {
			t.Errorf("%s was taken for a session: %v", path, hits)
		}
	}
}

func TestLearnUnknownIDFollowsItsSuffix(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	r := newRig(t, learnConf(of(a, b)...))
	for i := range 6 {
		id := fmt.Sprintf("Cookie: JSESSIONID=s%d.i2", i)
		if got := send(t, r, "/", id); got.body != "i2" {
			t.Fatalf("went to %s", got.body)
		}
		if a, ok := r.g.sessions()[SessionKey(r.g.group, "c1", "", "/", fmt.Sprintf("s%d", i))]; !ok || a.Instance != r.g.id("c1", "i2") {
			t.Fatal("the presented id is not recorded")
		}
	}
	// a suffix that names nobody belongs to the id
	send(t, r, "/", "Cookie: JSESSIONID=s.nobody")
	if _, ok := r.g.sessions()[SessionKey(r.g.group, "c1", "", "/", "s.nobody")]; !ok {
		t.Fatal("unknown suffix was taken off")
	}
}

func TestLearnSyncsBeforeItBelievesThatAnIDIsNew(t *testing.T) {
	a, b := tomcats(t)
	g := newFakeGroup(learnConf(of(a, b)...))
	ahead, behind := newRigOn(t, g, Options{}), newRigOn(t, g, Options{})
	for range 4 {
		behind.node.freeze()
		first := newClient(t).get(ahead.url("/"))
		bare, _, _ := strings.Cut(cookieNamed(first, "JSESSIONID").Value, ".")
		if got := send(t, behind, "/", "Cookie: JSESSIONID="+bare); got.body != first.body {
			t.Fatalf("went to %s, want %s", got.body, first.body)
		}
	}
	if g.syncs != 4 || g.count(fsm.OpAssign) != 4 {
		t.Fatalf("%d syncs, %d assigns", g.syncs, g.count(fsm.OpAssign))
	}
}

func TestLearnResponseWaitsForCommit(t *testing.T) {
	a, b := tomcats(t)
	r := newRig(t, learnConf(of(a, b)...))
	asked, hold := make(chan struct{}), make(chan struct{})
	r.g.with(func() { r.g.hold, r.g.record = hold, func(fsm.SessionOp) { close(asked) } })
	got := make(chan reply, 1)
	cl := newClient(t)
	go func() { got <- cl.get(r.url("/")) }()
	<-asked
	select {
	case <-got:
		t.Fatal("the response left before the record")
	default:
	}
	close(hold)
	<-got
	if len(r.g.sessions()) != 1 {
		t.Fatal("not recorded")
	}
}

func TestLearnSameIDUnderTwoHostsIsTwoSessions(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	c := learnConf(of(a, b)...)
	c.Clusters[0].Modules = []config.Module{
		{ContextRoot: "/app", Host: "one.example", Enabled: true}, {ContextRoot: "/app", Host: "Two.example", Enabled: true}}
	r := newRig(t, c)
	get := func(host string) reply {
		req, _ := http.NewRequest(http.MethodGet, r.url("/app"), nil)
		req.Host = host
		req.Header.Set("Cookie", "JSESSIONID=same")
		return newClient(t).do(req)
	}
	one, two := get("ONE.example:8080").body, get("two.example").body
	if one == two || get("one.example").body != one || get("two.example.").body != two {
		t.Fatalf("sessions of two hosts collide: %s %s", one, two)
	}
	if n := len(r.g.sessions()); n != 2 {
		t.Fatalf("%d sessions", n)
	}
}

func TestLearnDeletedCookieIsNoSession(t *testing.T) {
	for _, line := range []string{"JSESSIONID=x; Max-Age=0", "JSESSIONID=; Path=/", "JSESSIONID=x; Expires=Thu, 01-Jan-1970 00:00:10 GMT", "other=x"} {
		a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Set-Cookie", line) })
		r := newRig(t, learnConf(of(a)...))
		newClient(t).get(r.url("/"))
		if n := len(r.g.sessions()); n != 0 {
			t.Errorf("%s: %d sessions", line, n)
		}
	}
}

func TestSessionKeyForOperators(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	r := newRig(t, learnConf(of(a, b)...))
	want := SessionKey(r.g.group, "c1", "", "/", "abc")
	for _, id := range []string{"abc", "abc.i1", "abc:i2", "abc:i1:i2"} {
		if got, err := r.b.SessionKey("c1", "", "/", id); err != nil || got != want {
			t.Errorf("%s: %v %v", id, got, err)
		}
	}
	if _, err := r.b.SessionKey("nobody", "", "/", "abc"); err == nil {
		t.Error("unknown cluster is no error")
	}
}

// TestLearnPathParameterOfAConfiguredName: Tomcat writes a configured name as it is, and only the default one in lower case.
func TestLearnPathParameterOfAConfiguredName(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	r := newRig(t, learnConf(of(a, b)...))
	first := send(t, r, "/x;SID=abc")
	for _, path := range []string{"/x;SID=abc", "/x;sid=abc", "/y;SID=abc?q=1"} {
		for range 3 {
			if got := send(t, r, path); got.body != first.body {
				t.Errorf("%s went to %s, the session is on %s", path, got.body, first.body)
			}
		}
	}
}

// TestLearnKeepsKeysWhenRoutesChange: sessions keep their key, and so their instance, when an instance whose route their ids carry is removed or
// gets another route, and when an instance comes whose name looks like a part of an id.
func TestLearnKeepsKeysWhenRoutesChange(t *testing.T) {
	a, b, c := newApp(t, "i1", nil), newApp(t, "i2", nil), newApp(t, "i3", nil)
	instances := of(a, b, c)
	for i := range instances {
		instances[i].Route = "jvm" + instances[i].Name
	}
	cc := learnConf(instances...)
	r := newRig(t, cc)
	where := map[string]string{}
	for i := range 12 {
		// As after a fail-over: the id carries the route of i1, which does not serve the session.
		id := fmt.Sprintf("s%d.jvmi1", i)
		on := []string{"i2", "i3"}[i%2]
		op := fsm.SessionOp{Kind: fsm.OpAssign, Key: SessionKey(r.g.group, "c1", "", "/", fmt.Sprintf("s%d", i)), Instance: r.g.id("c1", on)}
		r.g.with(func() { r.g.applyOp(op) })
		where[id] = on
	}
	check := func(when string) {
		t.Helper()
		for id, on := range where {
			if got := send(t, r, "/", "Cookie: JSESSIONID="+id); got.body != on {
				t.Errorf("%s: session %s went to %s, it is on %s", when, id, got.body, on)
			}
		}
	}
	check("before")
	removed := clone(cc)
	removed.Clusters[0].Instances = removed.Clusters[0].Instances[1:]
	r.apply(removed)
	check("after its route's instance was removed")
}
