package lb

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// TestUnknownIDIsNotRecordedBlindly: a node that is cut off cannot know whether the group has a session under the id that a client presents.
// It serves the request, but neither owes nor records the id: that could override what the group acknowledged, even across clusters.
func TestUnknownIDIsNotRecordedBlindly(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	r := newRigOn(t, newFakeGroup(learnConf(of(a, b)...)), Options{Elsewhere: func(context.Context) bool { return false }})
	r.node.setCut(true)
	for range 3 {
		if got := send(t, r, "/", "Cookie: JSESSIONID=elsewhere"); got.StatusCode != 200 {
			t.Fatalf("%d %s", got.StatusCode, got.body)
		}
	}
	if n := r.b.pending.count.Load(); n != 0 {
		t.Errorf("%d assignments are owed", n)
	}
	r.node.setCut(false)
	if n := r.g.count(fsm.OpAssign); n != 0 {
		t.Errorf("%d assignments were recorded", n)
	}
}

// TestUnknownIDIsRefusedWhereOthersMayKnowIt: the client of a session that the rest of the group has acknowledged comes to a node that is cut off. Any instance would give it a new session in
// place of that one. Sessions that begin, those whose id names their instance, and those that the node knows go on.
func TestUnknownIDIsRefusedWhereOthersMayKnowIt(t *testing.T) {
	a, b := tomcats(t)
	g := newFakeGroup(learnConf(of(a, b)...))
	var elsewhere atomic.Bool
	elsewhere.Store(true)
	r, other := newRigOn(t, g, Options{Elsewhere: func(context.Context) bool { return elsewhere.Load() }}), newRigOn(t, g, Options{})
	cl := newClient(t)
	knownOn := cl.get(r.url("/")).body
	cutOff(r)
	r.node.freeze()
	late := newClient(t)
	lateOn := late.get(other.url("/")).body // the majority has gone on
	before := a.count() + b.count()
	for _, header := range []string{"Cookie: JSESSIONID=0123", "Cookie: JSESSIONID=0123.i9", "Cookie: JSESSIONID=\"; SID=0123"} {
		got := send(t, r, "/", header)
		if got.StatusCode != 503 || got.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s", header, got.StatusCode, got.body)
		}
	}
	if got := send(t, r, "/;jsessionid=0123"); got.StatusCode != 503 {
		t.Errorf("an id in the path: %d", got.StatusCode)
	}
	if n := a.count() + b.count(); n != before {
		t.Errorf("%d requests have reached an instance", n-before)
	}
	if n := metric(t, r, "holdfast_requests_with_unknown_session_refused_total"); n != 4 {
		t.Errorf("%v are counted", n)
	}
	if got := cl.get(r.url("/")); got.body != knownOn {
		t.Errorf("a known session: %d %s", got.StatusCode, got.body)
	}
	if got := late.get(r.url("/")); got.body != lateOn {
		t.Errorf("one whose id names its instance: %d %s", got.StatusCode, got.body)
	}
	if got := newClient(t).get(r.url("/")); got.StatusCode != 200 || cookieNamed(got, "HOLDFAST") == nil {
		t.Errorf("a new session: %d, %v", got.StatusCode, got.Cookies())
	}
	elsewhere.Store(false) // it is certain that nobody else decides
	if got := send(t, r, "/", "Cookie: JSESSIONID=0123"); got.StatusCode != 200 {
		t.Errorf("an id that nobody can know: %d %s", got.StatusCode, got.body)
	}
}

