package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/storage/archive"
)

// TestPromotionGoesOnWithQuiesces: a quiesce that was running when the group died runs in the promoted one, with its deadline, and ends there.
func TestPromotionGoesOnWithQuiesces(t *testing.T) {
	g := startGroup(t, 1)
	one, two := newApp(t, "i1"), newApp(t, "i2")
	text := func(enabled bool) string {
		return fmt.Sprintf(`
listeners: [{name: web, address: ":%d"}]
clusters:
  - name: c1
    modules: [{contextRoot: /}]
    instances:
      - {name: i1, listeners: [%q], enabled: %v, quiesceTimeout: 10m}
      - {name: i2, listeners: [%q]}
`, g.port, one, enabled, two)
	}
	old := g.servers[0]
	g.apply(t, old, text(true))
	id, _ := old.state.InstanceID("c1", "i1")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := old.node.Record(ctx, fsm.SessionOp{Kind: fsm.OpAssign, Key: fsm.Key{1}, Instance: id, Reason: fsm.ReasonPolicy}); err != nil {
		t.Fatal(err)
	}
	g.apply(t, old, text(false))
	quiesces := old.state.Operating().Quiesces
	if len(quiesces) != 1 {
		t.Fatalf("quiesces %+v", quiesces)
	}
	dir := t.TempDir()
	st, end := standbyOf(t, dir, g.admins())
	caughtUp(t, st, old)
	end()
	g.stop[0]()
	eventually(t, "the old node has left", func() error {
		if old.balancer.Addr("web") != nil {
			return errors.New("it still listens")
		}
		return nil
	})

	to := Restoration{DataDir: filepath.Join(t.TempDir(), "new"), Name: "n9"}
	if _, err := Promote(Promotion{Restoration: to, Archive: dir}); err != nil {
		t.Fatal(err)
	}
	n := runOn(t, g, to)
	again := n.state.Operating().Quiesces
	if len(again) != 1 || again[0].ID != quiesces[0].ID || !again[0].Deadline.Equal(quiesces[0].Deadline) {
		t.Fatalf("quiesces %+v, were %+v", again, quiesces)
	}
	set := &fsm.QuiesceSet{ID: again[0].ID, Subject: again[0].Subject, Remaining: config.Duration(100 * time.Millisecond), Actor: "test"}
	if r, err := n.node.Propose(ctx, set); err != nil || r.Code != fsm.CodeOK {
		t.Fatalf("%+v, %v", r, err)
	}
	eventually(t, "it ends", func() error {
		if left := n.state.Operating().Quiesces; len(left) > 0 {
			return fmt.Errorf("%+v", left)
		}
		return nil
	})
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", g.port))
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%+v, %v", resp, err)
	}
	_ = resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
}

// runOn runs a node on a data directory that a group begins again with, and waits until it leads.
func runOn(t *testing.T, g *testGroup, to Restoration, settings ...func(*Config)) *Server {
	t.Helper()
	c := Defaults()
	c.Name, c.DataDir, c.PeerAddr, c.AdminAddr, c.BindAddress, c.LogLevel = to.Name, to.DataDir, "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1", "warn"
	for _, set := range settings {
		set(&c)
	}
	n, err := New(c, g.out)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, n.Close()); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "the new group leads", func() error { return n.ready() })
	eventually(t, "the new group leads", func() error {
		if i := n.node.Info(); i.Leader != to.Name {
			return fmt.Errorf("leader %q", i.Leader)
		}
		return nil
	})
	return n
}

