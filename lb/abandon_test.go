package lb

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// TestSessionsThatNobodyHeardOfAreTakenBack: a request that ends in Holdfast's own answer gives the client no cookie, so that its session must not take a
// place under maxSessions until its idle time is over.
func TestSessionsThatNobodyHeardOfAreTakenBack(t *testing.T) {
	for _, c := range []struct {
		name string
		how  serveFunc
		urls int // dead instances beside it
		code int
	}{{"reset", reset, 0, 502}, {"timeout", hang, 0, 504}, {"all refuse", nil, 2, 503}} {
		t.Run(c.name, func(t *testing.T) {
			var list []config.Instance
			if c.how != nil {
				list = append(list, inst("i1", newSwitchable(t, c.how).url))
			}
			for range c.urls {
				list = append(list, inst("dead"+deadURL(t)[17:], deadURL(t)))
			}
			cc := bare(list...)
			cl := &cc.Clusters[0]
			cl.Affinity.Type, cl.ResponseTimeout = "insert", config.Duration(10*time.Second)
			if c.code == http.StatusGatewayTimeout {
				cl.ResponseTimeout = config.Duration(50 * time.Millisecond)
			}
			cl.Modules[0].Retries = -1
			for i := range cl.Instances {
				cl.Instances[i].MaxSessions = 2
			}
			r := newRig(t, cc)
			for range 4 {
				if got := newClient(t).do(request(t, "GET", r.url("/"), "")); got.StatusCode != c.code {
					t.Errorf("%d, want %d", got.StatusCode, c.code)
				}
				r.wait("taken back", func() bool { return len(r.g.sessions()) == 0 })
			}
			drops := r.g.recorded(fsm.OpDrop)
			for _, op := range drops { // session explain says so
				if op.Reason != fsm.ReasonUnanswered {
					t.Errorf("taken back because %s", op.Reason)
				}
			}
			if len(drops) == 0 {
				t.Error("nothing was ever recorded")
			}
		})
	}
}

// TestSessionsOfClientsThatHaveGoneAreTakenBack: so it is with a client that goes away before its first answer: nobody has the cookie of that session. A session that was told stays, whatever becomes of later requests.
func TestSessionsOfClientsThatHaveGoneAreTakenBack(t *testing.T) {
	for name, most := range map[string]int{"no bound": 0, "with room": 2} {
		t.Run(name, func(t *testing.T) {
			o := newSwitchable(t, echo("i1"))
			cc := bare(inst("i1", o.url))
			cl := &cc.Clusters[0]
			cl.Affinity.Type, cl.Instances[0].MaxSessions = "insert", most
			r := newRig(t, cc)
			known := newClient(t)
			if got := known.do(request(t, "GET", r.url("/"), "")); got.StatusCode != http.StatusOK {
				t.Fatal(got.StatusCode)
			}
			o.behave(hang)
			for n := range 3 {
				for _, c := range []*client{newClient(t), known} {
					begun, got := len(r.g.recorded(fsm.OpAssign)), o.hits.Load()
					ctx, goAway := context.WithCancel(t.Context())
					gone := make(chan struct{})
					go func() {
						defer close(gone)
						if resp, err := c.Do(request(t, "GET", r.url("/"), "").WithContext(ctx)); err == nil {
							resp.Body.Close()
							t.Error("there was an answer")
						}
					}()
					r.wait("the instance has the request", func() bool { return o.hits.Load() > got && (c == known || len(r.g.recorded(fsm.OpAssign)) > begun) })
					goAway()
					<-gone
				}
				r.wait("taken back", func() bool { return len(r.g.sessions()) == 1 && len(r.g.recorded(fsm.OpDrop)) == n+1 })
			}
			for _, op := range r.g.recorded(fsm.OpDrop) {
				if op.Reason != fsm.ReasonUnanswered {
					t.Errorf("taken back because %s", op.Reason)
				}
			}
			o.behave(echo("i1"))
			if got := known.do(request(t, "GET", r.url("/"), "")); got.StatusCode != http.StatusOK || len(r.g.recorded(fsm.OpAssign)) != 4 {
				t.Errorf("%d, %d sessions were begun", got.StatusCode, len(r.g.recorded(fsm.OpAssign)))
			}
		})
	}
}
