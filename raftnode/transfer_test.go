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
		if g.leader() != to || !s.Planned || s.Previous != leader.opt.Name || s.PreviousTerm != term || s.Index < applied || s.Sessions != sessions {
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