// TestOldNodesInEventsAfterAPromotion: nodes of the old epoch did not answer, were out of service, and held the address; nodes of the new group may have their names. What is said of the old ones names their epoch.
func TestOldNodesInEventsAfterAPromotion(t *testing.T) {
	g := smallGroup(t)
	old := g.servers[0]
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, c := range []fsm.Command{
		&fsm.QuarantineNote{Node: "n2", Silent: true, Proposer: "n1"}, &fsm.QuarantineNote{Node: "n2", Cause: "stuck", Proposer: "n1"},
		&fsm.HolderSet{Node: "n3", Term: 1, Addresses: []string{"192.0.2.100"}, Proposer: "n3"},
	} {
		if r, err := old.node.Propose(ctx, c); err != nil || r.Code != fsm.CodeOK {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	dir := t.TempDir()
	st, end := standbyOf(t, dir, g.admins())
	caughtUp(t, st, old)
	end()
	g.stop[0]()
	before := old.state.LastEvent()
	to := Restoration{DataDir: filepath.Join(t.TempDir(), "new"), Name: "n2"}
	if _, err := Promote(Promotion{Restoration: to, Archive: dir}); err != nil {
		t.Fatal(err)
	}
	link := &testLink{}
	n := runOn(t, g, to, link.join)
	if s, q := n.state.Silent(), n.state.InQuarantine(); len(s)+len(q) != 0 {
		t.Errorf("of the new node n2 is said what was said of the old one: %v, %v", s, q)
	}
	texts := func() (all string) {
		for _, e := range n.state.Events(before, 100) {
			all += e.Text + "\n"
		}
		return all
	}
	const held = "Node n2 holds 192.0.2.100, taken over from node n3: "
	eventually(t, "the holder is an event", func() error {
		if !strings.Contains(texts(), held) {
			return errors.New(texts())
		}
		return nil
	})
	for _, want := range []string{
		"Node n2 of epoch 1 did not answer when that epoch ended\n", "Node n2 of epoch 1 was out of service when that epoch ended\nEpoch 2 begins: promoted", ": node n3 is that of epoch 1, which is over\n",
	} {
		if !strings.Contains(texts(), want) {
			t.Errorf("%q is not there: %s", want, texts())
		}
	}
	if all := texts(); strings.Contains(all, "Node n2 answers again") || strings.Contains(all, "Node n2 is back in service") {
		t.Error(all)
	}
}

// TestTheStandbyFollowsThePromotedGroup: into the same archive, which then is one of the new epoch and can be promoted again.
func TestTheStandbyFollowsThePromotedGroup(t *testing.T) {
	g := smallGroup(t)
	dir := t.TempDir()
	st, end := standbyOf(t, dir, g.admins())
	caughtUp(t, st, g.servers[0])
	end()
	g.stop[0]()
	eventually(t, "the old node has left", func() error {
		if g.servers[0].balancer.Addr("web") != nil {
			return errors.New("it still listens")
		}
		return nil
	})
	to := Restoration{DataDir: filepath.Join(t.TempDir(), "new"), Name: "n1"}
	if _, err := Promote(Promotion{Restoration: to, Archive: dir}); err != nil {
		t.Fatal(err)
	}
	n := runOn(t, g, to)
	// The old addresses are still there; nobody answers at them, or nodes of the old epoch.
	st, end = standbyOf(t, dir, append(g.admins(), n.AdminAddr().String()))
	caughtUp(t, st, n)
	if st.Status().Epoch != 2 {
		t.Errorf("%+v", st.Status())
	}
	end()
	p, err := Promote(Promotion{Restoration: Restoration{DataDir: filepath.Join(t.TempDir(), "third"), Name: "n1"}, Archive: dir})
	if err != nil || p.Header.Epoch != 3 || p.Sessions != 40 {
		t.Errorf("epoch %d, %d sessions, %v", p.Header.Epoch, p.Sessions, err)
	}
}

// TestAPromotionThatFailsIsNone: after an error it can be done again; one that was killed counts.
func TestAPromotionThatFailsIsNone(t *testing.T) {
	g := smallGroup(t)
	dir := t.TempDir()
	st, end := standbyOf(t, dir, g.admins())
	caughtUp(t, st, g.servers[0])
	end()
	at := filepath.Join(t.TempDir(), "new")
	// It fails at its last step: TLSDir is a file.
	if _, err := Promote(Promotion{Restoration: Restoration{DataDir: at, TLSDir: filepath.Join(at, "node.json"), Name: "n1"}, Archive: dir}); err == nil {
		t.Fatal("saved into a file")
	}
	for _, path := range []string{at, filepath.Join(dir, promotedFile)} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
	if err := writePromoted(dir, promoted{GroupID: g.servers[0].state.Group().ID, Epoch: 2, Time: time.Now()}); err != nil { // it was killed here
		t.Fatal(err)
	}
	to := Promotion{Restoration: Restoration{DataDir: at, Name: "n1"}, Archive: dir}
	if _, err := Promote(to); !errors.Is(err, ErrRefused) {
		t.Errorf("after one that was killed: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, promotedFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Promote(to); err == nil || !strings.Contains(err.Error(), "it is not known whether") {
		t.Errorf("a damaged note: %v", err)
	}
	to.Force = true
	if p, err := Promote(to); err != nil || p.Header.Epoch != 2 {
		t.Errorf("epoch %d, %v", p.Header.Epoch, err)
	}
}

// TestANewEpochIsAboveAllThatTheArchiveKnows: whoever goes back to before a restore into the group begins an epoch behind the one of the restore, by a promotion or by a restore of an older state that lies in the archive; also where the archive
// has the restore in its log alone.
func TestANewEpochIsAboveAllThatTheArchiveKnows(t *testing.T) {
	g := smallGroup(t)
	dir := t.TempDir()
	st, end := standbyOf(t, dir, g.admins())
	caughtUp(t, st, g.servers[0])
	point := g.servers[0].state.Applied()
	if _, err := restoreVia(t, g.servers[0], download(t, g.servers[0])); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the standby follows in epoch 2", func() error {
		if s := st.Status(); s.Epoch != 2 {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	caughtUp(t, st, g.servers[0])
	end()
	promoteAt := func() uint32 {
		p, err := Promote(Promotion{Restoration: Restoration{DataDir: filepath.Join(t.TempDir(), "new"), Name: "n1"}, Archive: dir, At: Moment{Index: point}})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(dir, promotedFile)); err != nil {
			t.Fatal(err)
		}
		return p.Header.Epoch
	}
	if epoch := promoteAt(); epoch != 3 {
		t.Errorf("promoted at %d: epoch %d begins", point, epoch)
	}
	list, err := archive.List(dir)
	if err != nil || len(list) != 2 || list[0].Header.Epoch != 1 || list[1].Header.Epoch != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	f, err := os.Open(list[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	report, err := RestoreArchive(f, Restoration{DataDir: filepath.Join(t.TempDir(), "new"), Name: "n1", Beside: dir})
	if err != nil || report.Header.Epoch != 3 {
		t.Errorf("the older state restored: epoch %d begins, %v", report.Header.Epoch, err)
	}

	// The standby was killed before it had a state of epoch 2.
	for _, name := range listing(t, dir) {
		if strings.HasPrefix(name, "test-2-") || name == standbyFile {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if epoch := promoteAt(); epoch != 3 {
		t.Errorf("with the restore in the log alone, promoted at %d: epoch %d begins", point, epoch)
	}
}
