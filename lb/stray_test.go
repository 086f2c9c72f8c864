package lb

import (
	"testing"

	"github.com/holdfast-lb/holdfast/fsm"
)

// TestUnknownIDIsNotRecordedBlindly: a node that is cut off cannot know whether the group has a session under the id that a client presents.
// It serves the request, but neither owes nor records the id: that could override what the group acknowledged, even across clusters.
func TestUnknownIDIsNotRecordedBlindly(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	r := newRig(t, learnConf(of(a, b)...))
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
