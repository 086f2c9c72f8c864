package raftnode

import (
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/fsm"
)

// replayTail applies a node's tail behind what the state has, and gives the last index and its term.
func replayTail(t *testing.T, n *Node, state *fsm.State, after, term uint64) (uint64, uint64) {
	t.Helper()
	for {
		list, err := n.Tail(after, term, 1<<60, 500)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			return after, term
		}
		for _, e := range list {
			if e.Index != after+1 || e.Term < term || !e.Command && len(e.Data) > 0 {
				t.Fatalf("entry %d of term %d behind %d of term %d", e.Index, e.Term, after, term)
			}
			if e.Command {
				if _, err := state.Apply(e.Index, e.Data); err != nil {
					t.Fatal(err)
				}
			} else {
				state.Advance(e.Index)
			}
			after, term = e.Index, e.Term
		}
	}
}

// TestTail: an image and the tail behind it, from whichever node, over elections and restarts, give the state of the group.
func TestTail(t *testing.T) {
	g := startGroup(t, 3)
	a, b := g.configure()
	image, err := g[0].node.Image(ctxFor(t, 20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	state := taken(t, image)
	after, term := image.Index, image.Term
	for round := range 4 {
		for i := range 60 {
			g[i%3].record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(100*round + i), Instance: []fsm.InstanceID{a, b}[i%2], Reason: fsm.ReasonPolicy})
		}
		from := g[round%3]
		from.sync()
		after, term = replayTail(t, from.node, state, after, term)
		if index, digest := from.state.DigestAt(); index != state.Applied() || digest != state.Digest() {
			t.Fatalf("round %d: at %d, the node at %d", round, state.Applied(), index)
		}
		leader := g.leader()
		leader.crash()
		leader.again()
		g.ready()
	}
	g[1].sync() // it may just have been started again
	n := g[1].node
	if list, err := n.Tail(n.state.Applied()+5, 1, 1<<60, 500); err != nil || list != nil {
		t.Errorf("a follower that is ahead: %v, %v", list, err)
	}
	if _, err := n.Tail(after, term+1, 1<<60, 500); !errors.Is(err, ErrTailForks) {
		t.Errorf("another history: %v", err)
	}
	if _, err := n.Tail(after-1, 0, 1<<60, 500); !errors.Is(err, ErrTailForks) {
		t.Errorf("no term: %v", err)
	}
}

// TestTailOfANodeThatWasSentASnapshot: what its own log has below that is not given out, nor is what the log has let go.
func TestTailOfANodeThatWasSentASnapshot(t *testing.T) {
	g := startGroup(t, 3)
	a, _ := g.configure()
	late := g.followers()[0]
	late.sync()
	old, term := late.state.Applied(), uint64(0)
	if term = late.node.currentTerm(); term == 0 {
		t.Fatal("no term")
	}
	late.crash()
	for i := range 300 {
		g.leader().record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(i), Instance: a})
	}
	for _, m := range g {
		if m == late {
			continue
		}
		m.sync()
		r := m.node.raft.Load()
		c := r.ReloadableConfig()
		c.TrailingLogs = 1
		if err := r.ReloadConfig(c); err != nil {
			t.Fatal(err)
		}
		if err := r.Snapshot().Error(); err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
			t.Fatal(err)
		}
		if _, err := m.node.Tail(old, term, 1<<60, 500); !errors.Is(err, ErrTailGone) {
			t.Errorf("%s has let entry %d go: %v", m.opt.Name, old, err)
		}
	}
	late.again()
	late.sync()
	if _, err := late.node.Tail(old, term, 1<<60, 500); !errors.Is(err, ErrTailGone) {
		t.Errorf("below the snapshot: %v", err)
	}
	image, err := late.node.Image(ctxFor(t, 20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	state := taken(t, image)
	for i := range 10 {
		late.record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1000 + i), Instance: a})
	}
	late.sync()
	replayTail(t, late.node, state, image.Index, image.Term)
	if state.Digest() != late.state.Digest() {
		t.Error("behind the snapshot: another state")
	}
}

func TestTailBeforeTheNodeServes(t *testing.T) {
	m := newMember(t, "n1", Options{})
	m.mustOpen()
	if _, err := m.node.Tail(1, 1, 10, 10); err == nil {
		t.Error("a tail of nothing")
	}
}

// TestTailBehindAnImageOfANewTerm: what raft writes itself at the beginning of a term is in no state, and an image that was taken right then is followed like any other.
func TestTailBehindAnImageOfANewTerm(t *testing.T) {
	g := startGroup(t, 3)
	a, _ := g.configure()
	for round := range 3 {
		g[0].record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(round), Instance: a, Reason: fsm.ReasonPolicy})
		leader := g.leader()
		leader.crash()
		leader.again()
		g.ready()
		n := g.leader().node
		image, err := n.Image(ctxFor(t, 20*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		state := taken(t, image)
		replayTail(t, n, state, image.Index, image.Term)
		var entry raft.Log
		if err := n.opt.Dir.Log().GetLog(image.Index, &entry); err != nil || entry.Term != image.Term {
			t.Errorf("image of entry %d, term %d: %v, the entry has term %d", image.Index, image.Term, err, entry.Term)
		}
	}
}
