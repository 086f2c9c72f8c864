package lb

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// TestSlowStartOverHTTP: who is new, enabled again or available again begins with a tenth of its share; who was there when the node started does not.
func TestSlowStartOverHTTP(t *testing.T) { // TC-13
	a, b, c := newApp(t, "i1", nil), newApp(t, "i2", nil), newApp(t, "i3", nil)
	cc := conf(of(a, b)...)
	cc.Clusters[0].SlowStart = config.Duration(time.Hour)
	r := newRig(t, cc)
	if got := r.newSessions(20); got["i1"] != 10 || got["i2"] != 10 {
		t.Fatalf("at the start of the node: %v", got)
	}
	const n = 63 // of which a cold one gets 63 * 0.1 / 2.1 = 3
	cold := func(what, name string, least, most int) {
		t.Helper()
		if got := r.newSessions(n); got[name] < least || got[name] > most {
			t.Fatalf("%s: %v", what, got)
		}
	}
	cc = clone(cc)
	cc.Clusters[0].Instances = append(cc.Clusters[0].Instances, inst("i3", c.URL))
	r.apply(cc)
	r.inForce()
	cold("a new instance", "i3", 2, 4)
	r.disable(cc, 0)
	r.apply(cc)
	r.inForce()
	cold("one that is enabled again", "i1", 4, 7) // i3 is cold as well: 63 * 0.1 / 1.2
	r.verdict(states{2: fsm.HealthFailed})
	r.verdict(nil) // now all are cold, so nobody yields
	cold("all", "i2", 20, 22)
	r.apply(clone(cc)) // a revision alone warms and cools nobody
	r.inForce()
	cold("all, after a change", "i1", 20, 22)
}

// TestPeakEWMAOverHTTP: new sessions go where the heads of responses come soon.
func TestPeakEWMAOverHTTP(t *testing.T) { // TC-12
	slow := func(w http.ResponseWriter, r *http.Request) {
		<-time.After(2 * time.Second) // far more than a busy machine takes
		io.WriteString(w, "slow")
	}
	a, b := newApp(t, "slow", slow), newApp(t, "fast", nil)
	cc := conf(of(a, b)...)
	cc.Clusters[0].Policy = "peak-ewma"
	r := newRig(t, cc)
	if got := r.newSessions(40); got["fast"] < 30 {
		t.Fatal(got)
	}
}
