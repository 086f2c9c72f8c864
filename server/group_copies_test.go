package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

const copiesText = `
clusters:
  - name: shop
    affinity: {type: learn}
    modules: [{contextRoot: /shop, store: {sessions: true, kv: true, copies: 2, maxValue: 1MiB, maxBytes: 64MiB}}]
    instances: [{name: i1, listeners: ["http://127.0.0.1:9"]}]
`

func soon(c *Config) { c.patience = 500 * time.Millisecond }

// large is a value of some KiB that begins with its number.
func large(n, kib int) []byte {
	return append(fmt.Appendf(nil, "%d ", n), bytes.Repeat([]byte{byte(n)}, kib<<10)...)
}

func (g *testGroup) putLarge(tb testing.TB, at int, key string, data []byte) string {
	tb.Helper()
	tag, err := g.store(tb, at).PutKey(tb.Context(), shop, key, client.Value{Data: data, Type: "application/octet-stream"}, 0, client.WriteIf{})
	if err != nil {
		tb.Fatal(err)
	}
	return tag
}

func (g *testGroup) wantLarge(tb testing.TB, at int, key string, data []byte) {
	tb.Helper()
	v, err := g.store(tb, at).Key(tb.Context(), shop, key)
	if err != nil || !bytes.Equal(v.Data, data) {
		tb.Fatalf("node %d, key %s: %d bytes, %v; want %d", at+1, key, len(v.Data), err, len(data))
	}
}

func kvOf(key string) fsm.StoreKey { return fsm.StoreKey{Space: fsm.SpaceKV, Module: 1, Key: key} }

// holdersOf are the places of the nodes that should have a value.
func (g *testGroup) holdersOf(tb testing.TB, at int, key string) (list []int) {
	tb.Helper()
	v := g.servers[at].state.Stored(kvOf(key))
	if v == nil || v.Copy == nil {
		tb.Fatalf("key %s: %+v", key, v)
	}
	for i, s := range g.servers {
		if slices.ContainsFunc(v.Copy.Holders, func(id string) bool { return memberName(id) == s.config.Name }) {
			list = append(list, i)
		}
	}
	return list
}

// files are the values on the disk of a node.
func (g *testGroup) files(i int) map[string]bool {
	found := map[string]bool{}
	names, _ := filepath.Glob(filepath.Join(g.servers[i].config.DataDir, copiesDir, "??", "*"))
	for _, n := range names {
		found[filepath.Base(n)] = true
	}
	return found
}

func fileOf(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }

// TestGroupCopies: TC-28. A value of a module with copies: 2 is on the disks of two nodes of three, read through each, in no log; small ones stay in the log, deltas and conditions are as with all others.
func TestGroupCopies(t *testing.T) {
	g := startGroup(t, 3)
	g.apply(t, g.servers[0], copiesText)
	for n := range 6 {
		key, data := fmt.Sprint("k", n), large(n, 100)
		tag := g.putLarge(t, n%3, key, data)
		for i := range g.servers {
			g.wantLarge(t, i, key, data)
			if v, err := g.store(t, i).Key(t.Context(), shop, key); err != nil || v.ETag != tag {
				t.Errorf("%+v, %v", v.ETag, err)
			}
		}
		holders := g.holdersOf(t, n%3, key)
		for i := range g.servers {
			if g.files(i)[fileOf(data)] != slices.Contains(holders, i) || len(holders) != 2 {
				t.Errorf("key %s: node %d has a file: %v; holders %v", key, i+1, g.files(i)[fileOf(data)], holders)
			}
		}
		if _, err := g.store(t, 0).PutKey(t.Context(), shop, key, client.Value{Data: data}, 0, client.WriteIf{Absent: true}); code(err) != wire.CodePreconditionFailed {
			t.Errorf("%v", err)
		}
	}
	g.putLarge(t, 1, "small", []byte("hello"))
	if v := g.servers[1].state.Stored(kvOf("small")); v.Copy != nil || string(v.Data) != "hello" {
		t.Errorf("%+v", v)
	}
	c := g.store(t, 2)
	session := client.Value{Data: fmt.Appendf(nil, `{"a":1,"b":%q}`, strings.Repeat("b", 5000)), Type: "application/json"}
	if _, err := c.PutSessionData(t.Context(), shop, "S.i1", session, 0, client.WriteIf{}); err != nil {
		t.Fatal(err)
	}
	patch, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, "http://"+g.servers[0].config.AdminAddr+"/v1/session-data/shop", strings.NewReader(`{"a":2}`))
	if err != nil {
		t.Fatal(err)
	}
	patch.Header.Set("Content-Type", "application/merge-patch+json")
	patch.Header.Set("Holdfast-Session", "S")
	resp, err := http.DefaultClient.Do(patch)
	if err != nil || resp.StatusCode != http.StatusNoContent {
		t.Fatalf("%+v, %v", resp, err)
	}
	_ = resp.Body.Close()
	if v, err := c.SessionData(t.Context(), shop, "S"); err != nil || !bytes.HasPrefix(v.Data, []byte(`{"a":2,"b":"bbb`)) || v.Type != "application/json" {
		t.Errorf("%.40s, %v", v.Data, err)
	}
	list, err := c.Keys(t.Context(), shop, client.KeyFilter{Values: true})
	if err != nil || len(list.Keys) != 7 || !bytes.Equal(list.Keys[3].Data, large(3, 100)) || list.Keys[3].Bytes != len(large(3, 100)) {
		t.Errorf("%d keys, %v", len(list.Keys), err)
	}
}

