package lb

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

func TestInsertKeepsSessionOnItsInstance(t *testing.T) {
	a, b, c := newApp(t, "i1", nil), newApp(t, "i2", nil), newApp(t, "i3", nil)
	r := newRig(t, conf(of(a, b, c)...))
	seen := map[string]int{}
	for range 9 {
		cl := newClient(t)
		first := cl.get(r.url("/"))
		k := cookieNamed(first, "HOLDFAST")
		if k == nil || k.Path != "/" || !k.HttpOnly || k.SameSite != http.SameSiteLaxMode || k.Secure {
			t.Fatalf("cookie of a new session: %+v", k)
		}
		seen[first.body]++
		for range 3 {
			again := cl.get(r.url("/x/y"))
			if again.body != first.body {
				t.Fatalf("session moved from %s to %s", first.body, again.body)
			}
			if cookieNamed(again, "HOLDFAST") != nil {
				t.Fatal("an assigned request got a new cookie")
			}
		}
	}
	if seen["i1"] != 3 || seen["i2"] != 3 || seen["i3"] != 3 {
		t.Fatalf("9 new sessions over 3 instances: %v", seen)
	}
	if n := len(r.g.sessions()); n != 9 {
		t.Fatalf("%d assignments, want 9", n)
	}
	// A request is counted when it is over, right after its answer has left.
	r.wait("the assigned requests are counted", func() bool {
		return metric(t, r, "holdfast_requests_total", "assigned=true", "code=2xx") == 27
	})
	r.wait("the unassigned requests are counted", func() bool { return metric(t, r, "holdfast_requests_total", "assigned=false") == 9 })
}

func TestInsertResponseWaitsForCommitWhileInstanceWorks(t *testing.T) {
	reached := make(chan struct{})
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) { close(reached) })
	r := newRig(t, conf(of(a)...))
	hold := make(chan struct{})
	r.g.with(func() { r.g.hold = hold })
	got := make(chan reply, 1)
	cl := newClient(t)
	go func() { got <- cl.get(r.url("/")) }()
	<-reached // the instance has the request although nothing is recorded
	r.wait("record asked for", func() bool { return r.b.tasks.state.Load() >= 2 })
	select {
	case <-got:
		t.Fatal("the response left before the record")
	default:
	}
	if len(r.g.sessions()) != 0 {
		t.Fatal("recorded too early")
	}
	close(hold)
	if k := cookieNamed(<-got, "HOLDFAST"); k == nil {
		t.Fatal("no cookie")
	}
	if len(r.g.sessions()) != 1 {
		t.Fatal("not recorded")
	}
}

func TestInsertCookieOfEachModuleIsItsOwn(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	c := conf(of(a)...)
	other := clone(c).Clusters[0]
	other.Name, other.Instances = "c2", of(b)
	other.Modules = []config.Module{{ContextRoot: "/app", Enabled: true, Retries: 1}}
	c.Clusters = append(c.Clusters, other)
	r := newRig(t, c)
	cl := newClient(t)
	if got := cl.get(r.url("/")); got.body != "i1" || cookieNamed(got, "HOLDFAST").Path != "/" {
		t.Fatalf("root module: %s", got.body)
	}
	got := cl.get(r.url("/app/x")) // presents the cookie of /
	if got.body != "i2" || cookieNamed(got, "HOLDFAST").Path != "/app" || len(got.Cookies()) != 1 {
		t.Fatalf("app module: %s %v", got.body, got.Cookies())
	}
	for range 3 { // now the browser sends two cookies of one name
		if got := cl.get(r.url("/app/x")); got.body != "i2" || len(got.Cookies()) != 0 {
			t.Fatalf("app module again: %s %v", got.body, got.Cookies())
		}
		if got := cl.get(r.url("/other")); got.body != "i1" || len(got.Cookies()) != 0 {
			t.Fatalf("root module again: %s %v", got.body, got.Cookies())
		}
	}
	if n := len(r.g.sessions()); n != 2 {
		t.Fatalf("%d sessions, want 2", n)
	}
}

// present sends a request with exactly these cookie values.
func present(t *testing.T, r *rig, path string, values ...string) reply {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, r.url(path), nil)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, v := range values {
		lines = append(lines, "HOLDFAST="+v)
	}
	req.Header.Set("Cookie", strings.Join(lines, "; "))
	return newClient(t).do(req)
}

