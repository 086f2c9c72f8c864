package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/proc"
	"github.com/holdfast-lb/holdfast/chaos/stage"
)

const copiesConfig = `
clusters:
  - name: shop
    affinity: {type: learn}
    modules: [{contextRoot: /shop, store: {kv: true, copies: 2, maxValue: 1MiB, maxBytes: 64MiB}}]
    instances: [{name: i1, listeners: ["http://127.0.0.1:9"]}]
`

var copiesModule = client.ModuleName{Cluster: "shop", ContextRoot: "/shop"}

// counter counts a key up, in values of 64 KiB, through one node after the other, and looks after each write through the next one.
type counter struct {
	key   string
	nodes []*group.Node
	acked int // the last number that was acknowledged, or seen
	count atomic.Int64
}

func numbered(n int) []byte {
	return append([]byte(strconv.Itoa(n)+" "), bytes.Repeat([]byte{byte(n)}, 64<<10)...)
}

// at is a client of the node of a turn, or of the next one that runs: one whose process is dead would only be waited for.
func (c *counter) at(turn int) *client.Client {
	for i := range c.nodes {
		if n := c.nodes[(turn+i)%len(c.nodes)]; n.Alive() {
			return n.Client
		}
	}
	return c.nodes[turn%len(c.nodes)].Client
}

// run goes on until ctx ends; the error is a value that was lost or is an old one.
func (c *counter) run(ctx context.Context) error {
	for n := 0; ctx.Err() == nil; n++ {
		_, err := c.at(n).PutKey(ctx, copiesModule, c.key, client.Value{Data: numbered(c.acked + 1)}, 0, client.WriteIf{})
		if err == nil {
			c.acked++
			c.count.Add(1)
		}
		v, err := c.at(n+1).Key(ctx, copiesModule, c.key)
		var p *client.Problem
		switch {
		case err == nil && bytes.Equal(v.Data, numbered(c.acked)):
		case err == nil && bytes.Equal(v.Data, numbered(c.acked+1)): // done, though nobody heard of it
			c.acked++
		case err == nil:
			return fmt.Errorf("key %s has %.12q after %d was acknowledged", c.key, v.Data, c.acked)
		case errors.As(err, &p) && (p.Code == "value-lost" || p.Code == "not-found" && c.acked > 0):
			return fmt.Errorf("key %s is lost after %d was acknowledged: %w", c.key, c.acked, err)
		}
	}
	return nil
}

// TestCopiesOutliveKills: TC-28. Nodes are killed one after the other while values of 64 KiB are written, of which two nodes each have the bytes: nothing that was acknowledged is lost, and no old value is read.
func TestCopiesOutliveKills(t *testing.T) {
	for _, nodes := range []int{3, 5} {
		t.Run(strconv.Itoa(nodes), func(t *testing.T) { copiesOutliveKills(t, nodes) })
	}
}

func copiesOutliveKills(t *testing.T, nodes int) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	s := set(t, ctx, program, stage.Options{Nodes: nodes, Instances: 1})
	if err := s.Group.Apply(ctx, copiesConfig); err != nil {
		t.Fatal(err)
	}
	loaded, stop := context.WithCancel(ctx)
	defer stop()
	var counters []*counter
	var all sync.WaitGroup
	for i := range 4 {
		c := &counter{key: fmt.Sprint("k", i)}
		for j := range s.Group.Nodes {
			c.nodes = append(c.nodes, s.Group.Nodes[(i+j)%nodes])
		}
		counters = append(counters, c)
		all.Go(func() {
			if err := c.run(loaded); err != nil {
				t.Error(err)
			}
		})
	}
	more := func() {
		t.Helper()
		for _, c := range counters {
			want := c.count.Load() + 2
			if err := proc.Poll(ctx, 10*time.Millisecond, func() error {
				if n := c.count.Load(); n < want && !t.Failed() {
					return fmt.Errorf("%d writes of key %s, waiting for %d", n, c.key, want)
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		}
	}
	more()
	for _, n := range s.Group.Nodes {
		killOne(t, ctx, n, more)
	}
	stop()
	all.Wait()
	for _, c := range counters {
		t.Logf("key %s: %d writes were acknowledged", c.key, c.count.Load())
		for _, n := range s.Group.Nodes {
			if err := proc.Poll(ctx, 50*time.Millisecond, func() error {
				v, err := n.Client.Key(ctx, copiesModule, c.key)
				if err == nil && !bytes.Equal(v.Data, numbered(c.acked)) && !bytes.Equal(v.Data, numbered(c.acked+1)) {
					t.Errorf("node %s has %.12q of key %s, %d was acknowledged", n.Name, v.Data, c.key, c.acked)
				}
				return err
			}); err != nil {
				t.Error(err)
			}
		}
	}
}

// killOne kills a node; writes go on without it, and it comes back.
func killOne(t *testing.T, ctx context.Context, n *group.Node, more func()) {
	t.Helper()
	n.Kill()
	more()
	if err := n.Restart(ctx); err != nil {
		t.Error(err)
	}
	more()
}
