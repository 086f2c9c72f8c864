package raftnode

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// ends waits for the end of Run.
func (m *member) ends() error {
	m.t.Helper()
	select {
	case err := <-m.err:
		m.err <- err // for halt
		return err
	case <-time.After(20 * time.Second):
		m.t.Fatalf("%s goes on", m.opt.Name)
		return nil
	}
}

func (m *member) votes() bool {
	m.t.Helper()
	ok := false
	within(m.t, 30*time.Second, m.opt.Name+" has no vote", func() bool { ok = m.node.Ready() == nil && m.node.Info().Voter; return ok })
	return ok
}

// votesOf tells what the leader holds of a member.
func (g group) votesOf(id string) (voter, member bool) {
	for _, m := range g.leader().node.Members(g[0].t.Context()) {
		if m.ID == id {
			return m.Voter, true
		}
	}
	return false, false
}

// TestResync: a voter gives up its vote before it drops anything, comes back with the same id and an equal state, and gets its vote again. It is the node that has founded the group,
// and its flags say so still: it must not found another one.
func TestResync(t *testing.T) {
	first := newMember(t, "n1", Options{Bootstrap: true})
	first.mustOpen()
	first.run()
	g := group{first}
	g.ready()
	for _, name := range []string{"n2", "n3"} {
		m := newMember(t, name, Options{JoinToken: g.joinToken(time.Hour), Join: []string{first.node.Addr()}})
		m.mustOpen()
		m.run()
		m.votes()
		g = append(g, m)
	}
	a, _ := g.configure()
	for i := range 200 {
		g[i%3].record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(i), Instance: a})
	}
	wantRefusal(t, g.leader().node.Resync(ctxFor(t, 10*time.Second)), "it leads")
	id, _ := first.dir.Identity()
	var term uint64
	for {
		for g.leader() == first {
			if err := first.node.TransferTo(ctxFor(t, 10*time.Second), "n2"); err != nil && g.leader() == first {
				t.Fatal(err)
			}
		}
		term = first.node.currentTerm()
		err := first.node.Resync(ctxFor(t, 20*time.Second))
		if err == nil {
			break
		}
		if !strings.Contains(err.Error(), "it leads") { // a busy machine has elected it again
			t.Fatal(err)
		}
	}
	if err := first.ends(); !errors.Is(err, ErrResync) {
		t.Fatalf("ended with %v", err)
	}
	wantRefusal(t, first.node.Resync(ctxFor(t, 10*time.Second)), "under way")
	if voter, member := (group{g[1], g[2]}).votesOf(first.node.ID()); voter || !member {
		t.Errorf("voter %v, member %v while it has no log", voter, member)
	}
	first.record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1000), Instance: a}) // of a request that was under way
	first.crash()
	first.mustOpen() // and it dies again, before it has joined
	if last, err := first.dir.Log().LastIndex(); err != nil || last != 0 || first.state.Applied() != 0 || first.state.Group() != nil {
		t.Errorf("it has kept entries up to %d, %v", last, err)
	}
	first.crash()
	first.again()
	first.votes()
	first.sync()
	if now, _ := first.dir.Identity(); now != id {
		t.Errorf("identity %+v, was %+v", now, id)
	}
	if now := first.node.currentTerm(); now < term {
		t.Errorf("term %d, was %d", now, term)
	}
	for i := range 200 {
		if got, ok := first.state.Lookup(testKey(i)); !ok || got.Instance != a {
			t.Fatalf("session %d: %+v, %v", i, got, ok)
		}
	}
	if n := len(g.leader().node.membership().Servers); n != 3 {
		t.Errorf("%d members", n)
	}
	within(t, 10*time.Second, "the resync is not forgotten", func() bool { m, err := loadResync(first.dir); return err == nil && len(m.Members) == 0 })
	first.halt()
	first.again() // as ever
	first.votes()
}

func TestResyncRefusals(t *testing.T) {
	alone := startGroup(t, 1)
	wantRefusal(t, alone[0].node.Resync(ctxFor(t, 10*time.Second)), "alone")

	g := startGroup(t, 3)
	gone, other := g.followers()[0], g.followers()[1]
	gone.crash()
	wantRefusal(t, other.node.Resync(ctxFor(t, 20*time.Second)), "while it has no vote 1 of the 2 nodes with a vote would answer", "bring the others back first")
	if voter, _ := g.votesOf(other.node.ID()); !voter || other.node.Ready() != nil {
		t.Error("the refused node has no vote")
	}
	if m, err := loadResync(other.dir); err != nil || m.Drop {
		t.Errorf("the refused node would drop its state: %+v, %v", m, err)
	}
	gone.again()
	gone.votes()
	var err error
	within(t, 20*time.Second, "a refusal stays", func() bool { // until the leader has heard that the other one answers again
		err = other.node.Resync(ctxFor(t, 20*time.Second))
		return !errors.Is(err, ErrRefused)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.ends(); !errors.Is(err, ErrResync) {
		t.Errorf("ended with %v", err)
	}
}

// TestNodeWithoutItsLogHasNoVote: the data directory is gone, the keys are not. The node is the same by its id, and may have acknowledged what it lacks now.
func TestNodeWithoutItsLogHasNoVote(t *testing.T) {
	g := startGroup(t, 3)
	a, _ := g.configure()
	g[0].record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1), Instance: a})
	lost := g.followers()[0]
	id := lost.node.ID()
	lost.crash()
	data := filepath.Join(lost.opt.TLSDir, "data")
	for _, name := range []string{"raft.db", "snapshots", "node.json"} {
		if err := os.RemoveAll(filepath.Join(data, name)); err != nil {
			t.Fatal(err)
		}
	}
	lost.mustOpen()
	if lost.node.ID() != id {
		t.Fatalf("id %s, was %s", lost.node.ID(), id)
	}
	// What it does when it joins, one step after the other: the leader lets it in without a vote.
	l := g.leader().node
	if _, err := l.handleJoin(ctxFor(t, 20*time.Second), caller{lost.opt.Name, *lost.node.id.Load()}, encodeJSON(lost.node.request())); err != nil {
		t.Fatal(err)
	}
	if voter, member := g.votesOf(id); voter || !member {
		t.Errorf("voter %v, member %v", voter, member)
	}
	lost.run()
	lost.votes()
	lost.sync()
	if _, ok := lost.state.Lookup(testKey(1)); !ok {
		t.Error("it lacks an assignment")
	}
}

func TestDemoteIsForMembers(t *testing.T) {
	g := startGroup(t, 1)
	_, err := g[0].node.handleDemote(t.Context(), caller{"n2", "n2/00000000"}, nil)
	wantRefusal(t, err, "not a member")
}
