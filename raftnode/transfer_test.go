package raftnode

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

func TestTransferTo(t *testing.T) {
	g, elected := watched(t, 3, "lan", nil)
	a, _ := g.configure()
	next(t, elected)
	for range 3 {
		for len(elected) > 0 {
			<-elected
		}
		leader := g.leader()
		to := g.followers()[1]
		leader.record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(int(leader.node.currentTerm())), Instance: a})
		applied, sessions, term := leader.state.Applied(), leader.state.Len(), leader.node.lead.Load().term
		if err := leader.node.TransferTo(ctxFor(t, 20*time.Second), to.opt.Name); err != nil {
			t.Fatal(err)
		}
		s := next(t, elected)
		if g.leader() != to || !s.Planned || s.Previous != leader.opt.Name || s.PreviousTerm != term || s.Index < applied || to.state.Len() < sessions ||
			s.Sessions > sessions || s.Sessions < sessions-1 { // it may not have known yet that the last one is committed
			t.Errorf("%s leads after a transfer to %s: %+v, applied %d, %d sessions", g.leader().opt.Name, to.opt.Name, s, applied, sessions)
		}
		if time.Since(s.LastContact) > 10*time.Second {
			t.Errorf("last contact %v", s.LastContact)
		}
	}
	if n := challengesOf(t, g, causeDead, challengeStood); n != 0 {
		t.Errorf("%v challenges of a leader that hands over", n)
	}
}

// TestAssignmentsBeforeATerm are counted before what is left of earlier terms is applied, or a loss would never show: unless no leader was heard of before.
func TestAssignmentsBeforeATerm(t *testing.T) {
	g := startGroup(t, 1)
	a, _ := g.configure()
	m := g.leader()
	m.record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1), Instance: a})
	l := &leadership{sessions: m.state.Len(), before: reign{leader: "n9/00000001", term: 1}}
	m.record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(2), Instance: a})
	if s := m.node.succeed(l); s.Sessions != 1 || s.Previous != "n9" || m.state.Len() != 2 {
		t.Errorf("%d assignments before, by %q, of %d: want 1, n9, 2", s.Sessions, s.Previous, m.state.Len())
	}
	l.before = reign{}
	if s := m.node.succeed(l); s.Sessions != 2 {
		t.Errorf("%d assignments before, and no leader: want 2", s.Sessions)
	}
}

func TestTransferToWhoCannotLead(t *testing.T) {
	g := startGroup(t, 3)
	leader := g.leader()
	if err := leader.node.raft.Load().AddNonvoter("late/00000001", "127.0.0.1:1", 0, time.Second).Error(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "n9", "late", leader.opt.Name} {
		if err := leader.node.TransferTo(ctxFor(t, 10*time.Second), name); !errors.Is(err, ErrRefused) {
			t.Errorf("to %q: %v", name, err)
		}
	}
	other := g.followers()[0]
	if err := other.node.TransferTo(ctxFor(t, 10*time.Second), leader.opt.Name); !errors.Is(err, ErrNoQuorum) {
		t.Errorf("by a follower: %v", err)
	}
	other.crash()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := leader.node.TransferTo(ctx, other.opt.Name); err == nil || g.leader() != leader {
		t.Errorf("to a node that is down: %v, %s leads", err, g.leader().opt.Name)
	}
	if l, err := leader.node.leading(ctx); err != nil || l == nil {
		t.Errorf("after that: %v", err)
	}
}
