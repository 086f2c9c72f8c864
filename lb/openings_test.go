package lb

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"
)

// opener is an exchange about to open a session of header affinity on the first instance.
func opener(t *testing.T, r *rig) *exchange {
	t.Helper()
	keys, err := r.b.keys()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	t.Cleanup(cancel)
	x := exchangeOf(r.b, httptest.NewRequest("POST", "/", nil).WithContext(ctx))
	x.keys, x.rt = keys, r.b.routing.Load()
	x.r.Header.Set("X-Session", "one")
	x.mod = x.rt.match("h", "/").modules[0]
	x.in = x.mod.cluster.instances[0]
	return x
}

func (o *openings) len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.keys)
}

// A request that begins two records, because what was decided did not stand, leaves none behind: later requests would take it for one under way.
func TestOpeningsAreForgotten(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	r := newRig(t, keyedConf("header", "x-session", a, b))
	x := opener(t, r)
	for _, id := range []string{"one", "two"} {
		x.commit, x.s = nil, session{}
		if err := x.openKeyed(id); err != nil {
			t.Fatal(err)
		}
	}
	x.done()
	if n := r.b.openings.len(); n != 0 {
		t.Errorf("%d records are still taken for being under way", n)
	}
}

// A session whose record the group has dropped meanwhile is recorded anew: the request's own first record says nothing any more.
func TestOwnRecordThatIsGoneIsNotJoined(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	r := newRig(t, keyedConf("header", "x-session", a, b))
	x := opener(t, r)
	if err := x.openKeyed("one"); err != nil {
		t.Fatal(err)
	}
	first := x.in
	r.g.with(func() { delete(r.g.table, x.s.key) })
	x.b.refused((*first.state.endpoints.Load())[0], &connectError{context.Canceled}, true, failedAttempt{begun: time.Now(), ended: time.Now()})
	x.tried = append(x.tried, first.state)
	if err := x.toAnother(); err != nil {
		t.Fatal(err)
	}
	if got := r.g.sessions()[x.s.key]; x.in == first || got.Instance != x.in.id {
		t.Errorf("on %s, recorded for %d", x.in.name, got.Instance)
	}
	if n := len(r.g.moves()); n > maxMoves {
		t.Errorf("%d moves", n)
	}
	x.done()
}
