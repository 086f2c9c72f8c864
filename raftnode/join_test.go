package raftnode

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/raftnode/pki"
)

func (g group) joinToken(ttl time.Duration) string {
	g[0].t.Helper()
	s, err := g[0].node.NewJoinToken(ctxFor(g[0].t, 15*time.Second), ttl, "test")
	if err != nil {
		g[0].t.Fatal(err)
	}
	return s
}

// runFor gives Run's error, or fails the test when the node gets in.
func (m *member) runFor(d time.Duration) error {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- m.node.Run(ctx) }()
	select {
	case err := <-done:
		return err
	case <-time.After(d + 10*time.Second):
		m.t.Fatalf("%s: Run does not return", m.opt.Name)
		return nil
	}
}

func TestJoinWithToken(t *testing.T) {
	m1 := newMember(t, "n1", Options{Bootstrap: true})
	m1.mustOpen()
	m1.run()
	g := group{m1}
	g.ready()
	a, _ := g.configure()
	m1.record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1), Instance: a})

	token := g.joinToken(time.Hour)
	m2 := newMember(t, "n2", Options{JoinToken: token, Join: []string{"127.0.0.1:1", m1.node.Addr()}})
	m2.mustOpen()
	m2.run()
	g = append(g, m2)
	g.ready()
	within(t, 20*time.Second, "n2 has no vote", func() bool { return m2.node.Info().Voter })
	m2.sync()
	if got, ok := m2.state.Lookup(testKey(1)); !ok || got.Instance != a {
		t.Errorf("n2: %v %v", got, ok)
	}
	if _, err := os.Stat(filepath.Join(m2.dir.TLSDir(), pendingKeyFile)); !os.IsNotExist(err) {
		t.Errorf("the join key is still there: %v", err)
	}
	// The third joins through the second, which need not lead.
	m3 := newMember(t, "n3", Options{JoinToken: g.joinToken(time.Hour), Join: []string{m2.node.Addr()}})
	m3.mustOpen()
	m3.run()
	g = append(g, m3)
	g.ready()
	within(t, 20*time.Second, "n3 has no vote", func() bool { return m3.node.Info().Voter })
	// With three votes one may go.
	m1.crash()
	m3.record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(2), Instance: a})
	m3.halt()
	m3.opt.JoinToken = ""
	m3.again()
	m3.sync()
}

func TestJoinTokenRefusals(t *testing.T) {
	g := startGroup(t, 3)
	addr := g[1].node.Addr()
	other := newMember(t, "o1", Options{Bootstrap: true})
	other.mustOpen()
	other.run()
	group{other}.ready()

	used := g.joinToken(time.Hour)
	first := newMember(t, "n4", Options{JoinToken: used, Join: []string{addr}})
	first.mustOpen()
	first.run()
	within(t, 20*time.Second, "n4 does not join", func() bool { return first.node.Info().Voter })

	parse := func(s string) *pki.JoinToken {
		tok, err := pki.ParseJoinToken(s, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		return tok
	}
	wrongSecret := parse(g.joinToken(time.Hour))
	wrongSecret.Secret[0] ^= 1
	unknown := parse(g.joinToken(time.Hour))
	unknown.ID = "zzzzzzzz"
	revoked := parse(g.joinToken(time.Hour))
	if r, err := g[0].node.Propose(ctxFor(t, 15*time.Second), &fsm.TokenDrop{ID: revoked.ID}); err != nil || r.Code != fsm.CodeOK {
		t.Fatal(r, err)
	}
	late := parse(g.joinToken(time.Second))
	within(t, 20*time.Second, "replicated time stands still", func() bool {
		_, err := g[0].node.Propose(ctxFor(t, 15*time.Second), &fsm.TokenDrop{ID: "x"})
		return err == nil && g[0].state.Now().After(late.Expires)
	})
	late.Expires = time.Now().Add(time.Hour) // the joining node believes it, the group does not
	before := len(g[0].node.membership().Servers)

	for name, c := range map[string]struct{ node, token, want string }{
		"used by another key": {"n5", used, "has been used"},
		"wrong secret":        {"n5", wrongSecret.String(), "unknown"},
		"unknown":             {"n5", unknown.String(), "unknown"},
		"revoked":             {"n5", revoked.String(), "unknown"},
		"expired":             {"n5", late.String(), "expired"},
		"name of a live node": {"n1", g.joinToken(time.Hour), "already"},
		"mistyped":            {"n5", used[:len(used)-2], "join token"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMember(t, c.node, Options{JoinToken: c.token, Join: []string{addr}})
			m.mustOpen()
			if err := m.runFor(20 * time.Second); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			} else if strings.Contains(err.Error(), c.token) {
				t.Errorf("the error shows the token: %v", err)
			}
		})
	}
	t.Run("other group", func(t *testing.T) {
		tok, err := other.node.NewJoinToken(ctxFor(t, 15*time.Second), time.Hour, "")
		if err != nil {
			t.Fatal(err)
		}
		m := newMember(t, "n5", Options{JoinToken: tok, Join: []string{addr}})
		m.mustOpen()
		if err := m.runFor(time.Second); err != nil || m.node.ID() != "" {
			t.Errorf("got %v and id %q: the token's secret went to another group", err, m.node.ID())
		}
		if got, _ := other.state.TokenByID(parse(tok).ID); got.UsedBy != nil {
			t.Error("the token was used")
		}
	})
	if now := len(g[0].node.membership().Servers); now != before {
		t.Errorf("%d members, there were %d", now, before)
	}
}

