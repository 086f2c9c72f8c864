package raftnode

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/fsm"
)

// copied is a member on a copy of another one's directory, at an address of its own.
func (m *member) copied(t *testing.T, only string) *member {
	t.Helper()
	c := newMember(t, m.opt.Name, m.opt)
	c.opt.PeerAddr = "127.0.0.1:0"
	from, to := filepath.Join(m.opt.TLSDir, "data", only), filepath.Join(c.opt.TLSDir, "data", only)
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Join(c.opt.TLSDir, "data"), to} {
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// TestCopyOfANodeThatRuns takes no part: it is refused before Raft starts, whether all of its directory was copied or only its keys, and through whomever it can reach. The group does not notice.
func TestCopyOfANodeThatRuns(t *testing.T) {
	g := expectGroup(t, 3)
	var mu sync.Mutex
	told := map[string]int{}
	for _, m := range g {
		m.node.opt.Copied = func(member, runs, copied string) {
			mu.Lock()
			defer mu.Unlock()
			told[member+" runs at "+runs+", copy at "+copied]++
		}
		m.run()
	}
	g.ready()
	a, _ := g.configure()
	g[0].record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1), Instance: a})
	for _, whose := range []*member{g.followers()[0], g.leader()} {
		whose.sync()
		whose.halt() // a database that is being written cannot be copied
		c := whose.copied(t, "")
		whose.again()
		g.ready()
		where := addressOf(g.leader().node, whose.opt.Name)
		c.mustOpen()
		wantRefusal(t, c.runFor(30*time.Second), "runs at "+whose.node.Addr()+" already", "copy of its data directory", "token create")
		if c.node.raft.Load() != nil {
			t.Error("the copy has begun to take part")
		}
		mu.Lock()
		if n := told[whose.opt.Name+" runs at "+whose.node.Addr()+", copy at "+c.node.Addr()]; n < 1 || n > len(g) {
			t.Errorf("told %d times, at most once by each member: %v", n, told)
		}
		mu.Unlock()
		c.crash()
		if got := addressOf(g.leader().node, whose.opt.Name); got != where {
			t.Errorf("the member is at %s, was at %s", got, where)
		}
	}
	keys := g.followers()[0].copied(t, "tls")
	keys.opt.JoinToken, keys.opt.BootstrapExpect, keys.opt.Join = "", 0, []string{g.leader().node.Addr()}
	keys.mustOpen()
	wantRefusal(t, keys.runFor(30*time.Second), "already", "of its keys")
	g.leader().record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(2), Instance: a})
	if v := voters(g.leader().node.membership()); len(v) != 3 {
		t.Errorf("voters are %v", v)
	}
}

// TestKnocks: a copy is told of once, when it has asked for longer than a node that moves would; one that cannot be that, at once.
func TestKnocks(t *testing.T) {
	var k knocks
	now := time.Now()
	for i, c := range []struct {
		after   time.Duration
		member  raft.ServerID
		process string
		addr    string
		sure    bool
		want    bool
	}{
		{0, "n2/1", "p", "a:1", false, false},
		{elsewherePatience / 2, "n2/1", "p", "a:1", false, false},
		{elsewherePatience, "n2/1", "p", "a:1", false, true},
		{elsewherePatience, "n2/1", "p", "a:1", false, false},
		{elsewherePatience, "n2/1", "q", "a:1", true, false}, // it was started again
		{elsewherePatience, "n2/1", "q", "a:2", true, true},
		{elsewherePatience, "n3/1", "p", "a:1", true, true},
		{knockAgain + 2*elsewherePatience, "n2/1", "r", "a:1", true, true},
	} {
		if got := k.note(c.member, claim{c.process, c.addr}, c.sure, now.Add(c.after)); got != c.want {
			t.Errorf("step %d: %v", i, got)
		}
	}
	for i := range 10 * copiesKnown {
		k.note("n2/1", claim{fmt.Sprint("p", i), fmt.Sprint("a:", i)}, true, now)
	}
	if len(k.first) > copiesKnown || len(k.told) > copiesKnown {
		t.Errorf("%d and %d are remembered", len(k.first), len(k.told))
	}
}

// TestNodeThatMovesWhileItEnds: a node that is told to stop in one place and is started in another waits for its own end.
func TestNodeThatMovesWhileItEnds(t *testing.T) {
	g := startGroup(t, 3)
	moves := g.followers()[0]
	old := *moves.node.id.Load()
	if err := g.leader().node.elsewhere(t.Context(), memberOf(t, g.leader().node, moves.opt.Name), claim{"another", "127.0.0.1:1"}); !isElsewhere(err) {
		t.Errorf("it runs: %v", err)
	}
	for name, c := range map[string]claim{
		"the same process by another address": {moves.node.process, "127.0.0.1:1"}, "where it is": {"another", moves.node.Addr()}, "of an older version": {"", "127.0.0.1:1"},
	} {
		if err := g.leader().node.elsewhere(t.Context(), memberOf(t, g.leader().node, moves.opt.Name), c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	moves.halt()
	here := moves.copied(t, "")
	moves.again()
	g.ready()
	here.mustOpen()
	done := make(chan error, 1)
	go func() { done <- here.node.alone(ctxFor(t, 20*time.Second), g.leader().node.membership().Servers) }()
	select {
	case err := <-done:
		t.Fatalf("it does not wait: %v", err)
	case <-time.After(2 * elsewhereAgain):
	}
	moves.halt()
	if err := <-done; err != nil {
		t.Errorf("it has ended there: %v", err)
	}
	here.halt()
	moves.opt.PeerAddr = "127.0.0.1:0"
	moves.again()
	within(t, 20*time.Second, "it does not come back at its new address", func() bool {
		return moves.node.Ready() == nil && addressOf(g.leader().node, moves.opt.Name) == moves.node.Addr()
	})
	if *moves.node.id.Load() != old {
		t.Error("it is another node")
	}
}

// TestHostileClaims: what is no claim is refused, and nobody can have others ask for anybody but himself.
func TestHostileClaims(t *testing.T) {
	g := startGroup(t, 1)
	n := g[0].node
	for _, b := range []string{"", "x", "[]", `{"process":7}`, `{"process":"p"} {}`} {
		if _, err := n.handleClaim(t.Context(), caller{"n1", *n.id.Load()}, []byte(b)); err == nil {
			t.Errorf("%q was taken", b)
		}
	}
	if _, err := n.handleClaim(t.Context(), caller{"n9", "n9/0a"}, encodeJSON(claim{"p", "127.0.0.1:1"})); err != nil {
		t.Errorf("a node that is no member yet: %v", err)
	}
	if one, other := newProcess(), newProcess(); len(one) != 16 || one == other {
		t.Errorf("%s, %s", one, other)
	}
}

func memberOf(t *testing.T, n *Node, name string) raft.Server {
	t.Helper()
	s, ok := memberNamed(n.membership(), name)
	if !ok {
		t.Fatalf("%s is no member", name)
	}
	return s
}

// addressOf is where the membership has a node; empty when it is none.
func addressOf(n *Node, name string) string {
	s, _ := memberNamed(n.membership(), name)
	return string(s.Address)
}
