package raftnode

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/raftnode/pki"
)

func TestFormInAnyStartOrder(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {2, 0, 1}} {
		g := expectGroup(t, 3)
		for _, i := range order {
			g[i].run()
			within(t, 10*time.Second, "node does not begin", func() bool { return g[i].node.Info().Role != "starting" })
		}
		g.ready()
		want := g[0].node.membership()
		for _, m := range g {
			if got := m.node.membership(); !sameConfiguration(got.Servers, want.Servers) {
				t.Errorf("order %v: %s has members %v, n1 has %v", order, m.opt.Name, got, want)
			}
			if id := m.state.Group().ID; id != g[0].state.Group().ID {
				t.Errorf("order %v: %s is in group %s", order, m.opt.Name, id)
			}
			within(t, 10*time.Second, "the authority's key is still in "+m.opt.TLSDir, func() bool { return len(m.node.creds.Load().CAKeyDER) == 0 })
			m.halt()
		}
	}
}

func sameConfiguration[T comparable](a, b []T) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestFormByOneSeed(t *testing.T) {
	g := expectGroup(t, 3)
	for _, m := range g { // n2 and n3 know n1 only, n1 knows nobody
		m.node.opt.Join = g[0].opt.Join[:1]
		m.run()
	}
	g.ready()
}

func TestFormWaitsForAllAndLateNodeJoins(t *testing.T) {
	g := expectGroup(t, 3)
	late := newMember(t, "n0", Options{BootstrapExpect: 3, JoinToken: g[0].opt.JoinToken, Join: g[0].opt.Join})
	late.mustOpen()
	g[0].run()
	g[1].run()
	within(t, 10*time.Second, "n1 and n2 do not meet", func() bool {
		return g[0].node.ID() != "" && len(g[0].node.formation.view(g[0].node.self(), time.Now())) == 2
	})
	if g[0].node.raft.Load() != nil || g[1].node.raft.Load() != nil {
		t.Fatal("two of three nodes have founded a group")
	}
	if err := g[0].node.Sync(ctxFor(t, 100*time.Millisecond)); err == nil {
		t.Error("sync without a group")
	}
	g[2].run()
	g.ready()
	late.run() // a fourth with the same flags finds the group and joins it
	all := append(g, late)
	all.ready()
	within(t, 20*time.Second, "late node has no vote", func() bool { return late.node.Info().Voter })
}

func TestFormRefusesOtherExpectation(t *testing.T) {
	g := expectGroup(t, 2)
	g[1].node.opt.BootstrapExpect = 3
	g[0].run()
	g[1].run()
	within(t, 10*time.Second, "nodes do not meet", func() bool {
		return g[0].node.ID() != "" && g[1].node.ID() != "" && len(g[0].node.formation.view(g[0].node.self(), time.Now())) == 2 && len(g[1].node.formation.view(g[1].node.self(), time.Now())) == 2
	})
	if _, agreed := g[0].node.formation.agreement(g[0].node.self(), 2, time.Now()); agreed {
		t.Error("agreed although the other expects another number")
	}
}

