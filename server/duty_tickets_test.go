package server

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/certs"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// TestTicketKeysTakeTurns: there is a key while a listener speaks TLS, a new one every twelve hours whoever leads, and none otherwise; none is in clear.
func TestTicketKeysTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGroup()
		group := &fsm.Group{ID: "g", Secret: bytes.Repeat([]byte{7}, 32)}
		lead := func(node string) func() {
			tm := g.term(node)
			return g.lead(tm, ticketDuty{tm, func() *fsm.Group { return group }})
		}
		keys := func() []fsm.TicketKey { synctest.Wait(); return g.Operating().TicketKeys }
		kill := lead("n1")
		time.Sleep(100 * time.Hour)
		if n := len(keys()); n != 0 {
			t.Errorf("%d keys without TLS", n)
		}
		g.change(func(op *fsm.Operating) {
			c := *op.Config
			c.Listeners = []config.Listener{{Name: "webs", Protocol: "https"}}
			op.Config = &c
		})
		time.Sleep(time.Second)
		first := keys()
		if len(first) != 1 {
			t.Fatalf("%d keys", len(first))
		}
		root, err := certs.OpenTicketKey(group.Secret, first[0].Key)
		if err != nil || len(root) != 32 || bytes.Contains(first[0].Key, root) {
			t.Errorf("%v", err)
		}
		time.Sleep(11 * time.Hour)
		if n := len(keys()); n != 1 {
			t.Errorf("%d keys after eleven hours", n)
		}
		kill()
		kill = lead("n2")
		time.Sleep(2 * time.Hour)
		if n := len(keys()); n != 2 {
			t.Errorf("%d keys after thirteen hours", n)
		}
		g.mu.Lock()
		g.refuse = func(fsm.Command) error { return errAway }
		g.mu.Unlock()
		time.Sleep(12 * time.Hour)
		if n := len(keys()); n != 2 {
			t.Errorf("%d keys without a way to the group", n)
		}
		g.mu.Lock()
		g.refuse = nil
		g.mu.Unlock()
		time.Sleep(2 * time.Second)
		if n := len(keys()); n != 3 {
			t.Errorf("%d keys when the group is back", n)
		}
		kill()
		wantCount[*fsm.TicketKeyPut](t, g, 3)
	})
}
