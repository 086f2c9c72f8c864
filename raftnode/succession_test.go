package raftnode

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// TestSuccessionOfALeaderToItself has a leader lose its majority and get it back.
func TestSuccessionOfALeaderToItself(t *testing.T) {
	g, elected := watched(t, 1, "fast", nil)
	first := next(t, elected)
	if first.Previous != "" || first.PreviousTerm != 0 || !first.LastContact.IsZero() || first.Planned {
		t.Errorf("the first leader: %+v", first)
	}
	before, planned := g[0].node.trans.begun(raft.ServerID(g[0].node.ID()), first.Term+1)
	if s := g[0].node.succeed(&leadership{before: before, planned: planned, term: first.Term + 1}); s.Previous != "n1" || s.PreviousTerm != first.Term || !s.LastContact.IsZero() || s.Planned {
		t.Errorf("the next one: %+v", s)
	}
}

// TestLeadersOfThePast: when each was heard of last, also when others have led since; not without bound.
func TestLeadersOfThePast(t *testing.T) {
	tr := &peerTransport{raft: func() *raft.Raft { return nil }, mu: newTurn()}
	heard := func(id string, term uint64) {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		tr.note(&raft.AppendEntriesRequest{RPCHeader: raft.RPCHeader{ID: []byte(id)}, Term: term})
	}
	heard("n3/1", 1)
	last := tr.reign.heard
	heard("n2/1", 2)
	tr.begun("n1/1", 3)
	if got := tr.contacts(); len(got) != 2 || got["n3"] != last || got["n2"].Before(last) {
		t.Errorf("heard of %v, of n3 at %v", got, last)
	}
	heard("n3/1", 4)
	tr.begun("n1/1", 5)
	if got := tr.contacts(); len(got) != 2 || !got["n3"].After(last) {
		t.Errorf("heard of %v again", got)
	}
	for term := range uint64(3 * maxReigns) {
		heard(fmt.Sprintf("m%d/1", term), 6+term)
	}
	if n := len(tr.contacts()); n != maxReigns {
		t.Errorf("%d leaders are known, want %d", n, maxReigns)
	}
}

// TestElectedEndsWithTheTerm: the context that OnElected gives does.
func TestElectedEndsWithTheTerm(t *testing.T) {
	ended := make(chan Succession, 16)
	g := expectGroup(t, 3)
	for _, m := range g {
		m.node.OnElected(func(ctx context.Context, s Succession) {
			<-ctx.Done()
			ended <- s
		})
		m.run()
	}
	g.ready()
	leader := g.leader()
	term := leader.node.lead.Load().term
	if err := leader.node.TransferLeadership(ctxFor(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	if s := next(t, ended); s.Term != term {
		t.Errorf("term %d has ended, want %d", s.Term, term)
	}
}