// TestWhatTheLogHasOfAnUnknownID: a leader may have told the client of a session before it died, and this node has it in its log, behind its state. Where nobody else can decide, the log counts; where somebody may, nothing does.
func TestWhatTheLogHasOfAnUnknownID(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	g := newFakeGroup(learnConf(of(a, b)...))
	var others atomic.Bool
	var kind atomic.Int32
	r := newRigOn(t, g, Options{Elsewhere: func(context.Context) bool { return others.Load() }, Unapplied: func(k fsm.Key) (fsm.SessionOp, bool) {
		return fsm.SessionOp{Kind: fsm.OpKind(kind.Load()), Key: k, Instance: g.id("c1", "i2")}, kind.Load() != 0
	}})
	cutOff(r)
	for range 4 {
		kind.Store(int32(fsm.OpAssign))
		if got := send(t, r, "/", "Cookie: JSESSIONID=0123"); got.StatusCode != 200 || got.body != "i2" {
			t.Fatalf("%d %s", got.StatusCode, got.body)
		}
	}
	if n := r.b.pending.count.Load(); n != 0 {
		t.Errorf("%d assignments are owed", n)
	}
	others.Store(true)
	if got := send(t, r, "/", "Cookie: JSESSIONID=0123"); got.StatusCode != 503 {
		t.Errorf("others may have decided: %d %s", got.StatusCode, got.body)
	}
	others.Store(false)
	kind.Store(0)
	on := map[string]bool{}
	for range 4 {
		on[send(t, r, "/", "Cookie: JSESSIONID=0123").body] = true
	}
	if len(on) != 2 {
		t.Errorf("the log says nothing: on %v", on)
	}
}

// cutOff takes the quorum from a node, since long ago.
func cutOff(r *rig) {
	r.node.setCut(true)
	r.b.lostAt.Store(time.Now().Add(-time.Minute).UnixNano())
}

// With onQuorumLoss: refuse an unknown id is at best a new session.
func TestUnknownIDUnderRefuse(t *testing.T) {
	a := newApp(t, "i1", nil)
	cc := learnConf(of(a)...)
	cc.OnQuorumLoss = "refuse"
	r := newRigOn(t, newFakeGroup(cc), Options{Elsewhere: func(context.Context) bool { return false }})
	cutOff(r)
	if got := send(t, r, "/", "Cookie: JSESSIONID=0123"); got.StatusCode != 503 || a.count() != 0 {
		t.Errorf("%d, the instance has had %d requests", got.StatusCode, a.count())
	}
}

// TestOutcastDecidesNothing: on connections that are open to a node that is out of its group, sessions that it has on record go on where they are, and nothing else is served.
func TestOutcastDecidesNothing(t *testing.T) {
	for _, kind := range []string{"learn", "insert"} {
		t.Run(kind, func(t *testing.T) {
			a, b := tomcats(t)
			cc := learnConf(of(a, b)...)
			cc.Clusters[0].Affinity.Type = kind
			r := newRig(t, cc)
			on := sessionsOn(t, r, 4)
			known, fresh := on["i1"][0], newClient(t)
			r.b.Outcast()
			ops := r.g.all()
			if got := known.get(r.url("/")); got.StatusCode != 200 || got.body != "i1" {
				t.Errorf("a known session: %d %s", got.StatusCode, got.body)
			}
			before := a.count() + b.count()
			if got := fresh.get(r.url("/")); got.StatusCode != 503 || got.Header.Get("Retry-After") == "" {
				t.Errorf("a new session: %d", got.StatusCode)
			}
			for _, cookie := range []string{"JSESSIONID=0123", "JSESSIONID=0123.i1", "HOLDFAST=AAAA"} {
				if got := send(t, r, "/", "Cookie: "+cookie); got.StatusCode != 503 {
					t.Errorf("%s: %d", cookie, got.StatusCode)
				}
			}
			if n := a.count() + b.count(); n != before {
				t.Errorf("%d requests have reached an instance", n-before)
			}
			a.Close()
			if got := known.get(r.url("/")); got.StatusCode != 503 {
				t.Errorf("a session whose instance does not answer: %d %s", got.StatusCode, got.body)
			}
			if now := r.g.all(); len(now) != len(ops) {
				t.Errorf("it has decided: %+v", now[len(ops):])
			}
		})
	}
}

// all are the operations so far, without touches.
func (g *fakeGroup) all() (list []fsm.SessionOp) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, op := range g.ops {
		if op.Kind != fsm.OpTouch {
			list = append(list, op)
		}
	}
	return list
}