// TestTokenRetryWithTheSameKey: the node died before the reply reached it.
func TestTokenRetryWithTheSameKey(t *testing.T) {
	g := startGroup(t, 1)
	text := g.joinToken(time.Hour)
	tok, err := pki.ParseJoinToken(text, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	m := newMember(t, "n2", Options{JoinToken: text, Join: []string{g[0].node.Addr()}})
	m.mustOpen()
	key, err := pendingKey(m.dir.TLSDir())
	if err != nil {
		t.Fatal(err)
	}
	csr, err := pki.CSR(key, "n2", tok.GroupID)
	if err != nil {
		t.Fatal(err)
	}
	request := encodeJSON(tokenRequest{ID: tok.ID, Secret: tok.Secret[:], CSR: csr, release: g[0].node.says})
	if _, err := g[0].node.handleToken(ctxFor(t, 10*time.Second), caller{}, request); err != nil {
		t.Fatal(err)
	}
	m.run() // the same key from the file
	append(g, m).ready()
}

func TestNodeThatLostItsDiskReplacesItself(t *testing.T) {
	g := startGroup(t, 3)
	a, _ := g.configure()
	g[0].record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1), Instance: a})
	lost := g.followers()[0]
	oldID := lost.node.ID()
	lost.crash()
	if err := os.RemoveAll(lost.opt.TLSDir); err != nil {
		t.Fatal(err)
	}
	lost.again() // with its first flags
	within(t, 30*time.Second, "it does not come back", func() bool { return lost.node.Ready() == nil && lost.node.Info().Voter })
	if lost.node.ID() == oldID {
		t.Error("it has its old id without its old votes")
	}
	lost.sync()
	if got, ok := lost.state.Lookup(testKey(1)); !ok || got.Instance != a {
		t.Errorf("session: %v %v", got, ok)
	}
	if servers := g[0].node.membership().Servers; len(servers) != 3 {
		t.Errorf("members: %v", servers)
	}
}

func TestChangedAddressIsAnnounced(t *testing.T) {
	g := startGroup(t, 3)
	moved := g.followers()[0]
	moved.halt()
	moved.opt.PeerAddr = "127.0.0.1:0"
	moved.again()
	within(t, 20*time.Second, "the new address is not in the membership", func() bool {
		for _, s := range g.leader().node.membership().Servers {
			if nameOf(s.ID) == moved.opt.Name {
				return string(s.Address) == moved.node.Addr()
			}
		}
		return false
	})
	moved.sync()
}

func TestMembersAndInfo(t *testing.T) {
	g := startGroup(t, 3)
	ms := g[0].node.Members(context.Background())
	leaders := 0
	for _, m := range ms {
		if !m.Reachable || !m.Voter || m.Info.Version != "test" || m.Info.Name != m.Name || m.Info.GroupID == "" {
			t.Errorf("%+v", m)
		}
		if m.Skew < -2*time.Second || m.Skew > 2*time.Second {
			t.Errorf("%s: skew %v on one machine", m.Name, m.Skew)
		}
		if m.Leader {
			leaders++
		}
	}
	if len(ms) != 3 || leaders != 1 {
		t.Errorf("%d members, %d leaders", len(ms), leaders)
	}
	gone := g.followers()[0]
	gone.crash()
	asker := g.leader()
	start := time.Now()
	for _, m := range asker.node.Members(context.Background()) {
		if want := m.Name != gone.opt.Name; m.Reachable != want && want {
			t.Errorf("%s: reachable %v: %s", m.Name, m.Reachable, m.Error)
		} else if !want && (m.Reachable || m.Error == "" || !m.Refused) {
			t.Errorf("%s is said to be reachable, or not to refuse: %s", m.Name, m.Error)
		}
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestOpenRefusesWhatCannotBe(t *testing.T) {
	m := newMember(t, "n1", Options{Bootstrap: true})
	m.mustOpen()
	m.run()
	group{m}.ready()
	m.halt()
	named := m.opt
	for name, c := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"other name":         {func(o *Options) { o.Name = "n2" }, "belongs to node n1"},
		"other group":        {func(o *Options) { o.Group = "shop" }, "belongs to group holdfast"},
		"bad name":           {func(o *Options) { o.Name = "a/b" }, "node name"},
		"wildcard":           {func(o *Options) { o.PeerAddr = "0.0.0.0:0" }, "--advertise"},
		"wildcard 6":         {func(o *Options) { o.PeerAddr = "[::]:0" }, "--advertise"},
		"advertise wildcard": {func(o *Options) { o.Advertise = "0.0.0.0:7701" }, "wildcard"},
		"bad join":           {func(o *Options) { o.Join = []string{"nowhere"} }, "HOST:PORT"},
		"bad timing":         {func(o *Options) { o.Timing = "slow" }, "timing"},
		"both bootstraps":    {func(o *Options) { o.BootstrapExpect = 3 }, "exclude"},
	} {
		t.Run(name, func(t *testing.T) {
			m.opt = named
			c.change(&m.opt)
			err := m.open()
			if err == nil {
				t.Fatal("opened")
			}
			m.node = nil
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v: want %q in it", err, c.want)
			}
		})
	}
	m.opt = named
	if err := os.Remove(filepath.Join(m.opt.TLSDir, "data", "tls", "node.pem")); err != nil {
		t.Fatal(err)
	}
	if err := m.open(); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without a certificate: %v", err)
	}
	m.node = nil
}