func TestInsertHostileCookies(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	r := newRig(t, conf(of(a, b)...))
	good := cookieNamed(newClient(t).get(r.url("/")), "HOLDFAST").Value
	otherGroup, err := newKeyring(&fsm.Group{Epoch: 1, Secret: []byte("another secret, another group..")})
	if err != nil {
		t.Fatal(err)
	}
	ours, err := r.b.keys()
	if err != nil {
		t.Fatal(err)
	}
	forged := Cookie{Epoch: 1, Index: 1, Instance: 1, Key: fsm.Key{1}}
	cases := map[string]string{
		"empty": "", "word": "i1", "truncated": good[:len(good)-1], "one more": good + "A", "huge": strings.Repeat("A", 8000),
		"other group": otherGroup.seal(forged, scopeOf("c1", "", "/")), "other cluster": ours.seal(forged, scopeOf("c2", "", "/")),
		"other root": ours.seal(forged, scopeOf("c1", "", "/app")), "other host": ours.seal(forged, scopeOf("c1", "h", "/")),
		"shifted scope": ours.seal(forged, []byte("c1/")), "not base64": "!" + good[1:],
	}
	for i := range len(good) {
		flipped := []byte(good)
		if flipped[i] = 'A'; good[i] == 'A' {
			flipped[i] = 'B'
		}
		cases[fmt.Sprintf("digit %d", i)] = string(flipped)
	}
	before := len(r.g.sessions())
	for name, value := range cases {
		got := present(t, r, "/", value)
		if got.StatusCode != 200 || cookieNamed(got, "HOLDFAST") == nil {
			t.Errorf("%s: %d, want a new session", name, got.StatusCode)
		}
	}
	if n := len(r.g.sessions()) - before; n != len(cases) {
		t.Errorf("%d new sessions of %d hostile requests", n, len(cases))
	}
	if metric(t, r, "holdfast_requests_with_rejected_cookie_total") < float64(len(cases)-3) {
		t.Error("rejected cookies are not counted")
	}
	// a good one among bad ones still counts
	if got := present(t, r, "/", "x", cases["other root"], good); cookieNamed(got, "HOLDFAST") != nil {
		t.Error("the good cookie was not found")
	}
}

func TestInsertReplayAfterMoveTableWins(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	r := newRig(t, conf(of(a, b)...))
	first := newClient(t).get(r.url("/"))
	old := cookieNamed(first, "HOLDFAST").Value
	keys, err := r.b.keys()
	if err != nil {
		t.Fatal(err)
	}
	c, err := keys.open(old, scopeOf("c1", "", "/"))
	if err != nil {
		t.Fatal(err)
	}
	to := 3 - c.Instance
	if _, err := r.node.Record(t.Context(), fsm.SessionOp{Kind: fsm.OpMove, Key: c.Key, Expect: c.Instance, Instance: to}); err != nil {
		t.Fatal(err)
	}
	if got := present(t, r, "/", old); got.body == first.body {
		t.Fatal("a replayed cookie brought the session back to where it was")
	}
}

func TestInsertRepairsLostRecord(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	r := newRig(t, conf(of(a, b)...))
	cl := newClient(t)
	first := cl.get(r.url("/"))
	r.g.with(func() { clear(r.g.table) }) // as after promotion from an older archive
	for range 4 {
		if got := cl.get(r.url("/")); got.body != first.body {
			t.Fatal("the session moved")
		}
	}
	if n := len(r.g.sessions()); n != 1 {
		t.Fatalf("%d assignments, want the repaired one", n)
	}
	if got := r.g.count(fsm.OpAssign); got != 2 {
		t.Fatalf("%d OpAssign, want 2: one at first and one repair", got)
	}
}

func TestInsertNodeBehindFollowsTheCookie(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	g := newFakeGroup(conf(of(a, b)...))
	ahead, behind := newRigOn(t, g, Options{}), newRigOn(t, g, Options{})
	behind.node.freeze()
	for range 6 {
		first := newClient(t).get(ahead.url("/"))
		value := cookieNamed(first, "HOLDFAST").Value
		got := present(t, behind, "/", value)
		if got.body != first.body || cookieNamed(got, "HOLDFAST") != nil {
			t.Fatalf("node behind: %s, want %s", got.body, first.body)
		}
	}
	if n := g.count(fsm.OpAssign); n != 6 {
		t.Fatalf("%d OpAssign, want 6", n)
	}
}

func TestInsertOlderEpochLosesNewerWins(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	r := newRig(t, conf(of(a, b)...))
	keys, err := r.b.keys()
	if err != nil {
		t.Fatal(err)
	}
	first := newClient(t).get(r.url("/"))
	c, err := keys.open(cookieNamed(first, "HOLDFAST").Value, scopeOf("c1", "", "/"))
	if err != nil {
		t.Fatal(err)
	}
	other := c
	other.Instance, other.Index = 3-c.Instance, 1<<40
	other.Epoch = 0
	if got := present(t, r, "/", keys.seal(other, scopeOf("c1", "", "/"))); got.body != first.body {
		t.Error("a cookie of an older epoch beat the table")
	}
	other.Epoch = 2
	r.g.with(func() {
		r.g.synced = func() { // this node was behind the entry by which the next epoch began
			g := *r.g.group
			g.Epoch, g.Epochs = 2, []fsm.EpochStart{{Epoch: 2, After: 1, Index: 1, Instances: 2}}
			r.g.group, r.g.index = &g, 1<<40
			r.g.table[c.Key] = fsm.Assignment{Instance: other.Instance, Index: 1 << 40}
		}
	})
	if got := present(t, r, "/", keys.seal(other, scopeOf("c1", "", "/"))); got.body == first.body {
		t.Error("a cookie of a newer epoch lost against the table of an older one")
	}
}

func TestAffinityNoneRecordsNothing(t *testing.T) { // UCD-11, UCD-12
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	c := conf(of(a, b)...)
	c.Clusters[0].Affinity = config.Affinity{Type: "none"}
	r := newRig(t, c)
	cl := newClient(t)
	seen := map[string]int{}
	for range 10 {
		got := cl.get(r.url("/"))
		seen[got.body]++
		if len(got.Cookies()) != 0 {
			t.Fatal("a cookie without affinity")
		}
	}
	if seen["i1"] != 5 || seen["i2"] != 5 || len(r.g.sessions()) != 0 {
		t.Fatal(seen, len(r.g.sessions()))
	}
}
