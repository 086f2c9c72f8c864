package server

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

// take reads a whole backup from a node.
func (g *testGroup) take(tb testing.TB, at int, values wire.BackupValues) ([]byte, error) {
	tb.Helper()
	from, err := g.servers[at].backup(tb.Context(), values)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = errors.Join(from.Write(&out), from.Close())
	return out.Bytes(), err
}

func openedArchive(tb testing.TB, b []byte) *fsm.State {
	tb.Helper()
	s, _, err := openArchive(bytes.NewReader(b))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// TestBackupHasTheCopies: an archive carries the bytes of values that two nodes keep beside the log, whichever node gives it, so that it can be restored where none of these nodes is. What cannot be had is said, and
// then there is no archive unless somebody wants one without it.
func TestBackupHasTheCopies(t *testing.T) {
	g := startGroup(t, 3)
	g.apply(t, g.servers[0], copiesText)
	for n := range 5 {
		g.putLarge(t, n%3, fmt.Sprint("k", n), large(n, 20))
	}
	for i := range g.servers {
		eventually(t, "the node has them all", func() error { // an archive is of what its node has applied
			for n := range 5 {
				if g.servers[i].state.Stored(kvOf(fmt.Sprint("k", n))) == nil {
					return fmt.Errorf("node %d: no key %d", i+1, n)
				}
			}
			return nil
		})
		b, err := g.take(t, i, wire.ValuesWhole)
		if err != nil {
			t.Fatal(err)
		}
		s := openedArchive(t, b)
		for n := range 5 {
			if v := s.Stored(kvOf(fmt.Sprint("k", n))); v == nil || v.Copy != nil || !bytes.Equal(v.Data, large(n, 20)) {
				t.Fatalf("node %d: key %d: %+v", i+1, n, v)
			}
		}
	}
	whole, err := g.take(t, 0, wire.ValuesWhole)
	if err != nil {
		t.Fatal(err)
	}
	// Restored into the running group, over values that were written since.
	g.putLarge(t, 0, "k0", large(50, 20))
	path := filepath.Join(t.TempDir(), "a.hfb")
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := restoreInto(t, g, path); err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		for i := range g.servers {
			g.wantLarge(t, i, fmt.Sprint("k", n), large(n, 20))
		}
	}
	// Names alone are what a standby takes: the state as it is.
	g.putLarge(t, 0, "k1", large(51, 20))
	names, err := g.take(t, 0, wire.ValuesNames)
	if err != nil {
		t.Fatal(err)
	}
	if v := openedArchive(t, names).Stored(kvOf("k1")); v == nil || v.Copy == nil || len(v.Data) != 0 {
		t.Errorf("%+v", v)
	}
	for i := range g.servers {
		wipe(t, g, i, large(51, 20))
	}
	g.putLarge(t, 0, "k2", large(52, 20))
	_, err = g.take(t, 0, wire.ValuesWhole)
	if code(err) != wire.CodeValueAway || !strings.Contains(err.Error(), "--partial") {
		if err != nil || g.servers[0].state.StoredLost(kvOf("k1")) == nil { // the leader may have said already that it is lost
			t.Errorf("%v", err)
		}
	}
	partial, err := g.take(t, 0, wire.ValuesPartial)
	if err != nil {
		t.Fatal(err)
	}
	s := openedArchive(t, partial)
	if v := s.Stored(kvOf("k2")); v == nil || !bytes.Equal(v.Data, large(52, 20)) || s.Stored(kvOf("k1")) != nil || s.StoredLost(kvOf("k1")) == nil {
		t.Errorf("%+v, %+v", v, s.StoredLost(kvOf("k1")))
	}
}

// restoreInto restores an archive into the running group.
func restoreInto(t *testing.T, g *testGroup, path string) error {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = g.servers[0].restore(t.Context(), admin.Restore{From: f, Archive: "a.hfb", Actor: "me"})
	return err
}

// TestBackupOfADiskHasItsCopies: the disk of a node that is stopped has the values that it keeps; of the others the archive says that they are lost, when somebody wants it so.
func TestBackupOfADiskHasItsCopies(t *testing.T) {
	g := startGroup(t, 3)
	g.apply(t, g.servers[0], copiesText)
	for n := range 9 {
		g.putLarge(t, n%3, fmt.Sprint("k", n), large(n, 20))
	}
	g.kill(t, 2)
	defer g.again(t, 2)
	own := g.files(2)
	open := func(partial bool) (*fsm.State, int, error) {
		d, err := OpenDisk(g.servers[2].config.DataDir, "test", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		lacking, err := d.Whole(partial)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := d.Write(&out); err != nil {
			return nil, lacking, err
		}
		return openedArchive(t, out.Bytes()), lacking, nil
	}
	s, lacking, err := open(true)
	if err != nil || lacking != 9-len(own) {
		t.Fatalf("%d lack, %d are there, %v", lacking, len(own), err)
	}
	for n := range 9 {
		v := s.Stored(kvOf(fmt.Sprint("k", n)))
		if has := own[fileOf(large(n, 20))]; has != (v != nil) || has && !bytes.Equal(v.Data, large(n, 20)) {
			t.Errorf("key %d: %v, %+v", n, has, v)
		}
	}
	if _, lacking, err := open(false); lacking > 0 && !errors.Is(err, ErrIncomplete) {
		t.Errorf("%v", err)
	}
}
