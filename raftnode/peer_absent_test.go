package raftnode

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/fsm"
)

// TestAbsences: who waits, and what ends that.
func TestAbsences(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a absences
		want := func(id raft.ServerID, waits bool) {
			t.Helper()
			if a.waits(id) != waits {
				t.Errorf("%s waits: %t", id, !waits)
			}
		}
		signalled := func(f func()) bool {
			ch := a.back.wait()
			f()
			select {
			case <-ch:
				return true
			default:
				return false
			}
		}
		want("n2", false)
		a.beat("n2", true)
		a.beat("n2", false)
		a.beat("n3", false)
		want("n2", true)
		want("n1", false)
		time.Sleep(time.Second)
		a.beat("n2", false)
		if !a.gone("n2", time.Second) || a.gone("n2", 2*time.Second) || a.gone("n1", 0) {
			t.Error("n2 has been gone for a second, and n1 has not")
		}
		if signalled(func() { a.beat("n1", true); a.beat("n2", false) }) {
			t.Error("a heartbeat that says nothing new wakes everybody")
		}
		if !signalled(func() { a.beat("n2", true) }) {
			t.Error("nobody hears that n2 is back")
		}
		want("n2", false)
		want("n3", true)
		if !signalled(a.release) {
			t.Error("nobody hears of a hand-over")
		}
		want("n3", false)
		time.Sleep(releaseFor)
		want("n3", true)
		a.release()
		if !signalled(a.forget) {
			t.Error("nobody hears of the term's end")
		}
		a.beat("n3", false)
		want("n3", true) // what was let go in the last term waits in this one
	})
}

// TestHandOverToADeadNode is refused at once, and the group goes on.
func TestHandOverToADeadNode(t *testing.T) {
	g := startGroup(t, 3)
	a, _ := g.configure()
	leader := g.leader()
	dead := g.followers()[0]
	id := raft.ServerID(dead.node.ID())
	dead.crash()
	write := func(i int) {
		t.Helper()
		if _, err := leader.node.Record(ctxFor(t, 20*time.Second), fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(i), Instance: a}); err != nil {
			t.Fatalf("write %d: %v", i, err)
		}
	}
	write(0)
	within(t, 10*time.Second, "nothing waits for the dead node", func() bool { return leader.node.trans.absent.gone(id, leader.node.timing.election) })
	for i := range 3 {
		if err := leader.node.TransferTo(ctxFor(t, 20*time.Second), dead.opt.Name); err == nil || !strings.Contains(err.Error(), "does not answer") {
			t.Fatalf("to a dead node: %v", err)
		}
		write(i + 1)
	}
}
