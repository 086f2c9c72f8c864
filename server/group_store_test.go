package server

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

const storeText = `
clusters:
  - name: shop
    affinity: {type: learn}
    modules: [{contextRoot: /shop, store: {sessions: true, kv: true, maxValue: 64KiB, maxBytes: 8MiB}}]
    instances: [{name: i1, listeners: ["http://127.0.0.1:9"]}]
`

var shop = client.ModuleName{Cluster: "shop", ContextRoot: "/shop"}

// store is a client of one node alone.
func (g *testGroup) store(tb testing.TB, i int) *client.Client {
	tb.Helper()
	c, err := client.New(client.Options{URLs: []string{"http://" + g.servers[i].config.AdminAddr}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

// code is that of a problem, or "" for none.
func code(err error) string {
	var p *client.Problem
	if errors.As(err, &p) {
		return p.Code
	}
	return ""
}

// TestGroupKeepsSessionData: TC-02, TC-06, TC-27, WAS-26. What an instance writes through one node every node has, in one version; and a restart of all of them loses nothing.
func TestGroupKeepsSessionData(t *testing.T) {
	g := startGroup(t, 3)
	g.apply(t, g.servers[0], storeText)
	ctx := t.Context()
	tag, err := g.store(t, 0).PutSessionData(ctx, shop, "ABC.i1", client.Value{Data: []byte("cart of ann"), Type: "text/plain"}, 0, client.WriteIf{})
	if err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		for i := range g.servers {
			v, err := g.store(t, i).SessionData(ctx, shop, "ABC")
			if err != nil || string(v.Data) != "cart of ann" || v.Type != "text/plain" || v.ETag != tag || v.Expires.IsZero() {
				t.Fatalf("node %d: %+v, %v", i+1, v, err)
			}
		}
	}
	check()
	for i := range g.servers {
		g.restart(t, i)
	}
	for _, s := range g.servers {
		eventually(t, "the group is back", s.ready)
	}
	check()
	key, err := g.servers[0].balancer.SessionKey("shop", "", "/shop", "ABC")
	if err != nil {
		t.Fatal(err)
	}
	if v, err := g.store(t, 1).DataOfKey(ctx, key.String()); err != nil || string(v.Data) != "cart of ann" {
		t.Errorf("%+v, %v", v, err)
	}
}

// TestStoreOneWriterWins: writers at all three nodes take the same version as the base of theirs: of each round exactly one wins.
func TestStoreOneWriterWins(t *testing.T) {
	g := startGroup(t, 3)
	g.apply(t, g.servers[0], storeText)
	const rounds, each = 20, 2
	var clients []*client.Client
	for i := range g.servers {
		clients = append(clients, g.store(t, i))
	}
	tag, err := clients[0].PutKey(t.Context(), shop, "n", client.Value{Data: []byte("0")}, 0, client.WriteIf{Absent: true})
	if err != nil {
		t.Fatal(err)
	}
	for round := range rounds {
		var mu sync.Mutex
		var won []string
		var all sync.WaitGroup
		for i, c := range clients {
			for j := range each {
				all.Go(func() {
					next, err := c.PutKey(t.Context(), shop, "n", client.Value{Data: fmt.Appendf(nil, "%d of %d/%d", round, i, j)}, 0, client.WriteIf{ETag: tag})
					switch {
					case err == nil:
						mu.Lock()
						won = append(won, next)
						mu.Unlock()
					case code(err) != wire.CodePreconditionFailed:
						t.Errorf("round %d: %v", round, err)
					}
				})
			}
		}
		all.Wait()
		if len(won) != 1 {
			t.Fatalf("round %d: %d writers have won: %q", round, len(won), won)
		}
		tag = won[0]
	}
}

// kill ends a node as the death of its process does.
func (g *testGroup) kill(tb testing.TB, i int) {
	tb.Helper()
	if err := g.servers[i].node.Kill(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	g.stop[i]()
	<-g.done[i] // it says that its member of the group is gone
	if err := g.servers[i].Close(); err != nil {
		tb.Error(err)
	}
}

// TestStoreLosesNoAcknowledgedWrite: leaders end in the middle of writes, again and again; what was acknowledged is there, in its order, on every node.
func TestStoreLosesNoAcknowledgedWrite(t *testing.T) {
	g := startGroup(t, 3)
	g.apply(t, g.servers[0], storeText)
	number := func(n int) []byte { return []byte(strconv.Itoa(n)) }
	g.writeUnder(t, 4, 4, number, func(round int) (ended int) {
		leader := g.leader(t)
		if round%2 == 0 {
			g.kill(t, leader)
		} else {
			g.halt(t, leader)
		}
		return leader
	})
}

// TestStoreWatchOnAnotherNode: TC-07. Who waits at one node hears of what is written at another.
func TestStoreWatchOnAnotherNode(t *testing.T) {
	g := startGroup(t, 3)
	g.apply(t, g.servers[0], storeText)
	c := g.store(t, 1)
	seen, err := c.Keys(t.Context(), shop, client.KeyFilter{})
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan error, 1)
	go func() {
		for since := seen.Index; ; {
			list, err := c.Keys(t.Context(), shop, client.KeyFilter{ChangedSince: since, Wait: 30 * time.Second, Values: true})
			if err != nil || len(list.Keys) == 1 && string(list.Keys[0].Data) == "hello" {
				heard <- err
				return
			}
			since = list.Index
		}
	}()
	if _, err := g.store(t, 2).PutKey(t.Context(), shop, "motd", client.Value{Data: []byte("hello")}, 0, client.WriteIf{}); err != nil {
		t.Fatal(err)
	}
	if err := <-heard; err != nil {
		t.Fatal(err)
	}
}

// TestStoreIsSwept: what is over goes although nobody writes.
func TestStoreIsSwept(t *testing.T) {
	g := startGroup(t, 1)
	g.apply(t, g.servers[0], storeText)
	if _, err := g.store(t, 0).PutKey(t.Context(), shop, "short", client.Value{Data: []byte("x")}, time.Second, client.WriteIf{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the key is swept", func() error {
		if use, total := g.servers[0].state.StoreUse(); total != 0 {
			return fmt.Errorf("%+v", use)
		}
		return nil
	})
	if v := g.servers[0].state.Stored(fsm.StoreKey{Space: fsm.SpaceKV, Module: 1, Key: "short"}); v != nil {
		t.Errorf("%+v", v)
	}
}
