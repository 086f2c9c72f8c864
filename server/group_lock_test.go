package server

import (
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// TestTrafficGoesOnUnderTheLock: with the configuration locked, changes are refused through every node, and nothing else is: new sessions are recorded, known
// ones stay, and a quiesce that was running ends on time and moves its sessions. No request fails.
func TestTrafficGoesOnUnderTheLock(t *testing.T) { // TIP-15 to TIP-20
	g := startGroup(t, 3)
	one, two := newApp(t, "i1"), newApp(t, "i2")
	text := func(enabled bool) string {
		return fmt.Sprintf(`
listeners: [{name: web, address: ":%d"}]
clusters:
  - name: c1
    modules: [{contextRoot: /}]
    instances: [{name: i1, listeners: [%q], enabled: %v, quiesceTimeout: 10m}, {name: i2, listeners: [%q]}]
`, g.port, one, enabled, two)
	}
	g.apply(t, g.servers[0], text(true))
	v := visit(t, g.servers...)
	v.more(t, 20, 100)
	g.apply(t, g.servers[1], text(false))
	quiesce := g.servers[1].state.Operating().Quiesces[0]
	set := &fsm.QuiesceSet{ID: quiesce.ID, Subject: quiesce.Subject, Remaining: config.Duration(2 * time.Second), Actor: "test"}
	if r, err := (adminNode{g.servers[1]}).Propose(t.Context(), set); err != nil || r.Code != fsm.CodeOK {
		t.Fatalf("deadline of the quiesce: %+v, %v", r, err)
	}
	if r, err := (adminNode{g.servers[2]}).Propose(t.Context(), &fsm.LockSet{Owner: "ops", Reason: "upgrade of the modules"}); err != nil || r.Code != fsm.CodeOK {
		t.Fatalf("lock: %+v, %v", r, err)
	}
	revision := g.servers[2].state.Revision().Number
	c, err := config.Parse("test", []byte(text(true)))
	if err != nil {
		t.Fatal(err)
	}
	refused := func() {
		t.Helper()
		for _, s := range g.servers {
			r, err := adminNode{s}.Propose(t.Context(), &fsm.ConfigChange{Expect: revision, Actor: "test", Config: c})
			if err != nil || r.Code != fsm.CodeLocked || r.Lock == nil || r.Lock.Owner != "ops" || r.Lock.Reason != "upgrade of the modules" {
				t.Fatalf("node %s takes a change under the lock: %+v, %v", s.config.Name, r, err)
			}
		}
	}
	refused()
	v.more(t, 50, 300)
	instance := "i1"
	v.gone.Store(&instance) // from its deadline on; that none left before is the business of TestQuiesceSurvivesLeaderKills
	eventually(t, "the quiesce ends under the lock", func() error {
		if n := len(g.servers[0].state.Operating().Quiesces); n > 0 {
			return fmt.Errorf("%d run", n)
		}
		return nil
	})
	v.more(t, 50, 300)
	refused()
	id, _ := g.servers[0].state.InstanceID("c1", "i1")
	v.end()
	v.verdict(t)
	for _, s := range g.servers {
		eventually(t, "every node has every session", func() error {
			if n := s.state.Len(); n != int(v.begun.Load()) {
				return fmt.Errorf("node %s: %d sessions of %d", s.config.Name, n, v.begun.Load())
			}
			return nil
		})
	}
	for cookie, where := range v.last { // those that were left alone since the quiesce ended fail over when they come back
		body, _, err := v.ask(t.Context(), v.urls[0], cookie)
		if err != nil || body != "i2" {
			t.Fatalf("a session that was on %s: %q, %v", where, body, err)
		}
	}
	eventually(t, "nothing is left on the instance", func() error {
		if n := g.servers[0].state.Sessions(id); n > 0 {
			return fmt.Errorf("%d sessions", n)
		}
		return nil
	})
	if n := g.servers[0].state.Revision().Number; n != revision {
		t.Error("the configuration has changed under the lock")
	}
	if r, err := (adminNode{g.servers[0]}).Propose(t.Context(), &fsm.LockClear{Actor: "ops"}); err != nil || r.Code != fsm.CodeOK { // TIP-16
		t.Fatalf("unlock: %+v, %v", r, err)
	}
	g.apply(t, g.servers[0], text(true))
}
