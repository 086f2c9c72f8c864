package lb

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// moveRig has a session on i1, which is out of service by its health checks for as long as sick is set; i2 is healthy.
type moveRig struct {
	*rig
	cl   *client
	key  fsm.Key
	sick atomic.Bool
}

func newMoveRig(t *testing.T) *moveRig {
	m := &moveRig{}
	one := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.UserAgent() == healthUserAgent {
			if m.sick.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return
		}
		w.Write([]byte("i1"))
	}))
	t.Cleanup(one.Close)
	cc := conf(inst("i1", one.URL), inst("i2", newApp(t, "i2", nil).URL))
	h := &cc.Clusters[0].Health
	h.Expect, h.Interval, h.RetryInterval = "200", config.Duration(10*time.Millisecond), config.Duration(10*time.Millisecond)
	m.rig = newRig(t, cc)
	m.cl = sessionsOn(t, m.rig, 2)["i1"][0]
	for key, a := range m.g.sessions() {
		if a.Instance == m.g.id("c1", "i1") {
			m.key = key
		}
	}
	return m
}

func (m *moveRig) setSick(sick bool) {
	m.sick.Store(sick)
	want := map[bool]string{true: "down", false: "up"}[sick]
	m.wait("i1 is "+want, func() bool { return m.status("c1", "i1").Health == want })
}

// elsewhere is what another node has the group do with the session.
func (m *moveRig) elsewhere(from, to fsm.InstanceID) {
	m.g.with(func() {
		m.g.applyOp(fsm.SessionOp{Kind: fsm.OpMove, Key: m.key, Expect: from, Instance: to, Reason: fsm.ReasonPolicy})
	})
}

// TestMoveSentTwiceMovesOnce: the outcome of a move is unknown, and until it is sent again the session is moved back by somebody. Sent again it does
// nothing: the group's last word holds, as long as that instance takes the request. ADR 10.
func TestMoveSentTwiceMovesOnce(t *testing.T) {
	for _, back := range []bool{true, false} { // whether the instance to which the session has been moved back is in service again
		t.Run(map[bool]string{true: "in service", false: "out of service"}[back], func(t *testing.T) {
			m := newMoveRig(t)
			before := m.g.sessions()[m.key]
			m.setSick(true)
			var lost atomic.Bool
			m.g.with(func() {
				m.g.lose = func(op fsm.SessionOp) bool {
					if !isMove(op.Kind) || lost.Swap(true) {
						return false
					}
					m.elsewhere(2, 1)
					if back {
						m.setSick(false)
					}
					return true
				}
			})
			want, instance, moves := "i1", fsm.InstanceID(1), 3
			if !back {
				want, instance, moves = "i2", 2, 4 // by a decision of its own, of which the group knows what it replaces
			}
			if got := m.cl.get(m.url("/")); got.body != want {
				t.Fatalf("went to %s, want %s", got.body, want)
			}
			ops, after := m.g.moves(), m.g.sessions()[m.key]
			if len(ops) != moves || ops[0].Kind != fsm.OpMoveAt || ops[0].Version != uint32(before.Index) || ops[2] != ops[0] || after.Instance != instance {
				t.Fatalf("%+v, then %+v", ops, after)
			}
			if !back && (ops[3].Kind != fsm.OpMoveAt || ops[3].Version == ops[0].Version) {
				t.Fatalf("the new decision was %+v", ops[3])
			}
			if n := metric(t, m.rig, "holdfast_failovers_total"); n != float64(moves-3) {
				t.Errorf("%v fail-overs are counted, want %d", n, moves-3)
			}
			if got := m.cl.get(m.url("/")); got.body != want || len(m.g.moves()) != moves {
				t.Fatalf("then went to %s with %d moves", got.body, len(m.g.moves()))
			}
		})
	}
}

