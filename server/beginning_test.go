package server

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/storage/archive"
)

// begun gives the one event of that kind that node n has, and waits for its line in the log, of which there is one.
func begun(t *testing.T, n *Server, log *logBuffer, kind string) fsm.Event {
	t.Helper()
	var found []fsm.Event
	for _, e := range n.state.Events(0, 1000) {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d events %s in %+v", len(found), kind, n.state.Events(0, 1000))
	}
	eventually(t, "the first leader writes it to its log", func() error {
		if got := strings.Count(log.String(), found[0].Text); got != 1 {
			return fmt.Errorf("%d lines of %q", got, found[0].Text)
		}
		return nil
	})
	return found[0]
}

func wantWords(t *testing.T, e fsm.Event, actor, node string, words ...string) {
	t.Helper()
	if e.Actor != actor || e.Node != node {
		t.Errorf("%+v: want actor %s and node %s", e, actor, node)
	}
	for _, w := range words {
		if !strings.Contains(e.Text, w) {
			t.Errorf("%q does not say %q", e.Text, w)
		}
	}
}

// TestTheFirstEventOfAnEpoch: a promotion, a restore and a recovery are in the events of the group that begins, with who, from what, up to where and what may be lost; the first leader writes it to its log, and nothing else of the past.
func TestTheFirstEventOfAnEpoch(t *testing.T) {
	g := startGroup(t, 1)
	g.configure(t, "http://127.0.0.1:1")
	dir := t.TempDir()
	st, end := standbyOf(t, dir, g.admins())
	g.assign(t, 0, 10)
	caughtUp(t, st, g.servers[0])
	end()
	b := download(t, g.servers[0])
	before := g.servers[0].state.LastEvent()
	g.down(t, 0)

	run := func(t *testing.T, to Restoration) (*Server, *logBuffer) {
		log := new(logBuffer)
		return runOn(t, &testGroup{out: &output{w: log}}, to, func(c *Config) { c.LogLevel = "info" }), log
	}
	t.Run("promoted", func(t *testing.T) {
		to := Restoration{DataDir: filepath.Join(t.TempDir(), "new"), Name: "n8", Actor: "root@a", Source: "the standby's archive /x"}
		if _, err := Promote(Promotion{Restoration: to, Archive: dir}); err != nil {
			t.Fatal(err)
		}
		n, log := run(t, to)
		e := begun(t, n, log, fsm.EventPromoted)
		wantWords(t, e, "root@a", "n8", "Epoch 2 begins: promoted from the standby's archive /x by root@a, with node n8", archive.Ext+" and", "of epoch 1", "10 sessions", "(clock of n1) is there, what came later may be lost")
		if e.Seq != before+1 {
			t.Errorf("event %d behind event %d", e.Seq, before)
		}
		for _, old := range n.state.Events(0, int(before)) {
			if old.Text != "" && strings.Contains(log.String(), old.Text) {
				t.Errorf("a line of before: %q", old.Text)
			}
		}
	})
	t.Run("restored", func(t *testing.T) {
		to := Restoration{DataDir: filepath.Join(t.TempDir(), "new"), Name: "n9", Actor: "root@b", Source: "shop.hfb"}
		if _, err := RestoreArchive(bytes.NewReader(b), to); err != nil {
			t.Fatal(err)
		}
		n, log := run(t, to)
		wantWords(t, begun(t, n, log, fsm.EventRestored), "root@b", "n9", "Epoch 2 begins: restored from shop.hfb by root@b, with node n9: index", "of epoch 1", "10 sessions", "after that is not there")
	})
}

// TestRecoveryIsAnEvent: also on a node that had no vote.
func TestRecoveryIsAnEvent(t *testing.T) {
	g := startGroup(t, 2)
	g.configure(t, "http://127.0.0.1:1")
	g.record(t, 0, 1)
	for _, s := range g.servers {
		if err := (adminNode{s}).Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	g.down(t, 0, 1)
	s, err := OpenSurvivor(t.Context(), Recovery{DataDir: g.servers[1].config.DataDir, Actor: "root@c", Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if s.ReadOnly {
		t.Error("a node with a vote is taken for one without")
	}
	_, err = s.Recover()
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	n := g.up(t, 1)
	eventually(t, "it serves", n.ready)
	var found []fsm.Event
	for _, e := range n.state.Events(0, 1000) {
		if e.Kind == fsm.EventRecovered {
			found = append(found, e)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%+v", n.state.Events(0, 1000))
	}
	wantWords(t, found[0], "root@c", "n2", "Epoch 2 begins: the group has lost its quorum, and goes on from node n2 alone, by root@c", "of epoch 1", "1 sessions", "after that is lost", "n1, n2")
}

// TestEpochInForce: an archive that was restored into the running group begins an epoch. A standby that has followed all the time is in it, and so is what it promotes.
func TestEpochInForce(t *testing.T) {
	g := startGroup(t, 1)
	g.configure(t, "http://127.0.0.1:1")
	g.assign(t, 0, 5)
	b := download(t, g.servers[0])
	dir := t.TempDir()
	st, end := standbyOf(t, dir, g.admins())
	caughtUp(t, st, g.servers[0])
	if _, err := restoreVia(t, g.servers[0], b); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the standby is in the next epoch", func() error {
		if s := st.Status(); s.Epoch != 2 || !s.Following {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	g.assign(t, 5, 8)
	caughtUp(t, st, g.servers[0])
	end()
	state, report, err := ReplayArchive(dir, Moment{})
	if err != nil || report.Header.Epoch != 2 || state.Group().Epoch != 2 || state.Len() != 8 {
		t.Errorf("%d sessions, %+v, %v", state.Len(), report, err)
	}
	p, err := Promote(Promotion{Restoration: Restoration{DataDir: filepath.Join(t.TempDir(), "new"), Name: "n9"}, Archive: dir})
	if err != nil || p.Header.Epoch != 3 {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestEpochInForceBehindAState: the standby was stopped before it had the whole state of the next epoch; what the log says counts.
func TestEpochInForceBehindAState(t *testing.T) {
	g := startGroup(t, 1)
	g.configure(t, "http://127.0.0.1:1")
	g.assign(t, 0, 5)
	b := download(t, g.servers[0])
	dir := t.TempDir()
	st, end := standbyOf(t, dir, g.admins())
	caughtUp(t, st, g.servers[0])
	if _, err := restoreVia(t, g.servers[0], b); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the standby is in the next epoch", func() error {
		if s := st.Status(); s.Epoch != 2 {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	end()
	list, err := archive.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, base := range list {
		if base.Header.Epoch != 1 {
			if err := os.Remove(base.Path); err != nil {
				t.Fatal(err)
			}
		}
	}
	state, report, err := ReplayArchive(dir, Moment{})
	if err != nil || report.Header.Epoch != 2 || report.LogEpoch != 1 || state.Group().Epoch != 2 {
		t.Errorf("%+v, %v", report, err)
	}
}
