package lb

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// TestNothingIsSentAfterInForce: once a node says that it obeys the stop of an instance, and that nothing is in flight there, nothing more comes,
// whatever goes on at the same time.
func TestNothingIsSentAfterInForce(t *testing.T) { // SUN-51
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	cc := conf(of(a, b)...)
	r := newRig(t, cc)
	var stop atomic.Bool
	var clients sync.WaitGroup
	t.Cleanup(func() { // before the rig ends
		stop.Store(true)
		clients.Wait()
	})
	for i := range 6 {
		clients.Go(func() {
			cl := newClient(t)
			for n := 0; !stop.Load(); n++ {
				if n%5 == i%5 { // now and then a new session
					cl = newClient(t)
				}
				if got := cl.get(r.url("/")); got.StatusCode != 200 {
					t.Errorf("%d %s", got.StatusCode, got.body)
					return
				}
			}
		})
	}
	for round := range 15 {
		r.disable(cc, 0)
		r.endQuiesces()
		r.wait("nothing in flight", func() bool { return r.status("c1", "i1").InFlight == 0 })
		hits := a.count()
		before := b.count()
		r.wait("traffic", func() bool { return b.count() > before+20 || t.Failed() })
		if n := a.count(); n != hits {
			t.Fatalf("round %d: %d requests after the stop was in force", round, n-hits)
		}
		r.apply(cc)
		r.inForce()
		r.wait("traffic on both", func() bool { return a.count() > hits+5 || t.Failed() })
	}
}

// TestDecisionOvertaken: what was decided by an older routing is decided again before it is sent; a record that nobody has heard of is taken back.
func TestDecisionOvertaken(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	cc := conf(of(a, b)...)
	r := newRig(t, cc)
	var once sync.Once
	first := r.g.id("c1", "i1")
	r.g.with(func() {
		r.g.record = func(op fsm.SessionOp) { // while the first new session of i1 is being recorded, i1 is stopped
			if op.Kind == fsm.OpAssign && op.Instance == first {
				once.Do(func() {
					off := clone(cc)
					off.Clusters[0].Instances[0].Enabled = false
					r.g.apply(off)
					r.g.endQuiesces()
					r.inForce()
				})
			}
		}
	})
	// Non-idempotent and with a limit, so that the record comes before the request is sent.
	limited := clone(cc)
	limited.Clusters[0].Instances[0].MaxSessions = 100
	cc = limited
	r.apply(cc)
	for range 4 {
		cl := newClient(t)
		req := post(t, r.url("/"), "x")
		got := cl.do(req)
		if got.body != "i2" && got.body != "i1" || got.StatusCode != 200 {
			t.Fatalf("%d %s", got.StatusCode, got.body)
		}
	}
	r.inForce()
	r.wait("records of nobody are gone", func() bool {
		for _, v := range r.g.sessions() {
			if v.Instance == first {
				return false
			}
		}
		return true
	})
	if n := a.count(); n != 0 {
		t.Fatalf("%d requests went to the stopped instance", n)
	}
}

// TestRemovedModuleIsReportedWhileItWorks.
func TestRemovedModuleIsReportedWhileItWorks(t *testing.T) { // UCD-10
	a := newApp(t, "i1", wsEcho)
	cc := conf(of(a)...)
	cc.Clusters[0].Modules = append(cc.Clusters[0].Modules, config.Module{ContextRoot: "/idle", Host: "www.example.com", Enabled: true, Replicated: true})
	r := newRig(t, cc)
	c := dialRaw(t, r)
	c.write(wsRequest)
	if c.response().StatusCode != 101 {
		t.Fatal("no switch")
	}
	if got := r.modules(); len(got) != 2 || got["c1/"] != 1 || got["c1www.example.com/idle"] != 0 {
		t.Fatal(got)
	}
	if n := r.status("c1", "i1").InFlight; n != 1 {
		t.Fatalf("%d in flight", n)
	}
	none := clone(cc)
	none.Clusters[0].Modules = nil
	r.apply(none)
	if got := r.modules(); len(got) != 1 || got["c1/"] != 1 {
		t.Fatal(got)
	}
	c.Close()
	r.wait("the tunnel is over", func() bool { return len(r.modules()) == 0 })
}

// TestOwnFieldsFindTheirSessionAgain: what is decided about anew has the session that its client has named, although the field has been taken out of what goes to the instance.
func TestOwnFieldsFindTheirSessionAgain(t *testing.T) {
	for _, name := range []string{"X-Forwarded-User", "X-Forwarded-For", "X-Hop"} {
		t.Run(name, func(t *testing.T) {
			cc := keyedConf("header", name, newApp(t, "i1", nil), newApp(t, "i2", nil), newApp(t, "i3", nil))
			r := newRig(t, cc)
			var once sync.Once
			r.g.with(func() {
				r.g.record = func(op fsm.SessionOp) { // while the session is being recorded, its instance is stopped
					if op.Kind != fsm.OpAssign {
						return
					}
					once.Do(func() {
						off := clone(cc)
						for i := range off.Clusters[0].Instances {
							if of := &off.Clusters[0].Instances[i]; r.g.id("c1", of.Name) == op.Instance {
								of.Enabled = false
							}
						}
						r.g.apply(off)
						r.g.endQuiesces()
						r.inForce()
					})
				}
			})
			req := post(t, r.url("/"), "x")
			req.Header.Set(name, "me")
			req.Header.Set("Connection", "X-Hop")
			got := newClient(t).do(req)
			if got.StatusCode != 200 {
				t.Fatal(got.StatusCode)
			}
			key, err := r.b.SessionKey("c1", "", "/", "me")
			if err != nil {
				t.Fatal(err)
			}
			if s, ok := r.g.sessions()[key]; !ok || s.Instance != r.g.id("c1", got.body) {
				t.Errorf("%s has answered; recorded %v: %+v", got.body, ok, s)
			}
		})
	}
}
