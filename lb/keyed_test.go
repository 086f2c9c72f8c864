package lb

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

func keyedConf(kind, name string, apps ...*app) *config.Config {
	cc := conf(of(apps...)...)
	cc.Clusters[0].Affinity = config.Affinity{Type: kind, Name: name, IdleTimeout: config.Duration(30 * time.Minute)}
	return cc
}

// TestHeaderAffinity: the value of a request header is the session's id.
func TestHeaderAffinity(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	g := newFakeGroup(keyedConf("header", "x-session", a, b))
	rigs := []*rig{newRigOn(t, g, Options{}), newRigOn(t, g, Options{})}
	on := map[string]string{}
	for round := range 3 {
		for i := range 6 {
			id := fmt.Sprintf("secret-%d.i1", i) // no suffix is taken off
			got := send(t, rigs[(i+round)%2], "/", "X-Session: "+id)
			if got.StatusCode != 200 || len(got.Cookies()) != 0 || round > 0 && got.body != on[id] {
				t.Fatalf("%s: %d %s after %s", id, got.StatusCode, got.body, on[id])
			}
			on[id] = got.body
		}
	}
	if n := g.count(fsm.OpAssign); n != 6 {
		t.Errorf("%d sessions recorded", n)
	}
	key, err := rigs[0].b.SessionKey("c1", "", "/", "secret-0.i1")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := g.sessions()[key]; !ok {
		t.Error("an operator does not find the session by its id")
	}
	for range 4 { // no id: nothing to record
		if got := send(t, rigs[0], "/", "X-Session:  "); got.StatusCode != 200 {
			t.Fatal(got.StatusCode)
		}
	}
	if got := send(t, rigs[0], "/", "X-Session: "+strings.Repeat("x", 2000)); got.StatusCode != 200 {
		t.Fatal(got.StatusCode)
	}
	if len(g.sessions()) != 6 {
		t.Errorf("%d sessions", len(g.sessions()))
	}
	if logs := rigs[0].access.String() + rigs[0].logs.String(); strings.Contains(logs, "secret-") {
		t.Error("an id is in a log")
	}
	for _, op := range g.recorded(fsm.OpAssign) {
		if op.Reason != fsm.ReasonPolicy || op.Module == 0 {
			t.Errorf("%+v", op)
		}
	}
}

// TestHeaderAffinityResponseWaitsForTheRecord, which goes on beside the request.
func TestHeaderAffinityResponseWaitsForTheRecord(t *testing.T) {
	arrived := make(chan struct{}, 1)
	a := newApp(t, "i1", func(http.ResponseWriter, *http.Request) { arrived <- struct{}{} })
	r := newRig(t, keyedConf("header", "X-Session", a))
	hold := make(chan struct{})
	r.g.with(func() { r.g.hold = hold })
	answer := make(chan reply, 1)
	go func() { answer <- send(t, r, "/", "X-Session: s") }()
	<-arrived
	select {
	case <-answer:
		t.Fatal("the response did not wait")
	default:
	}
	close(hold)
	if got := <-answer; got.StatusCode != 200 || len(r.g.sessions()) != 1 {
		t.Fatal(got.StatusCode)
	}
}

// TestFirstRequestsAtOnce: a client that begins with several requests stays on one instance, on one node and on several.
func TestFirstRequestsAtOnce(t *testing.T) {
	for _, nodes := range []int{1, 3} {
		a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
		g := newFakeGroup(keyedConf("header", "X-Session", a, b))
		var rigs []*rig
		for range nodes {
			rigs = append(rigs, newRigOn(t, g, Options{}))
		}
		hold := make(chan struct{})
		g.with(func() { g.hold = hold })
		var mu sync.Mutex
		got := map[string]int{}
		var all sync.WaitGroup
		for i := range 12 {
			all.Go(func() {
				reply := send(t, rigs[i%nodes], "/", "X-Session: same")
				mu.Lock()
				defer mu.Unlock()
				got[reply.body]++
			})
		}
		rigs[0].wait("they are on their way", func() bool { return rigs[0].b.tasks.state.Load() > 1 })
		close(hold)
		all.Wait()
		if len(got) != 1 || len(g.sessions()) != 1 {
			t.Errorf("%d nodes: %v", nodes, got)
		}
		for _, r := range rigs {
			r.b.openings.mu.Lock()
			if n := len(r.b.openings.keys); n != 0 {
				t.Errorf("%d records under way are left", n)
			}
			r.b.openings.mu.Unlock()
		}
	}
}

