package lb

import (
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm"
)

func TestElectionIsWaitedFor(t *testing.T) {
	a := newApp(t, "i1", nil)
	r := newRig(t, conf(of(a)...))
	asked := make(chan struct{})
	r.g.with(func() { r.g.record = func(fsm.SessionOp) { close(asked) } })
	r.g.elect(false)
	cl := newClient(t)
	got := make(chan reply, 1)
	go func() { got <- cl.get(r.url("/")) }()
	<-asked
	r.g.elect(true)
	value := cookieNamed(<-got, "HOLDFAST").Value
	c, err := OpenCookie(r.g.group, "c1", "", "/", value)
	if err != nil || c.Provisional || c.Index == 0 {
		t.Fatalf("%+v %v", c, err)
	}
}

func TestProvisionalWithoutQuorum(t *testing.T) {
	for _, kind := range []string{"insert", "learn"} {
		t.Run(kind, func(t *testing.T) {
			a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
			cc := conf(of(a, b)...)
			if kind == "learn" {
				a, b = tomcats(t)
				cc = learnConf(of(a, b)...)
			}
			cc.Clusters[0].Affinity.Name = "HF" // with learn it is the cookie of provisional assignments
			g := newFakeGroup(cc)
			r, healthy := newRigOn(t, g, Options{}), newRigOn(t, g, Options{})
			known := newClient(t)
			knownOn := known.get(r.url("/")).body
			r.node.setCut(true)
			var clients []*client
			var on []string
			for range 6 {
				cl := newClient(t)
				got := cl.get(r.url("/"))
				k := cookieNamed(got, "HF")
				if got.StatusCode != 200 || k == nil {
					t.Fatalf("new session without quorum: %d, cookie %v", got.StatusCode, k)
				}
				c, err := OpenCookie(g.group, "c1", "", "/", k.Value)
				if err != nil || !c.Provisional {
					t.Fatalf("%+v %v", c, err)
				}
				clients, on = append(clients, cl), append(on, got.body)
			}
			if got := known.get(r.url("/")); got.body != knownOn || cookieNamed(got, "HF") != nil {
				t.Fatal("a known session is not served from the local state")
			}
			for i, cl := range clients {
				if got := cl.get(r.url("/")); got.body != on[i] {
					t.Fatal("a provisional session moved")
				}
			}
			if len(g.sessions()) != 1 || metric(t, r, "holdfast_pending_assignments") != 6 {
				t.Fatal("recorded without a quorum, or not owed")
			}
			// the client goes over to a node that has the quorum
			if got := clients[0].get(healthy.url("/")); got.body != on[0] {
				t.Fatal("the other node did not believe the provisional cookie")
			}
			if len(g.sessions()) != 2 {
				t.Fatal("the other node did not record it")
			}
			r.node.setCut(false)
			r.wait("debts paid", func() bool { return r.b.pending.count.Load() == 0 })
			if len(g.sessions()) != 7 {
				t.Fatalf("%d sessions, want 7", len(g.sessions()))
			}
			for i, cl := range clients {
				for _, node := range []*rig{r, healthy} {
					if got := cl.get(node.url("/")); got.body != on[i] {
						t.Fatal("moved after the quorum came back")
					}
				}
			}
		})
	}
}

func TestProvisionalLearnWithoutSuffixSurvivesAnotherNode(t *testing.T) {
	plain := func(name string) *app {
		return newApp(t, name, func(w http.ResponseWriter, r *http.Request) {
			if _, err := r.Cookie("JSESSIONID"); err != nil {
				w.Header().Set("Set-Cookie", "JSESSIONID=id-of-"+name)
			}
			w.Write([]byte(name))
		})
	}
	g := newFakeGroup(learnConf(of(plain("i1"), plain("i2"))...))
	r, healthy := newRigOn(t, g, Options{}), newRigOn(t, g, Options{})
	r.node.setCut(true)
	for range 2 {
		cl := newClient(t)
		first := cl.get(r.url("/"))
		for range 3 {
			if got := cl.get(healthy.url("/")); got.body != first.body {
				t.Fatalf("went from %s to %s", first.body, got.body)
			}
		}
	}
}

