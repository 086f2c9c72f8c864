package server

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/raftnode"
	"github.com/holdfast-lb/holdfast/storage"
)

// down stops nodes, which the cleanup then finds stopped.
func (g *testGroup) down(t *testing.T, which ...int) {
	t.Helper()
	for _, i := range which {
		g.stop[i]()
		if err := <-g.done[i]; err != nil {
			t.Error(err)
		}
		g.done[i] <- nil
		if err := g.servers[i].Close(); err != nil {
			t.Error(err)
		}
	}
}

// up starts a node again on its directory.
func (g *testGroup) up(t *testing.T, i int) *Server {
	t.Helper()
	s, err := New(g.servers[i].config, outputOf(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	<-g.done[i]
	g.servers[i], g.stop[i] = s, stop
	go func() { g.done[i] <- s.Run(ctx) }()
	return s
}

func (g *testGroup) record(t *testing.T, i int, key byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	id, _ := g.servers[i].state.InstanceID("cluster1", "i1")
	recordOn(t, ctx, g.servers[i], fsm.SessionOp{Kind: fsm.OpAssign, Key: fsm.Key{key, 1}, Instance: id})
}

// recordOn records an operation that may be repeated: on a busy machine a group may lose its leader at any time, and what was under way then.
func recordOn(t testing.TB, ctx context.Context, s *Server, op fsm.SessionOp) {
	t.Helper()
	eventually(t, "it is recorded", func() error {
		_, err := s.node.Record(ctx, op)
		if err != nil && !errors.Is(err, raftnode.ErrNoQuorum) {
			t.Fatal(err)
		}
		return err
	})
}

func wantRefused(t *testing.T, err error, words ...string) {
	t.Helper()
	if !errors.Is(err, ErrRefused) {
		t.Errorf("got %v, want a refusal", err)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("got %v, want %q in it", err, w)
		}
	}
}

// TestRecover: two of three are gone for good. The third goes on alone, in the next epoch, with what it has; the others are told when they come back all the same.
func TestRecover(t *testing.T) {
	g := startGroup(t, 3)
	g.configure(t, "http://127.0.0.1:1")
	for i := range 30 {
		g.record(t, i%3, byte(i))
	}
	g.down(t, 1)
	g.record(t, 0, 100) // the second node does not have it
	path := g.servers[0].config.DataDir
	how := Recovery{DataDir: path, Version: "test"}
	if _, err := OpenSurvivor(t.Context(), how); err == nil {
		t.Fatal("opened under a node that runs")
	} else if locked := new(storage.LockedError); !errors.As(err, &locked) {
		t.Errorf("got %v, want that the node runs", err)
	}
	g.down(t, 0)
	_, err := OpenSurvivor(t.Context(), how)
	wantRefused(t, err, "node n3 runs")
	g.down(t, 2)

	s, err := OpenSurvivor(t.Context(), how)
	if err != nil {
		t.Fatal(err)
	}
	before := s.Report
	if before.Sessions != 31 || before.Header.Epoch != 1 || len(before.Header.Members) != 3 || s.Node != "n1" || s.Aside != path+".epoch-1" {
		t.Errorf("%+v %+v", s, before)
	}
	report, err := s.Recover()
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	if report.Sessions != 31 || report.Header.Epoch != 2 || report.Header.Index != before.Header.Index || report.Digest == before.Digest {
		t.Errorf("%+v", report)
	}
	if kept, err := OpenDisk(s.Aside, "test", time.Now()); err != nil {
		t.Errorf("what was there: %v", err)
	} else {
		if kept.Report.Header.Epoch != 1 || kept.Report.Sessions != 31 {
			t.Errorf("what was there: %+v", kept.Report)
		}
		if err := kept.Close(); err != nil {
			t.Error(err)
		}
	}
	one := g.up(t, 0)
	eventually(t, "it serves alone", func() error { return errors.Join(one.ready(), one.node.Ready()) })
	if one.state.Group().Epoch != 2 || one.state.Len() != 31 {
		t.Errorf("epoch %d, %d sessions", one.state.Group().Epoch, one.state.Len())
	}
	g.record(t, 0, 101)
	for _, i := range []int{1, 2} {
		old := g.up(t, i)
		select {
		case err := <-g.done[i]:
			wantRefused(t, err, "the group is in epoch 2", "epoch 1", "token create")
			g.done[i] <- nil
		case <-time.After(60 * time.Second):
			t.Fatal("a node of the old epoch goes on")
		}
		if old.ready() == nil {
			t.Error("it is ready")
		}
		if err := old.Close(); err != nil {
			t.Error(err)
		}
		_, err := New(old.config, outputOf(t))
		wantRefused(t, err, "out of use since", "epoch 2")
		_, err = OpenSurvivor(t.Context(), Recovery{DataDir: old.config.DataDir})
		wantRefused(t, err, "out of use since")
	}
}

// TestRecoverRefusals: nothing is changed by any of them.
func TestRecoverRefusals(t *testing.T) {
	g := startGroup(t, 1)
	alone := g.servers[0].config.DataDir
	g.down(t, 0)
	_, err := OpenSurvivor(t.Context(), Recovery{DataDir: alone})
	wantRefused(t, err, "node n1 is the only one with a vote", "start it")

	three := startGroup(t, 3)
	three.down(t, 0, 1, 2)
	path := three.servers[0].config.DataDir
	s, err := OpenSurvivor(t.Context(), Recovery{DataDir: path})
	if err != nil {
		t.Fatal(err)
	}
	// What has that name is kept, be it somebody's file or what an earlier recovery put aside; only what one that was killed has begun goes.
	taken := func(what string, epoch uint64, file string) {
		t.Helper()
		target := path + ".epoch-1"
		if err := os.RemoveAll(target); err != nil {
			t.Fatal(err)
		}
		d, err := storage.Open(target)
		if err != nil {
			t.Fatal(err)
		}
		if epoch > 0 {
			err = d.SetIdentity(storage.Identity{Name: "n1", NodeID: "8a80eed6-0000-4000-8000-000000000000", GroupID: s.image.Group.ID, Epoch: epoch})
		}
		if err := errors.Join(err, d.Close()); err != nil {
			t.Fatal(err)
		}
		if file != "" {
			if err := os.WriteFile(filepath.Join(target, file), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if epoch <= 1 && (epoch == 1 || file != "") {
			if _, err := s.Recover(); err == nil || !strings.Contains(err.Error(), "is there already") {
				t.Errorf("%s: got %v", what, err)
			}
			return
		}
		if err := s.makeRoom(target); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := os.Lstat(target); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: still there: %v", what, err)
		}
	}
	taken("begun, without a name", 0, "")
	taken("begun, with the name of the new epoch", 2, "")
	taken("somebody's file", 0, "notes.txt")
	taken("a key without a name", 0, "tls/key.pem")
	taken("put aside", 1, "")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// Elsewhere: the old directory stays where it is.
	to := filepath.Join(t.TempDir(), "new")
	s, err = OpenSurvivor(t.Context(), Recovery{DataDir: path, To: to})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recover(); err != nil || s.Aside != "" {
		t.Error(err, s.Aside)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if d, err := storage.Open(to); err != nil {
		t.Error(err)
	} else if id, _ := d.Identity(); id.Epoch != 2 || id.Name != "n1" || d.Close() != nil {
		t.Errorf("%+v", id)
	}
	if d, err := storage.Open(path); err != nil {
		t.Error(err)
	} else if id, _ := d.Identity(); id.Epoch != 1 || d.Close() != nil {
		t.Errorf("%+v", id)
	}
	for name, dir := range map[string]string{"empty": t.TempDir(), "none": filepath.Join(t.TempDir(), "none"), "no directory": filepath.Join(path, "raft.db")} {
		if _, err := OpenSurvivor(t.Context(), Recovery{DataDir: dir}); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}