// TestGroupCopiesOutliveANode: a holder that ends for good is replaced by another node, what it missed it gets when it comes back, and whatever was on it is there all the time.
func TestGroupCopiesOutliveANode(t *testing.T) {
	g := startGroup(t, 3, soon)
	g.apply(t, g.servers[0], copiesText)
	const keys = 9
	for n := range keys {
		g.putLarge(t, n%3, fmt.Sprint("k", n), large(n, 20))
	}
	leader := g.leader(t)
	dead := (leader + 1) % 3
	g.kill(t, dead)
	for n := range keys {
		g.wantLarge(t, leader, fmt.Sprint("k", n), large(n, 20))
	}
	eventually(t, "every value has two living holders", func() error {
		for n := range keys {
			if h := g.holdersOf(t, leader, fmt.Sprint("k", n)); slices.Contains(h, dead) || len(h) != 2 {
				return fmt.Errorf("key %d: %v", n, h)
			}
		}
		return nil
	})
	for i := range g.servers {
		for n := range keys {
			if i != dead && !g.files(i)[fileOf(large(n, 20))] {
				t.Errorf("node %d lacks value %d", i+1, n)
			}
		}
	}
	g.putLarge(t, leader, "k0", large(100, 20))
	g.again(t, dead)
	eventually(t, "it is back", g.servers[dead].ready)
	g.wantLarge(t, dead, "k0", large(100, 20))
	for n := 1; n < keys; n++ {
		g.wantLarge(t, dead, fmt.Sprint("k", n), large(n, 20))
	}
}

// TestGroupCopiesLost: when both disks are gone a value is lost: reads say so, an event does, nobody gets an old value, and the key can be written again. What one of them still has is mended.
func TestGroupCopiesLost(t *testing.T) {
	g := startGroup(t, 3, soon)
	g.apply(t, g.servers[0], copiesText)
	g.putLarge(t, 0, "lost", large(1, 20))
	g.putLarge(t, 0, "lost", large(2, 20)) // an older one was there
	g.putLarge(t, 0, "kept", large(3, 20))
	for i := range g.servers {
		wipe(t, g, i, large(1, 20))
		wipe(t, g, i, large(2, 20))
	}
	wipe(t, g, g.holdersOf(t, 0, "kept")[0], large(3, 20))
	for i := range g.servers {
		g.wantLarge(t, i, "kept", large(3, 20))
	}
	eventually(t, "the loss is known", func() error {
		_, err := g.store(t, 1).Key(t.Context(), shop, "lost")
		if code(err) == wire.CodeValueLost {
			return nil
		}
		if err == nil {
			t.Fatal("there is a value")
		}
		return err
	})
	events := g.servers[1].state.Events(0, 1000)
	if !slices.ContainsFunc(events, func(e fsm.Event) bool { return e.Kind == fsm.EventStoreLost && e.Cluster == "shop" }) {
		t.Errorf("%+v", events)
	}
	if _, err := g.store(t, 0).PutKey(t.Context(), shop, "lost", client.Value{Data: large(4, 20)}, 0, client.WriteIf{Absent: true}); err != nil {
		t.Fatal(err)
	}
	g.wantLarge(t, 2, "lost", large(4, 20))
	eventually(t, "the other value has its second copy again", func() error {
		for _, i := range g.holdersOf(t, 0, "kept") {
			if !g.files(i)[fileOf(large(3, 20))] {
				return fmt.Errorf("node %d has it not", i+1)
			}
		}
		return nil
	})
}

