package lb

import (
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// age makes all records of the group that much older.
func (g *fakeGroup) age(d time.Duration) {
	g.with(func() {
		for k, a := range g.table {
			a.Seen = uint32(g.now.Add(-d).Unix() - fsm.SeenEpoch)
			g.table[k] = a
		}
	})
}

func TestTouches(t *testing.T) { // idle time-out 30 min: a touch after 112 s, waited for after 15 min
	a := newApp(t, "i1", nil)
	r := newRig(t, conf(of(a)...))
	cl := newClient(t)
	cl.get(r.url("/"))
	for range 5 {
		cl.get(r.url("/"))
	}
	if n := r.g.count(fsm.OpTouch); n != 0 {
		t.Fatalf("%d touches of a fresh session", n)
	}
	r.g.age(5 * time.Minute)
	hold := make(chan struct{})
	r.g.with(func() { r.g.hold = hold })
	var parallel sync.WaitGroup
	for range 8 {
		parallel.Go(func() { cl.get(r.url("/")) }) // none waits although nothing is recorded
	}
	parallel.Wait()
	close(hold)
	r.wait("touch", func() bool { return r.g.count(fsm.OpTouch) == 1 })
	r.wait("touch done", func() bool { return r.b.tasks.state.Load() == 0 })
	cl.get(r.url("/"))
	if n := r.g.count(fsm.OpTouch); n != 1 {
		t.Fatalf("%d touches, want 1", n)
	}
	r.g.age(20 * time.Minute)
	cl.get(r.url("/"))
	if n := r.g.count(fsm.OpTouch); n != 2 {
		t.Fatal("the response did not wait for the touch of an old session")
	}
}

func TestTouchOfASessionThatExpiresMeanwhile(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	r := newRig(t, conf(of(a, b)...))
	cl := newClient(t)
	first := cl.get(r.url("/"))
	r.g.age(40 * time.Minute)
	r.g.with(func() {
		r.g.record = func(op fsm.SessionOp) {
			if op.Kind == fsm.OpTouch {
				r.g.with(func() { delete(r.g.table, op.Key) })
			}
		}
	})
	if got := cl.get(r.url("/")); got.body != first.body || len(r.g.sessions()) != 1 {
		t.Fatal("a session in use was lost")
	}
}

// TestTouchWithoutQuorumIsOwed: a session that is in use while nothing can be recorded must not expire for that.
func TestTouchWithoutQuorumIsOwed(t *testing.T) {
	a := newApp(t, "i1", nil)
	r := newRig(t, conf(of(a)...))
	cl := newClient(t)
	cl.get(r.url("/"))
	r.g.age(25 * time.Minute)
	r.node.setCut(true)
	for range 3 {
		if got := cl.get(r.url("/")); got.StatusCode != 200 || r.g.count(fsm.OpTouch) != 0 {
			t.Fatal(got.StatusCode)
		}
	}
	r.node.setCut(false)
	r.wait("the touch is made up for", func() bool { return r.b.pending.count.Load() == 0 })
	if n := r.g.count(fsm.OpTouch); n != 1 {
		t.Fatalf("%d touches, want 1", n)
	}
}

// TestTunnelKeepsItsSessionInUse: while a WebSocket is open its session is in use, also when nothing else is requested.
func TestTunnelKeepsItsSessionInUse(t *testing.T) {
	a := newApp(t, "i1", wsEcho)
	cc := conf(of(a)...)
	cc.Clusters[0].Affinity.IdleTimeout = config.Duration(time.Second)
	r := newRig(t, cc)
	c := dialRaw(t, r)
	c.write(wsRequest)
	if c.response().StatusCode != 101 {
		t.Fatal("no switch")
	}
	r.wait("the open tunnel's session is touched, and again", func() bool { return r.g.count(fsm.OpTouch) >= 2 })
}
