package lb

import (
	"testing"

	"github.com/holdfast-lb/holdfast/fsm"
)

// TestSessionThatIsNotRecordedWhereItIsDoesNotGoBack: the first record of a new session names i1, which then fails, and the quorum is lost, so that the client is told i2 by a
// provisional cookie. Whether the client's node has heard that the record was committed or not, the session stays on i2, on every node, when the quorum and i1 are back.
func TestSessionThatIsNotRecordedWhereItIsDoesNotGoBack(t *testing.T) {
	for _, c := range []struct {
		name string
		lost bool // the outcome of the first record never comes
	}{{"its outcome is lost", true}, {"it was committed", false}} {
		t.Run(c.name, func(t *testing.T) {
			first, second := newSwitchable(t, reset), newSwitchable(t, echo("i2"))
			cc := bare(inst("i1", first.url), inst("i2", second.url))
			cc.Clusters[0].Affinity.Type = "insert"
			g := newFakeGroup(cc)
			r, other := newRigOn(t, g, Options{}), newRigOn(t, g, Options{})
			g.with(func() {
				g.lose = func(op fsm.SessionOp) bool {
					if op.Kind != fsm.OpAssign || op.Instance != 1 {
						return false
					}
					r.node.setCut(true)
					return c.lost
				}
			})
			cl := newClient(t)
			got := cl.get(r.url("/"))
			k := cookieNamed(got, "HOLDFAST")
			if got.body != "i2:" || k == nil {
				t.Fatalf("%d %q, cookie %v", got.StatusCode, got.body, k)
			}
			told, err := OpenCookie(g.group, "c1", "", "/", k.Value)
			if err != nil || !told.Provisional || told.Instance != 2 {
				t.Fatalf("%+v %v", told, err)
			}
			if n := g.count(fsm.OpAssign); n != 1 {
				t.Fatalf("%d records instead of the one that names i1", n)
			}
			first.behave(echo("i1"))
			if got := cl.get(r.url("/")); got.body != "i2:" {
				t.Errorf("the node itself: %q", got.body)
			}
			r.node.setCut(false)
			r.wait("debts paid", func() bool { return r.b.pending.count.Load() == 0 })
			for _, node := range []*rig{r, other, r} {
				if got := cl.get(node.url("/")); got.body != "i2:" {
					t.Errorf("it went back: %q", got.body)
				}
			}
			for key, a := range g.sessions() { // that of the first record is gone as well
				if key != told.Key || a.Instance != 2 {
					t.Errorf("the table has %x on instance %d", key, a.Instance)
				}
			}
		})
	}
}

// TestOtherNodeHearsFirstOfARenamedSession: the client goes to a node that has a quorum before its own node has.
func TestOtherNodeHearsFirstOfARenamedSession(t *testing.T) {
	first, second := newSwitchable(t, reset), newSwitchable(t, echo("i2"))
	cc := bare(inst("i1", first.url), inst("i2", second.url))
	cc.Clusters[0].Affinity.Type = "insert"
	g := newFakeGroup(cc)
	r, other := newRigOn(t, g, Options{}), newRigOn(t, g, Options{})
	g.with(func() {
		g.lose = func(op fsm.SessionOp) bool {
			if op.Kind == fsm.OpAssign && op.Instance == 1 {
				r.node.setCut(true)
				return true
			}
			return false
		}
	})
	cl := newClient(t)
	if got := cl.get(r.url("/")); got.body != "i2:" {
		t.Fatalf("%d %q", got.StatusCode, got.body)
	}
	first.behave(echo("i1"))
	for range 3 {
		if got := cl.get(other.url("/")); got.body != "i2:" {
			t.Fatalf("it went back: %q", got.body)
		}
	}
	r.node.setCut(false)
	r.wait("debts paid", func() bool { return r.b.pending.count.Load() == 0 })
	if got := cl.get(r.url("/")); got.body != "i2:" {
		t.Errorf("it went back: %q", got.body)
	}
}

func TestOwedEndsTakeTheirPlace(t *testing.T) {
	p, key := newPending(), fsm.Key{1}
	p.put(fsm.SessionOp{Kind: fsm.OpAssign, Key: key, Instance: 1})
	p.put(fsm.SessionOp{Kind: fsm.OpDrop, Key: key})
	if op, ok := p.get(key); !ok || op.Kind != fsm.OpDrop {
		t.Fatalf("%+v %v", op, ok)
	}
	p.put(fsm.SessionOp{Kind: fsm.OpTouch, Key: key})
	if op, _ := p.get(key); op.Kind != fsm.OpDrop {
		t.Errorf("a touch made it %+v", op)
	}
	for i := range maxPending / 2 {
		p.put(fsm.SessionOp{Kind: fsm.OpDrop, Key: fsm.Key{2, byte(i), byte(i >> 8), byte(i >> 16)}})
	}
	if n := p.count.Load(); n != maxPending/2 {
		t.Errorf("%d, so that ends take the room of sessions", n)
	}
}
