package lb

import (
	"testing"

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
			cl.Affinity.Type, cl.ResponseTimeout = "insert", config.Duration(50e6)
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
