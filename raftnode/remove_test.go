package raftnode

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/fsm"
)

// remove removes through the leader, as often as it takes when that changes.
func (g group) remove(name string, force bool) error {
	g[0].t.Helper()
	for {
		err := g.leader().node.RemoveMember(ctxFor(g[0].t, 20*time.Second), name, force)
		if !errors.Is(err, ErrNoQuorum) {
			return err
		}
	}
}

// wantRefusal checks that err is a refusal with all of words in it.
func wantRefusal(t *testing.T, err error, words ...string) {
	t.Helper()
	if !errors.Is(err, ErrRefused) {
		t.Errorf("got %v, want a refusal", err)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("got %v, want %q in it", err, w)
		}
	}
}

// TestRemoveNode: a healthy third node goes only when that is forced; it hears of it, ends with a reason and a way out, does not start again on its directory, and
// comes back as a new member with a token.
func TestRemoveNode(t *testing.T) {
	g := startGroup(t, 3)
	a, _ := g.configure()
	g[0].record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1), Instance: a})
	out := g.followers()[0]
	wantRefusal(t, g.remove(out.opt.Name, false), "could not survive the next failure", "2 of the 2 nodes with a vote would answer, and 2 must")
	wantRefusal(t, g.remove("n9", true), "no member")
	wantRefusal(t, g.leader().node.RemoveMember(ctxFor(t, 20*time.Second), g.leader().opt.Name, true), "another node must lead first")
	if err := out.node.RemoveMember(ctxFor(t, 20*time.Second), g.leader().opt.Name, true); !errors.Is(err, ErrNoQuorum) {
		t.Errorf("asked a follower: %v", err)
	}
	if n := len(g.leader().node.membership().Servers); n != 3 {
		t.Fatalf("%d members after refusals", n)
	}

	oldID := out.node.ID()
	if err := g.remove(out.opt.Name, true); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-out.err:
		wantRefusal(t, err, "removed from its group", "token create")
		out.err <- err // for halt
	case <-time.After(20 * time.Second):
		t.Fatal("the removed node goes on")
	}
	out.crash()
	wantRefusal(t, out.open(), "out of use since", "removed from its group")
	out.node = nil

	rest := group{}
	for _, m := range g {
		if m != out {
			rest = append(rest, m)
		}
	}
	rest.leader().record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(2), Instance: a})
	if n := len(rest.leader().node.membership().Servers); n != 2 {
		t.Errorf("%d members", n)
	}

	// Its key alone does not bring it back.
	data, keys := filepath.Join(out.opt.TLSDir, "data"), filepath.Join(t.TempDir(), "keys")
	if err := os.Rename(filepath.Join(data, "tls"), keys); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(keys, filepath.Join(data, "tls")); err != nil {
		t.Fatal(err)
	}
	out.opt.JoinToken, out.opt.Join = "", []string{rest.leader().node.Addr()}
	out.mustOpen()
	wantRefusal(t, out.runFor(20*time.Second), "was removed", "token create")
	out.crash()

	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	out.opt.JoinToken, out.opt.BootstrapExpect = rest.joinToken(time.Hour), 0
	out.again()
	within(t, 20*time.Second, "it does not come in with a token", func() bool { return out.node.Ready() == nil && out.node.Info().Voter })
	if out.node.ID() == oldID {
		t.Error("it has its old id")
	}
	out.sync()
	if _, ok := out.state.Lookup(testKey(2)); !ok {
		t.Error("it lacks an assignment")
	}
}

// TestRemoveKeepsTheQuorum: with one of three gone only that one can go. It finds out when it comes back.
func TestRemoveKeepsTheQuorum(t *testing.T) {
	g := startGroup(t, 3)
	a, _ := g.configure()
	gone, other := g.followers()[0], g.followers()[1]
	gone.crash()
	for _, force := range []bool{false, true} {
		wantRefusal(t, g.remove(other.opt.Name, force), "1 of the 2 nodes with a vote would answer ("+gone.opt.Name+" would not), and 2 must", "bring the others back first")
	}
	if err := g.remove(gone.opt.Name, false); err != nil {
		t.Fatal(err)
	}
	g.leader().record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1), Instance: a})
	gone.mustOpen()
	wantRefusal(t, gone.runFor(30*time.Second), "removed from its group")
	if _, ok := gone.state.Lookup(testKey(1)); ok {
		t.Error("the removed node got an entry")
	}
	gone.crash()
	// Two of two: one can go, and then it is alone.
	if err := g.remove(other.opt.Name, false); err != nil {
		t.Fatal(err)
	}
	g.leader().record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(2), Instance: a})
	wantRefusal(t, g.leader().node.RemoveMember(ctxFor(t, 20*time.Second), g.leader().opt.Name, true), "it leads")
}

// TestALaggardExpelsNobody: what a member says that was cut off before another one joined is older than what that one knows.
func TestALaggardExpelsNobody(t *testing.T) {
	g := startGroup(t, 3)
	late := newMember(t, "n4", Options{JoinToken: g[0].opt.JoinToken, Join: []string{g[0].node.Addr()}})
	late.mustOpen()
	late.run()
	within(t, 30*time.Second, "it does not come in", func() bool { return late.node.Ready() == nil && late.node.Info().Voter })
	late.sync()
	if reason := late.node.expelled(t.Context()); reason != "" {
		t.Errorf("a member finds: %s", reason)
	}
	// The same answers as if they were older.
	own := latestIndex(late.node)
	for index, want := range map[uint64]bool{own - 1: false, own + 1: true} {
		info := Info{Name: "n1", Version: "test", Members: []string{"n1/x", "n2/x"}, MembersIndex: index}
		for _, m := range g {
			m.node.server.handlers[callInfo] = answerOf(info)
		}
		if got := late.node.expelled(t.Context()) != ""; got != want {
			t.Errorf("membership of entry %d without this node, own of %d: expelled %v", index, own, got)
		}
	}
}

func TestPartingIsForOneNode(t *testing.T) {
	g := startGroup(t, 1)
	n := g[0].node
	self := caller{"n1", *n.id.Load()}
	for name, c := range map[string]struct {
		from    caller
		payload []byte
		want    string
	}{
		"no JSON":        {self, []byte("x"), "refused"},
		"unknown fields": {self, []byte(`{"id":"n1/x","by":"n2","more":1}`), "refused"},
		"another node":   {self, encodeJSON(parting{"n1/00000000", "n2"}), "this node is"},
		"a stranger":     {caller{"n2", "n2/00000000"}, encodeJSON(parting{raft.ServerID(n.ID()), "n2"}), "not a member"},
	} {
		_, err := n.handleRemoved(t.Context(), c.from, c.payload)
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n.Ready() != nil {
		t.Error("the node has gone")
	}
}

func answerOf(i Info) handler {
	return func(context.Context, caller, []byte) ([]byte, error) { return encodeJSON(i), nil }
}

func latestIndex(n *Node) uint64 {
	_, _, latest := n.roll.get()
	return latest
}