// wipe takes a value off the disk of a node, as a new disk would, and lets the node see it.
func wipe(t *testing.T, g *testGroup, i int, data []byte) {
	t.Helper()
	name := fileOf(data)
	if err := os.Remove(filepath.Join(g.servers[i].config.DataDir, copiesDir, name[:2], name)); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	g.servers[i].forgetCopy(sha256.Sum256(data))
}

// forgetCopy has the shelf find out what is on the disk.
func (s *Server) forgetCopy(h [32]byte) {
	_, _ = s.copies.Get(context.Background(), &fsm.Copy{Hash: h, Size: 1})
}

// TestGroupCopiesMoveBeforeRemoval: a node that is removed leaves its values to others first; one that alone has some is not removed unless that is forced.
func TestGroupCopiesMoveBeforeRemoval(t *testing.T) {
	g := startGroup(t, 4)
	g.apply(t, g.servers[0], copiesText)
	for n := range 8 {
		g.putLarge(t, n%3, fmt.Sprint("k", n), large(n, 20))
	}
	leader := g.leader(t)
	gone := (leader + 1) % 4
	other := (leader + 2) % 4
	if _, err := g.store(t, other).RemoveNode(t.Context(), g.servers[gone].config.Name, true); err != nil {
		t.Fatal(err)
	}
	for n := range 8 {
		eventually(t, "the value has other holders", func() error {
			if h := g.holdersOf(t, leader, fmt.Sprint("k", n)); slices.Contains(h, gone) || len(h) != 2 {
				return fmt.Errorf("%v", h)
			}
			return nil
		})
		g.wantLarge(t, other, fmt.Sprint("k", n), large(n, 20))
	}
	if err := <-g.done[gone]; err == nil || !strings.Contains(err.Error(), "this node was removed from its group") {
		t.Errorf("the node that was removed ended with %v", err)
	}
	g.done[gone] <- nil
}

// TestGroupCopiesKeepTheLastOne: a node that alone has a value is not removed, though another one is named too: that one has lost it, and no disk takes it.
func TestGroupCopiesKeepTheLastOne(t *testing.T) {
	g := startGroup(t, 4)
	g.apply(t, g.servers[0], copiesText)
	g.putLarge(t, 0, "k", large(1, 20))
	leader := g.leader(t)
	holders := g.holdersOf(t, leader, "k")
	leaves := holders[0]
	if leaves == leader {
		leaves = holders[1]
	}
	for i, s := range g.servers {
		if i == leaves {
			continue
		}
		dir := filepath.Join(s.config.DataDir, copiesDir)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		s.forgetCopy(sha256.Sum256(large(1, 20)))
		if err := os.WriteFile(dir, nil, 0o600); err != nil { // what is no directory takes nothing
			t.Fatal(err)
		}
	}
	if _, err := g.store(t, leader).RemoveNode(t.Context(), g.servers[leaves].config.Name, false); err == nil || !strings.Contains(err.Error(), "would be lost with it") {
		t.Errorf("the node that alone has a value was removed: %v", err)
	}
	g.wantLarge(t, leader, "k", large(1, 20))
}

// TestGroupCopiesUnderKills: writers at all nodes while one node after the other ends and comes back: what was acknowledged is what is read, always.
func TestGroupCopiesUnderKills(t *testing.T) {
	g := startGroup(t, 3, soon)
	g.apply(t, g.servers[0], copiesText)
	g.writeUnder(t, 3, 3, func(n int) []byte { return large(n, 4) }, func(round int) (ended int) {
		g.kill(t, round)
		return round
	})
}
