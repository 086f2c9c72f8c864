package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// TestListenerThatNobodyCanBind: a mistake in the configuration, which every node finds the same, takes the address off none. Those listeners that are bound
// go on, and a node that leaves finds a successor.
func TestListenerThatNobodyCanBind(t *testing.T) {
	g, link := startHolders(t)
	instance := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "served") }))
	t.Cleanup(instance.Close)
	g.configure(t, instance.URL)
	first := link.holder(t, g)
	old := g.byName(first)
	steps := len(link.since(0))

	_, peer, err := net.SplitHostPort(old.node.Addr())
	if err != nil {
		t.Fatal(err)
	}
	c := *old.state.Revision().Config
	c.Listeners = append(slices.Clone(c.Listeners), c.Listeners[0])
	c.Listeners[1].Name, c.Listeners[1].Address = "taken", ":"+peer
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if r, err := old.node.Propose(ctx, &fsm.ConfigSet{Config: &c, Expect: old.state.Revision().Number, Actor: "test"}); err != nil || r.Code != fsm.CodeOK {
		t.Fatalf("%+v %v", r, err)
	}
	for _, s := range g.servers {
		eventually(t, "every node has found it", func() error {
			if r := s.addressReport(); r.Eligible || !r.Flawed || !strings.Contains(r.Reason, "listener taken") {
				return fmt.Errorf("node %s says %+v", s.config.Name, r)
			}
			return nil
		})
	}
	said := func() error {
		if !strings.Contains(g.logs[slices.Index(g.servers, old)].String(), "another node had better hold the virtual address") {
			return fmt.Errorf("node %s does not look for a better one", first)
		}
		return nil
	}
	eventually(t, "the holder looks for a better one", said)
	if story := link.since(steps); len(story) != 0 {
		t.Errorf("for a listener that nobody can bind:\n  %s", strings.Join(story, "\n  "))
	}

	g.stop[slices.Index(g.servers, old)]()
	to := link.holder(t, g, first)
	eventually(t, "the old holder has dropped", func() error {
		if n := len(link.since(steps)); n < 4 {
			return fmt.Errorf("%d steps", n)
		}
		return nil
	})
	wantHandOver(t, link.since(steps)[:4], first, to)
}
