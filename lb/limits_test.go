package lb

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

func (r *rig) sessionsOf(instance string) int {
	return r.node.Sessions(r.g.id("c1", instance))
}

// TestMaxSessions: an instance at its limit takes no new sessions, its own go on; when all are full new ones are refused.
func TestMaxSessions(t *testing.T) {
	for _, kind := range []string{"insert", "learn", "header"} {
		t.Run(kind, func(t *testing.T) {
			a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
			cc := conf(of(a, b)...)
			get := func(r *rig, _ int, cl *client) reply { return cl.get(r.url("/")) }
			switch kind {
			case "learn":
				a, b = tomcats(t)
				cc = learnConf(of(a, b)...)
			case "header":
				cc.Clusters[0].Affinity = config.Affinity{Type: "header", Name: "X-Session", IdleTimeout: config.Duration(time.Hour)}
				get = func(r *rig, i int, _ *client) reply { return send(t, r, "/", "X-Session: "+string(rune('a'+i))) }
			}
			cc.Clusters[0].Instances[0].MaxSessions, cc.Clusters[0].Instances[1].MaxSessions = 2, 3
			r := newRig(t, cc)
			var clients []*client
			var on []string
			for i := range 5 {
				cl := newClient(t)
				got := get(r, i, cl)
				if got.StatusCode != 200 {
					t.Fatalf("session %d: %d", i, got.StatusCode)
				}
				clients, on = append(clients, cl), append(on, got.body)
			}
			if r.sessionsOf("i1") != 2 || r.sessionsOf("i2") != 3 {
				t.Fatalf("%d and %d", r.sessionsOf("i1"), r.sessionsOf("i2"))
			}
			if got := get(r, 20, newClient(t)); got.StatusCode != 503 || got.Header.Get("Retry-After") == "" {
				t.Fatalf("all are full: %d %s", got.StatusCode, got.body)
			}
			for i, cl := range clients {
				if got := get(r, i, cl); got.body != on[i] {
					t.Fatalf("a session moved from %s to %s", on[i], got.body)
				}
			}
		})
	}
}

// TestMaxSessionsIsExactUnderARace: what counts is the record. Requests that find no room there go elsewhere when they may be sent again; a response
// that leaves has its assignment.
func TestMaxSessionsIsExactUnderARace(t *testing.T) {
	for _, kind := range []string{"insert", "learn"} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run(kind+"/"+method, func(t *testing.T) {
				a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
				cc := conf(of(a, b)...)
				if kind == "learn" {
					a, b = tomcats(t)
					cc = learnConf(of(a, b)...)
				}
				cc.Clusters[0].Instances[0].MaxSessions, cc.Clusters[0].Instances[1].MaxSessions = 4, 1000
				g := newFakeGroup(cc)
				rigs := []*rig{newRigOn(t, g, Options{}), newRigOn(t, g, Options{}), newRigOn(t, g, Options{})}
				for _, r := range rigs {
					r.node.freeze() // no node sees what the others record
				}
				var served, refused atomic.Int64
				var all sync.WaitGroup
				for i := range 30 {
					r := rigs[i%3]
					all.Go(func() {
						cl := newClient(t)
						req, _ := http.NewRequest(method, r.url("/"), nil)
						if method == http.MethodPost {
							req = post(t, r.url("/"), "x")
						}
						got := cl.do(req)
						switch {
						case got.StatusCode == 200:
							served.Add(1)
							if again := cl.get(r.url("/")); again.body != got.body {
								t.Errorf("moved from %s to %s", got.body, again.body)
							}
						case got.StatusCode == 503 && kind == "learn" && method == http.MethodPost:
							refused.Add(1) // the id is known only when the instance has done the work
						default:
							t.Errorf("%d %s", got.StatusCode, got.body)
						}
					})
				}
				all.Wait()
				onFirst := 0
				for _, v := range g.sessions() {
					if v.Instance == 1 {
						onFirst++
					}
				}
				if n := onFirst; n != 4 {
					t.Errorf("%d sessions on the instance with room for 4", n)
				}
				if total := len(g.sessions()); total != int(served.Load()) || served.Load()+refused.Load() != 30 {
					t.Errorf("%d sessions, %d served, %d refused", total, served.Load(), refused.Load())
				}
				if kind == "insert" && method == http.MethodPost && a.count()+b.count() != 60 {
					t.Errorf("%d requests at the instances for 60: one that must not be sent twice was", a.count()+b.count())
				}
			})
		}
	}
}