// TestMoveByANodeThatIsBehind: it goes by a decision that has been replaced, learns so, and decides anew once it knows the new one.
func TestMoveByANodeThatIsBehind(t *testing.T) {
	m := newMoveRig(t)
	m.node.freeze()
	m.elsewhere(1, 2)
	m.elsewhere(2, 1)
	now := m.g.sessions()[m.key]
	m.setSick(true)
	if got := m.cl.get(m.url("/")); got.body != "i2" {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	ops := m.g.moves()[2:]
	if len(ops) != 2 || ops[0].Version == uint32(now.Index) || ops[1].Kind != fsm.OpMoveAt || ops[1].Version != uint32(now.Index) {
		t.Fatalf("%+v, want a second one for decision %d", ops, now.Index)
	}
	if after := m.g.sessions()[m.key]; after.Instance != 2 || after.Reason != fsm.ReasonUnavailable {
		t.Fatalf("%+v", after)
	}
}

// TestMoveOfASessionWithoutIndex: what an older version recorded has none, and is moved by its instance.
func TestMoveOfASessionWithoutIndex(t *testing.T) {
	m := newMoveRig(t)
	m.g.with(func() {
		a := m.g.table[m.key]
		a.Index, a.Reason = 0, fsm.ReasonUnknown
		m.g.table[m.key] = a
	})
	m.setSick(true)
	if got := m.cl.get(m.url("/")); got.body != "i2" {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	if ops := m.g.moves(); len(ops) != 1 || ops[0].Kind != fsm.OpMove || ops[0].Expect != 1 {
		t.Fatalf("%+v", ops)
	}
}

// TestPinRemembersTheInstance, although a move that goes by a decision does not tell the group: while there is no quorum the pin counts as long as the
// group's record is what it was.
func TestPinRemembersTheInstance(t *testing.T) {
	m := newMoveRig(t)
	m.setSick(true)
	m.node.setCut(true)
	if got := m.cl.get(m.url("/")); got.body != "i2" {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	pin, ok := m.b.pending.get(m.key)
	if !ok || pin.Kind != fsm.OpMoveAt || pin.Expect != 1 || pin.Instance != 2 {
		t.Fatalf("%+v, %v", pin, ok)
	}
	m.setSick(false)
	if got := m.cl.get(m.url("/")); got.body != "i2" {
		t.Fatalf("the pin does not hold: %s", got.body)
	}
	m.node.setCut(false)
	m.wait("the pin is dropped", func() bool { _, ok := m.b.pending.get(m.key); return !ok })
	if got := m.cl.get(m.url("/")); got.body != "i1" || len(m.g.moves()) != 0 {
		t.Fatalf("%s with %d moves", got.body, len(m.g.moves()))
	}
}

// TestFailBackByANodeThatIsBehind: it is not done, not counted, and the request stays where it was.
func TestFailBackByANodeThatIsBehind(t *testing.T) {
	cc := conf(of(newApp(t, "i1", nil), newApp(t, "i2", nil))...)
	cc.Clusters[0].FailBack, cc.Clusters[0].Instances[1].Backup = "immediate", true
	r := newRig(t, cc)
	r.verdict(states{1: fsm.HealthFailed})
	cl := newClient(t)
	cl.get(r.url("/"))
	r.verdict(nil)
	r.node.freeze()
	r.g.with(func() {
		for key := range r.g.table {
			r.g.applyOp(fsm.SessionOp{Kind: fsm.OpMove, Key: key, Expect: 2, Instance: 1, Reason: fsm.ReasonPolicy})
			r.g.applyOp(fsm.SessionOp{Kind: fsm.OpMove, Key: key, Expect: 1, Instance: 2, Reason: fsm.ReasonPolicy})
		}
	})
	if got := cl.get(r.url("/")); got.body != "i2" || len(r.g.moves()) != 3 || metric(t, r, "holdfast_failovers_total") != 0 {
		t.Fatalf("%s, %+v, %v counted", got.body, r.g.moves(), metric(t, r, "holdfast_failovers_total"))
	}
	if err := r.node.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := cl.get(r.url("/")); got.body != "i1" || metric(t, r, "holdfast_failovers_total", "reason=failback") != 1 {
		t.Fatalf("then %s", got.body)
	}
}
