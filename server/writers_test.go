package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

// keyWriter counts one key of the store up by compare-and-set, at one node after the other, and remembers the last number that was acknowledged. value is what stands for a number.
type keyWriter struct {
	key     string
	value   func(n int) []byte
	clients []*client.Client
	acked   int
	count   atomic.Int64 // is acked, for others to look at
	tag     string
}

// run writes and reads until ctx ends. Of what was sent and not answered nobody knows; nobody else writes this key, so that it is there or it is not, and nothing older is.
func (w *keyWriter) run(ctx context.Context, t *testing.T) {
	done := func(tag string) {
		w.acked, w.tag = w.acked+1, tag
		w.count.Add(1)
	}
	for n := 0; ctx.Err() == nil; n++ {
		c := w.clients[n%len(w.clients)]
		if tag, err := c.PutKey(ctx, shop, w.key, client.Value{Data: w.value(w.acked + 1)}, 0, client.WriteIf{ETag: w.tag, Absent: w.tag == ""}); err == nil {
			done(tag)
		}
		v, err := c.Key(ctx, shop, w.key)
		switch {
		case err == nil && bytes.Equal(v.Data, w.value(w.acked)):
		case err == nil && bytes.Equal(v.Data, w.value(w.acked+1)):
			done(v.ETag)
		case err == nil, code(err) == wire.CodeValueLost, code(err) == wire.CodeNotFound && w.acked > 0:
			t.Errorf("key %s is %.10q, %v after %d was acknowledged", w.key, v.Data, err, w.acked)
			return
		}
	}
}

// writeUnder has writers at all nodes of three while hurt ends one node after the other, which comes back: what was acknowledged is what is read, always, and is on every node in the end.
func (g *testGroup) writeUnder(t *testing.T, writers, rounds int, value func(int) []byte, hurt func(round int) (ended int)) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var list []*keyWriter
	var all sync.WaitGroup
	for i := range writers {
		w := &keyWriter{key: fmt.Sprint("k", i), value: value}
		for j := range g.servers {
			w.clients = append(w.clients, g.store(t, (i+j)%len(g.servers)))
		}
		list = append(list, w)
		all.Go(func() { w.run(ctx, t) })
	}
	for round := range rounds {
		for _, w := range list {
			before := w.count.Load()
			eventually(t, "writes go on", func() error {
				if w.count.Load() < before+2 {
					return errors.New("not yet")
				}
				return nil
			})
		}
		g.again(t, hurt(round))
		for _, s := range g.servers {
			eventually(t, "all are back", s.ready)
		}
	}
	stop()
	all.Wait()
	for _, w := range list {
		for i := range g.servers {
			v, err := g.store(t, i).Key(t.Context(), shop, w.key)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(v.Data, value(w.acked)) && !bytes.Equal(v.Data, value(w.acked+1)) { // the last write may have happened without an answer
				t.Errorf("node %d has %.10q of %s, %d was acknowledged", i+1, v.Data, w.key, w.acked)
			}
		}
	}
}