func TestFailOverPassesOverFullInstances(t *testing.T) {
	a, b, c := newApp(t, "i1", nil), newApp(t, "i2", nil), newApp(t, "i3", nil)
	cc := conf(of(a, b, c)...)
	cc.Clusters[0].Instances[1].MaxSessions = 3
	r := newRig(t, cc)
	on := sessionsOn(t, r, 9) // three each
	r.disable(cc, 0)
	r.endQuiesces()
	for _, cl := range on["i1"] {
		if got := cl.get(r.url("/")); got.body != "i3" {
			t.Fatalf("%d %s", got.StatusCode, got.body)
		}
	}
	full := clone(cc)
	full.Clusters[0].Instances[0].Enabled = false
	full.Clusters[0].Instances[2].MaxSessions = 6
	r.apply(full)
	r.inForce()
	c.Close()
	if got := on["i3"][0].get(r.url("/")); got.StatusCode != 503 {
		t.Fatalf("nobody has room: %d %s", got.StatusCode, got.body)
	}
}

// gate is an instance that answers when it is told to.
func gate(t *testing.T, name string) (*app, chan struct{}) {
	open := make(chan struct{})
	return newApp(t, name, func(w http.ResponseWriter, r *http.Request) {
		<-open
		io.WriteString(w, name)
	}), open
}

func share(instance fsm.InstanceID, node string, limit int) fsm.Share {
	return fsm.Share{Instance: instance, Node: node, Limit: limit}
}

func (r *rig) setShares(shares ...fsm.Share) {
	r.t.Helper()
	r.g.operate(func(o *fsm.Operating) { o.Shares = shares })
	r.inForce()
}

// TestMaxConnections: this node uses its share and no more; who finds no connection free goes to another instance, or waits.
func TestMaxConnections(t *testing.T) {
	a, open := gate(t, "i1")
	b := newApp(t, "i2", nil)
	cc := conf(of(a, b)...)
	cc.Clusters[0].Instances[0].MaxConnections = 4
	r := newRig(t, cc)
	for range 4 { // without a share: none
		if got := newClient(t).get(r.url("/")); got.body != "i2" {
			t.Fatal(got.body)
		}
	}
	r.setShares(share(1, "node1", 2), share(1, "node2", 2), share(2, "node1", 1))
	var all sync.WaitGroup
	for r.status("c1", "i1").InFlight < 2 { // in turn: two go to i1 and stay there
		before := a.count() + b.count()
		all.Go(func() { newClient(t).get(r.url("/")) })
		r.wait("the request has arrived", func() bool { return a.count()+b.count() > before })
	}
	for range 6 { // both are in use: others prefer the instance that is free
		if got := newClient(t).get(r.url("/")); got.body != "i2" {
			t.Fatal(got.body)
		}
	}
	if s := r.status("c1", "i1"); s.InFlight != 2 || a.count() != 2 {
		t.Fatalf("%+v, %d requests at the instance", s, a.count())
	}
	close(open)
	all.Wait()
	r.wait("all given back", func() bool { return r.status("c1", "i1").InFlight == 0 })
}

