package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// add starts a node of the group; n counts from 1 and gives its name and host.
func (g *testGroup) add(tb testing.TB, n, peer, admin int, settings func(*Config)) *Server {
	tb.Helper()
	c := Defaults()
	host := fmt.Sprintf("127.0.0.%d", n)
	c.Name, c.DataDir, c.BindAddress, c.LogLevel = fmt.Sprintf("n%d", n), tb.TempDir(), host, "warn"
	c.PeerAddr, c.AdminAddr = fmt.Sprintf("%s:%d", host, peer), fmt.Sprintf("%s:%d", host, admin)
	c.steady = 20 * time.Millisecond
	settings(&c)
	log := new(logBuffer)
	if g.out == nil {
		g.out = outputOf(tb)
	}
	s, err := New(c, io.MultiWriter(g.out, log))
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	i := len(g.servers)
	g.servers, g.stop, g.done, g.logs = append(g.servers, s), append(g.stop, cancel), append(g.done, done), append(g.logs, log)
	tb.Cleanup(func() {
		g.stop[i]()
		if err := <-g.done[i]; err != nil {
			tb.Error(err)
		}
		if err := g.servers[i].Close(); err != nil {
			tb.Error(err)
		}
	})
	eventually(tb, "the node is in the group", func() error { return errors.Join(s.ready(), s.node.Ready()) })
	return s
}

// TestOneNodeBecomesThree: a node that was started alone, with a configuration and sessions, takes two more in by join tokens while clients go on asking. Nothing
// is lost, no request fails, and then the first node is not needed any more.
func TestOneNodeBecomesThree(t *testing.T) { // UCD-19, UCD-14, UCD-24
	one, two := newApp(t, "i1"), newApp(t, "i2")
	g := &testGroup{port: freePort(t)}
	peer, admin := freePort(t), freePort(t)
	first := g.add(t, 1, peer, admin, func(c *Config) { c.Bootstrap = true })
	g.apply(t, first, fmt.Sprintf(`
listeners: [{name: web, address: ":%d"}]
clusters:
  - name: c1
    modules: [{contextRoot: /}]
    instances: [{name: i1, listeners: [%q]}, {name: i2, listeners: [%q]}]
`, g.port, one, two))
	eventually(t, "the listener is bound", func() error {
		if first.balancer.Addr("web") == nil {
			return errors.New("no listener")
		}
		return nil
	})
	hash := string(first.state.Revision().Config.Canonical())
	v := visit(t, first)
	v.more(t, 30, 150)
	for n := 2; n <= 3; n++ {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		token, err := first.node.NewJoinToken(ctx, time.Hour, "test")
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		s := g.add(t, n, peer, admin, func(c *Config) { c.JoinToken, c.Join = token, []string{first.config.PeerAddr} })
		eventually(t, "it has a vote and the listener", func() error {
			if !s.node.Info().Voter || s.balancer.Addr("web") == nil {
				return errors.New("not yet")
			}
			return nil
		})
		v.through(s)
		v.more(t, 30, 150)
	}
	for _, s := range g.servers {
		if got := string(s.state.Revision().Config.Canonical()); got != hash || s.state.Revision().Number != 1 {
			t.Errorf("node %s has another configuration", s.config.Name)
		}
	}
	v.end()
	v.verdict(t)
	everything := func() error {
		for _, s := range g.servers[1:] {
			if n := s.state.Len(); n != int(v.begun.Load()) {
				return fmt.Errorf("node %s: %d sessions of %d", s.config.Name, n, v.begun.Load())
			}
		}
		return nil
	}
	eventually(t, "the new nodes have every session", everything)
	g.stop[0]()
	eventually(t, "one of the new nodes leads", func() error {
		if name := g.servers[1].node.Info().Leader; name == "" || name == "n1" {
			return fmt.Errorf("leader is %q", name)
		}
		return nil
	})
	urls := v.urls[1:]
	i := 0
	for cookie, where := range v.last {
		if body, _, err := v.ask(t.Context(), urls[i%2], cookie); err != nil || body != where {
			t.Fatalf("a session of %s after the first node has gone: %q, %v", where, body, err)
		}
		i++
	}
	// The two can go on changing what the group holds.
	if r, err := (adminNode{g.servers[2]}).Propose(t.Context(), &fsm.LockSet{Owner: "ops"}); err != nil || r.Code != fsm.CodeOK {
		t.Errorf("%+v, %v", r, err)
	}
}
