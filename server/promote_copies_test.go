package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

// TestPromotionTellsOfValuesBesideTheLog: a standby has the names alone of values with copies: 2. Who promotes it is told how many those are. In the promoted group they read as lost, with the reason, an event and a metric, and can be
// written anew; values in the log are there. Where the directory of an old node's values is put into the new one before that starts, they are there too.
func TestPromotionTellsOfValuesBesideTheLog(t *testing.T) {
	g := startGroup(t, 1)
	old := g.servers[0]
	g.apply(t, old, copiesText)
	for n := range 3 {
		g.putLarge(t, 0, fmt.Sprint("k", n), large(n, 20))
	}
	g.putLarge(t, 0, "small", []byte("hello"))
	dir := t.TempDir()
	st, end := standbyOf(t, dir, g.admins())
	caughtUp(t, st, old)
	end()
	g.stop[0]()
	if err := <-g.done[0]; err != nil {
		t.Fatal(err)
	}
	g.done[0] <- nil

	for _, rescued := range []bool{false, true} {
		to := Restoration{DataDir: filepath.Join(t.TempDir(), "new"), Name: "n9", Actor: "ann"}
		report, err := Promote(Promotion{Restoration: to, Archive: dir, Force: rescued})
		if err != nil || report.Away != 3 {
			t.Fatalf("%d values, %v", report.Away, err)
		}
		if rescued {
			if err := os.CopyFS(filepath.Join(to.DataDir, copiesDir), os.DirFS(filepath.Join(old.config.DataDir, copiesDir))); err != nil {
				t.Fatal(err)
			}
		}
		n := runOn(t, g, to)
		c, err := client.New(client.Options{URLs: []string{"http://" + n.AdminAddr().String()}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		want := func(key string, data []byte) error {
			v, err := c.Key(t.Context(), shop, key)
			if err == nil && string(v.Data) != string(data) {
				t.Fatalf("key %s has %d other bytes", key, len(v.Data))
			}
			return err
		}
		if err := want("small", []byte("hello")); err != nil {
			t.Error(err)
		}
		eventually(t, "what has become of the values is known", func() error {
			for i := range 3 {
				err := want(fmt.Sprint("k", i), large(i, 20))
				switch lost := code(err) == wire.CodeValueLost; {
				case lost && rescued:
					t.Fatal("a value is lost, and the node has it")
				case !lost && (!rescued || err != nil):
					return fmt.Errorf("key %d: %w", i, errors.Join(err, errors.New("neither there nor lost")))
				}
			}
			return nil
		})
		text := fetch(t, "http://"+n.AdminAddr().String()+"/metrics")
		events := n.state.Events(0, 1000)
		told := slices.ContainsFunc(events, func(e fsm.Event) bool {
			return e.Kind == fsm.EventStoreLost && strings.HasPrefix(e.Text, "3 values of module /shop are lost")
		})
		begun := slices.ContainsFunc(events, func(e fsm.Event) bool {
			return e.Kind == fsm.EventPromoted && strings.Contains(e.Text, "; of 3 values of the store the archive has the names alone (copies: 2)")
		})
		if told == rescued || !begun || strings.Contains(text, "\nholdfast_store_copies_lost 3\n") == rescued {
			t.Errorf("rescued %v: the loss is told of: %v, the promotion says so: %v; %+v", rescued, told, begun, events)
		}
		if rescued {
			continue
		}
		if _, err := c.PutKey(t.Context(), shop, "k0", client.Value{Data: large(9, 20)}, 0, client.WriteIf{Absent: true}); err != nil {
			t.Error(err)
		}
		if err := want("k0", large(9, 20)); err != nil {
			t.Error(err)
		}
	}
}