func TestRefuseWithoutQuorum(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	cc := conf(of(a, b)...)
	cc.OnQuorumLoss = "refuse"
	r := newRig(t, cc)
	known := newClient(t)
	on := known.get(r.url("/")).body
	r.node.setCut(true)
	got := newClient(t).get(r.url("/"))
	if got.StatusCode != 503 || got.Header.Get("Retry-After") == "" || len(got.Cookies()) != 0 {
		t.Fatalf("%d %v", got.StatusCode, got.Header)
	}
	if a.count()+b.count() != 1 {
		t.Fatal("a refused request reached an instance")
	}
	if got := known.get(r.url("/")); got.body != on {
		t.Fatal("a known session is refused")
	}
	if r.b.pending.count.Load() != 0 {
		t.Fatal("owed although refused")
	}
}

// TestFailOverWithoutQuorumIsAPin: a node that is cut off keeps to where it has sent a recorded session, but the group's record stays what it
// is: the majority may have gone on with the session, and a late move would override what it has acknowledged.
func TestFailOverWithoutQuorumIsAPin(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	r := newRig(t, conf(of(a, b)...))
	on := sessionsOn(t, r, 2)
	cl := on["i1"][0]
	a.Close()
	r.node.setCut(true)
	for range 3 {
		if got := cl.get(r.url("/")); got.body != "i2" {
			t.Fatalf("%d %s", got.StatusCode, got.body)
		}
	}
	r.node.setCut(false)
	r.wait("debts paid", func() bool { return r.b.pending.count.Load() == 0 })
	if n := len(r.g.moves()); n != 0 {
		t.Fatalf("%d moves were made up for", n)
	}
	// The instance is still down, so now the session moves, once and on record.
	if got := cl.get(r.url("/")); got.body != "i2" || len(r.g.moves()) != 1 {
		t.Fatalf("%s, %d moves", got.body, len(r.g.moves()))
	}
}

func TestNewSessionWhoseInstanceRefusesWithoutQuorum(t *testing.T) {
	b := newApp(t, "i2", nil)
	r := newRig(t, conf(inst("i1", deadURL(t)), inst("i2", b.URL)))
	r.node.setCut(true)
	for range 4 {
		cl := newClient(t)
		got := cl.get(r.url("/"))
		k := cookieNamed(got, "HOLDFAST")
		if got.body != "i2" || k == nil {
			t.Fatalf("%d %s, cookie %v", got.StatusCode, got.body, k)
		}
		if c, err := OpenCookie(r.g.group, "c1", "", "/", k.Value); err != nil || !c.Provisional || c.Instance != 2 {
			t.Fatalf("%+v %v", c, err)
		}
		if cl.get(r.url("/")).body != "i2" {
			t.Fatal("moved")
		}
	}
}

// TestRecordOfAClientThatWentAwayCompletes: it is not broken off, so that nobody wonders whether there is one; when no answer has told the client of its session it is taken back.
func TestRecordOfAClientThatWentAwayCompletes(t *testing.T) {
	answer := make(chan struct{})
	a := newApp(t, "i1", func(http.ResponseWriter, *http.Request) { <-answer })
	r := newRig(t, conf(of(a)...))
	asked, hold := make(chan struct{}), make(chan struct{})
	r.g.with(func() {
		r.g.hold, r.g.record = hold, func(op fsm.SessionOp) {
			if op.Kind == fsm.OpAssign {
				close(asked)
			}
		}
	})
	conn := dialRaw(t, r)
	conn.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	<-asked
	conn.Close()
	close(answer)
	if netOnly { // the loops cannot tell it from a client that has only ended its stream, and goes on listening
		r.wait("request ended", func() bool { return strings.Contains(r.accessLog(), `"status":499`) })
	}
	close(hold)
	r.wait("recorded all the same", func() bool { return len(r.g.recorded(fsm.OpAssign)) == 1 })
	if netOnly {
		r.wait("taken back", func() bool { return len(r.g.sessions()) == 0 })
	}
}

func TestRecordThatTakesTooLongIsProvisional(t *testing.T) {
	a := newApp(t, "i1", nil)
	r := newRig(t, conf(of(a)...))
	hold := make(chan struct{})
	r.g.with(func() { r.g.hold = hold })
	cl := newClient(t)
	value := cookieNamed(cl.get(r.url("/")), "HOLDFAST").Value // after recordTimeout
	if c, err := OpenCookie(r.g.group, "c1", "", "/", value); err != nil || !c.Provisional {
		t.Fatalf("%+v %v", c, err)
	}
	close(hold)
	r.wait("recorded after all", func() bool { return len(r.g.sessions()) == 1 && r.b.pending.count.Load() == 0 })
	if cl.get(r.url("/")).body != "i1" {
		t.Fatal("moved")
	}
}
