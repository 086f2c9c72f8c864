package raftnode

import (
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// What the leader's duties do does not make the group forget what operators asked for: their requests are recognised when they come again.
func TestDutiesLeaveTheMemoryToOperators(t *testing.T) {
	g := startGroup(t, 1)
	ctx := ctxFor(t, 60*time.Second)
	request := &fsm.LockSet{RequestID: fsm.RequestID{1}, Owner: "alice"}
	first, err := g[0].node.Propose(ctx, request)
	if err != nil || first.Code != fsm.CodeOK {
		t.Fatalf("%+v, %v", first, err)
	}
	l := g.leader().node.lead.Load()
	for range 1024 { // as many as the group remembers
		if r, err := g[0].node.Command(ctx, l.term, &fsm.LockClear{Actor: "duty", Expired: true}); err != nil || r.Code != fsm.CodeInvalid {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	again, err := g[0].node.Propose(ctx, request)
	if err != nil || again.Index != first.Index {
		t.Fatalf("the request is not recognised: %+v, %v, want index %d", again, err, first.Index)
	}
}