// TestRequestThatMustNotBeRepeatedGoesWhereTheGroupSays, also on a node that does not know yet.
func TestRequestThatMustNotBeRepeatedGoesWhereTheGroupSays(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	g := newFakeGroup(keyedConf("header", "X-Session", a, b))
	r, behind := newRigOn(t, g, Options{}), newRigOn(t, g, Options{})
	behind.node.freeze()
	for i := range 6 {
		id := fmt.Sprint("s", i)
		first := send(t, r, "/", "X-Session: "+id)
		for _, method := range []string{http.MethodPost, http.MethodGet} {
			hits := a.count() + b.count()
			req, _ := http.NewRequest(method, behind.url("/"), nil)
			if method == http.MethodPost {
				req = post(t, behind.url("/"), "x")
			}
			req.Header.Set("X-Session", id)
			if got := newClient(t).do(req); got.body != first.body {
				t.Fatalf("%s: %s instead of %s", method, got.body, first.body)
			}
			if n := a.count() + b.count() - hits; method == http.MethodPost && n != 1 {
				t.Fatalf("a POST was sent %d times", n)
			}
		}
	}
}

func TestSourceID(t *testing.T) {
	for ip, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
		"2001:db8:1:2::9": "2001:db8:1:2::/64", "2001:db8:1:3::9": "2001:db8:1:3::/64", "fe80::1%eth0": "fe80::/64", "odd": "odd",
	} {
		if got := sourceID(ip); got != want {
			t.Errorf("%s: %s, want %s", ip, got, want)
		}
	}
}

// TestSourceAffinity: the client's address is the session's id.
func TestSourceAffinity(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	r := newRig(t, keyedConf("source", "", a, b))
	from := func(ip string) *client {
		cl := newClient(t)
		cl.Transport.(*http.Transport).DialContext = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}).DialContext
		return cl
	}
	on := map[string]string{}
	for range 3 {
		for _, ip := range []string{"127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"} {
			got := from(ip).get(r.url("/"))
			if was := on[ip]; was != "" && was != got.body {
				t.Fatalf("%s went from %s to %s", ip, was, got.body)
			}
			on[ip] = got.body
		}
	}
	used := map[string]bool{}
	for _, name := range on {
		used[name] = true
	}
	if len(used) != 2 || len(r.g.sessions()) != 4 {
		t.Fatalf("%v, %d sessions", on, len(r.g.sessions()))
	}
	if key, err := r.b.SessionKey("c1", "", "/", "127.0.0.3"); err != nil || r.g.sessions()[key].Instance == 0 {
		t.Error("an operator does not find the session by the address")
	}
	if on["127.0.0.1"] == "i2" {
		a, b = b, a
	}
	a.Close()
	want := from("127.0.0.1").get(r.url("/")).body
	if want == on["127.0.0.1"] || from("127.0.0.1").get(r.url("/")).body != want || len(r.g.moves()) != 1 {
		t.Errorf("fail-over to %s", want)
	}
}

// TestKeyedWithoutQuorum: served as the configuration says, and recorded later.
func TestKeyedWithoutQuorum(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	cc := keyedConf("header", "X-Session", a, b)
	r := newRig(t, cc)
	r.node.setCut(true)
	first := send(t, r, "/", "X-Session: s")
	for range 3 {
		if got := send(t, r, "/", "X-Session: s"); got.StatusCode != 200 || got.body != first.body {
			t.Fatalf("%d %s", got.StatusCode, got.body)
		}
	}
	r.node.setCut(false)
	r.wait("recorded", func() bool { return len(r.g.sessions()) == 1 })
	if op := r.g.recorded(fsm.OpAssign)[0]; op.Reason != fsm.ReasonProvisional {
		t.Errorf("%+v", op)
	}
	cc.OnQuorumLoss = "refuse"
	r.apply(cc)
	r.node.setCut(true)
	if got := send(t, r, "/", "X-Session: other"); got.StatusCode != 503 {
		t.Fatal(got.StatusCode)
	}
}