// TestPromiseIsExclusive drives the handlers as rival proposers would.
func TestPromiseIsExclusive(t *testing.T) {
	g := expectGroup(t, 3)
	for _, m := range g {
		if err := m.node.obtainCredentials(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	n, rival := g[2].node, g[1].node
	n.formation.begin()
	who := func(m *Node) caller { return caller{m.opt.Name, *m.id.Load()} }
	all := []founder{g[0].node.self(), rival.self(), n.self()}
	first := promise{Proposer: *g[0].node.id.Load(), Attempt: 1, Members: all}
	ask := func(from *Node, p promise) error {
		p.release = from.says
		_, err := n.handlePromise(context.Background(), who(from), encodeJSON(p))
		return err
	}
	form := func(from *Node, p promise) error {
		p.release = from.says
		_, err := n.handleForm(context.Background(), who(from), encodeJSON(p))
		return err
	}
	if err := form(g[0].node, first); !errors.Is(err, ErrRefused) {
		t.Errorf("form without a promise: %v", err)
	}
	if err := ask(rival, first); !errors.Is(err, ErrRefused) {
		t.Errorf("proposal of another node's name: %v", err)
	}
	if err := ask(g[0].node, promise{Proposer: first.Proposer, Attempt: 1, Members: all[:2]}); !errors.Is(err, ErrRefused) {
		t.Errorf("membership without this node: %v", err)
	}
	if err := ask(g[0].node, promise{Proposer: first.Proposer, Attempt: 1, Members: []founder{all[0], all[2]}}); !errors.Is(err, ErrRefused) {
		t.Errorf("membership of two: %v", err)
	}
	if err := ask(g[0].node, first); err != nil {
		t.Fatalf("first promise: %v", err)
	}
	if err := ask(g[0].node, first); err != nil {
		t.Errorf("the same again: %v", err)
	}
	other := founder{Name: "n9", ID: "n9/00000000", Addr: "127.0.0.1:9"}
	if err := ask(rival, promise{Proposer: *rival.id.Load(), Attempt: 9, Members: []founder{rival.self(), n.self(), other}}); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "promised node n1") {
		t.Errorf("rival: %v", err)
	}
	second := first
	second.Attempt = 2
	if err := ask(g[0].node, second); err != nil {
		t.Errorf("the proposer replaces its own: %v", err)
	}
	if err := form(g[0].node, first); !errors.Is(err, ErrRefused) {
		t.Errorf("form of a replaced promise: %v", err)
	}
	for range 2 {
		if err := form(g[0].node, second); err != nil {
			t.Errorf("form: %v", err)
		}
	}
	if blank, err := n.blank(); err != nil || blank {
		t.Errorf("not bootstrapped: %v %v", blank, err)
	}
	if err := ask(g[0].node, second); err == nil {
		t.Error("a member of a group promises to found another")
	}
}

// TestFormAfterCrashOfDecidedProposer: the proposer died after its decision, before anybody was told.
func TestFormAfterCrashOfDecidedProposer(t *testing.T) {
	g := expectGroup(t, 3)
	for _, m := range g {
		if err := m.node.obtainCredentials(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	all := []founder{g[0].node.self(), g[1].node.self(), g[2].node.self()}
	for i, m := range g {
		p := promise{Proposer: *g[0].node.id.Load(), Attempt: 1, Members: all, Phase: phasePromised}
		if i == 0 {
			p.Phase = phaseForming
		}
		if err := m.node.savePromise(p); err != nil {
			t.Fatal(err)
		}
		m.run()
	}
	g.ready()
	within(t, 10*time.Second, "the proposer goes on telling", func() bool {
		p, err := g[0].node.loadPromise()
		return err == nil && p.Phase == phaseFormed
	})
}

func TestBootstrapAlone(t *testing.T) {
	m := newMember(t, "solo", Options{Bootstrap: true, Group: "alone"})
	m.mustOpen()
	m.run()
	g := group{m}
	g.ready()
	if name := m.state.Group().Name; name != "alone" {
		t.Errorf("group is named %s", name)
	}
	a, _ := g.configure()
	m.record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1), Instance: a})
	m.halt()
	m.opt.Bootstrap, m.opt.JoinToken = true, "nonsense" // ignored: there is state
	m.again()
	g.ready()
	m.sync()
	if got, ok := m.state.Lookup(testKey(1)); !ok || got.Instance != a {
		t.Errorf("after the restart: %v %v", got, ok)
	}
}

// TestStringOfAnotherGroup: a node whose directory is of one group and whose init string or join token is of another one does not start, whichever was meant; with the string of its own group it does, also when that is out of date.
func TestStringOfAnotherGroup(t *testing.T) {
	m := newMember(t, "solo", Options{Bootstrap: true})
	m.again()
	g := group{m}
	g.ready()
	own := m.state.Group().ID
	m.halt()
	other := initString(t)
	in, err := pki.ParseInit(other, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	m.opt.Bootstrap = false
	for _, token := range []string{other, pki.JoinToken{GroupID: in.GroupID, ID: "t1", Expires: time.Now().Add(time.Hour)}.String()} {
		m.opt.JoinToken = token
		m.mustOpen()
		if err := m.node.Run(ctxFor(t, 10*time.Second)); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), in.GroupID) || !strings.Contains(err.Error(), "start it without the token") {
			t.Errorf("%v", err)
		}
		m.halt()
	}
	m.opt.JoinToken = pki.JoinToken{GroupID: own, ID: "t1", Expires: time.Now().Add(-time.Hour)}.String()
	m.again()
	g.ready()
}

// TestInterruptedBootstrap: the term was written, the membership was not.
func TestInterruptedBootstrap(t *testing.T) {
	m := newMember(t, "solo", Options{Bootstrap: true})
	m.mustOpen()
	if err := m.node.obtainCredentials(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := m.dir.Stable().SetUint64(keyTerm, 1); err != nil {
		t.Fatal(err)
	}
	m.halt()
	m.again()
	group{m}.ready()
}

func TestWaysIntoAGroupThatFail(t *testing.T) {
	expired := "hfi1.AAAA"
	for name, c := range map[string]struct {
		opt  Options
		want string
	}{
		"nothing":      {Options{}, "no way into a group"},
		"no addresses": {Options{JoinToken: initString(t)}, "--join"},
		"bad string":   {Options{JoinToken: expired, Join: []string{"127.0.0.1:1"}}, "init string"},
		"other group":  {Options{JoinToken: initString(t), Group: "prod", Join: []string{"127.0.0.1:1"}}, "--group test"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMember(t, "n1", c.opt)
			m.mustOpen()
			if err := m.node.Run(ctxFor(t, 10*time.Second)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
}