// TestAssignedRequestsWaitForTheirInstance in the order of arrival, WebSockets hold their connection, and a client that leaves loses its place.
func TestAssignedRequestsWaitForTheirInstance(t *testing.T) {
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			wsEcho(w, r)
			return
		}
		io.WriteString(w, "i1")
	})
	cc := conf(of(a)...)
	r := newRig(t, cc)
	cl := newClient(t)
	cl.get(r.url("/"))
	limited := clone(cc)
	limited.Clusters[0].Instances[0].MaxConnections = 1
	r.apply(limited)
	r.setShares(share(1, "node1", 1))
	ws := dialRaw(t, r)
	ws.write(wsRequest)
	if ws.response().StatusCode != 101 {
		t.Fatal("no switch")
	}
	answer := make(chan reply, 1)
	go func() { answer <- cl.get(r.url("/")) }()
	r.wait("it waits", func() bool { return r.status("c1", "i1").Waiting == 1 })
	gone := dialRaw(t, r)
	gone.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	r.wait("two wait", func() bool { return r.status("c1", "i1").Waiting == 2 })
	if metric(t, r, "holdfast_connections_waiting", "instance=i1") != 2 {
		t.Error("the gauge does not show who waits")
	}
	gone.Close()
	r.wait("one has left", func() bool { return r.status("c1", "i1").Waiting == 1 })
	ws.Close()
	if got := <-answer; got.body != "i1" {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	if metric(t, r, "holdfast_connection_waits_total", "cluster=c1", "outcome=served") != 1 || metric(t, r, "holdfast_connection_waits_total", "outcome=gone") != 1 {
		t.Error("waits are not counted")
	}
	r.wait("all given back", func() bool { s := r.status("c1", "i1"); return s.InFlight == 0 && s.Waiting == 0 })
}

// TestWaitingIsNotForever: 503 after the time that a connect may take; the record of the session that nobody has heard of is taken back.
func TestWaitingIsNotForever(t *testing.T) {
	a := newApp(t, "i1", nil)
	cc := conf(of(a)...)
	cc.Clusters[0].Instances[0].MaxConnections = 1
	r := newRig(t, cc)
	begun := time.Now()
	got := newClient(t).get(r.url("/"))
	if got.StatusCode != 503 || got.Header.Get("Retry-After") == "" || time.Since(begun) < 4*time.Second {
		t.Fatalf("%d after %v", got.StatusCode, time.Since(begun))
	}
	if a.count() != 0 || metric(t, r, "holdfast_connection_waits_total", "outcome=timeout") != 1 {
		t.Error("it was sent, or not counted")
	}
	r.wait("no record is left", func() bool { return len(r.g.sessions()) == 0 })
}

// TestWhoWaitsForAStoppedInstanceGoesElsewhere at once.
func TestWhoWaitsForAStoppedInstanceGoesElsewhere(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	cc := conf(of(a, b)...)
	r := newRig(t, cc)
	cl := sessionsOn(t, r, 2)["i1"][0]
	limited := clone(cc)
	limited.Clusters[0].Instances[0].MaxConnections = 1 // and no share
	r.apply(limited)
	r.inForce()
	for _, how := range []string{"stop", "remove"} {
		answer := make(chan reply, 1)
		go func() { answer <- cl.get(r.url("/")) }()
		r.wait("it waits", func() bool { return r.status("c1", "i1").Waiting == 1 })
		begun := time.Now()
		if how == "stop" {
			r.disable(limited, 0)
			r.endQuiesces()
		} else {
			without := clone(limited)
			without.Clusters[0].Instances = without.Clusters[0].Instances[1:]
			r.apply(without)
		}
		if got := <-answer; got.body != "i2" || time.Since(begun) > 4*time.Second {
			t.Fatalf("%s: %d %s after %v", how, got.StatusCode, got.body, time.Since(begun))
		}
		r.apply(limited)
		r.inForce()
		r.g.with(func() { // back to i1
			for k, v := range r.g.table {
				v.Instance = 1
				r.g.table[k] = v
			}
		})
	}
}
