package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/storage/archive"
)

// standbyOf follows some nodes of a group until the returned function is called; that fails the test when the standby has failed.
func standbyOf(t testing.TB, dir string, from []string, settings ...func(*StandbyConfig)) (*Standby, func()) {
	t.Helper()
	c := StandbyDefaults()
	c.From, c.Archive = from, dir
	for _, set := range settings {
		set(&c)
	}
	s, err := NewStandby(c, outputOf(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	ended := false
	end := func() {
		if !ended {
			ended = true
			cancel()
			if err := errors.Join(<-done, s.Close()); err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(end)
	return s, end
}

func (g *testGroup) admins() (list []string) {
	for _, s := range g.servers {
		list = append(list, s.AdminAddr().String())
	}
	return list
}

// caughtUp waits until everything that the node has now is in the archive, and proven.
func caughtUp(t testing.TB, st *Standby, n *Server) {
	t.Helper()
	now := time.Now()
	eventually(t, "the standby has everything", func() error {
		status := st.Status()
		if status.Index < n.state.Applied() || !status.Proven.After(now) {
			return fmt.Errorf("%+v, the node has %d", status, n.state.Applied())
		}
		return nil
	})
}

func (g *testGroup) assign(t *testing.T, from, to int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	id, _ := g.servers[0].state.InstanceID("cluster1", "i1")
	for i := from; i < to; i++ {
		recordOn(t, ctx, g.servers[i%len(g.servers)], fsm.SessionOp{Kind: fsm.OpAssign, Key: fsm.Key{byte(i), byte(i >> 8), 9}, Instance: id, Reason: fsm.ReasonPolicy})
	}
}

// TestStandbyFollows: what the group has is in the archive, over a restart of the standby, the loss of the node that is followed, and a state taken in between;
// what is built from the archive has the digest of the nodes. Promoted, it is the group's next epoch.
func TestStandbyFollows(t *testing.T) {
	g := startGroup(t, 3)
	g.configure(t, "http://127.0.0.1:1")
	g.assign(t, 0, 100)
	dir := filepath.Join(t.TempDir(), "archive")
	st, end := standbyOf(t, dir, g.admins(), func(c *StandbyConfig) { c.Addr = "127.0.0.1:0" })
	caughtUp(t, st, g.servers[0])
	g.assign(t, 100, 200)
	caughtUp(t, st, g.servers[0])
	text := fetch(t, "http://"+st.Addr().String()+"/metrics")
	for _, want := range []string{"holdfast_standby_following 1", "holdfast_standby_lag_seconds 0", `holdfast_standby_states_total{result="ok"} 1`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	if fetch(t, "http://"+st.Addr().String()+"/readyz") != "ok\n" || fetch(t, "http://"+st.Addr().String()+"/healthz") != "ok\n" {
		t.Error("not ready")
	}
	_, err := NewStandby(st.config, io.Discard)
	var inUse *archive.InUseError
	if !errors.As(err, &inUse) {
		t.Errorf("a second standby: %v", err)
	}
	if _, err := Promote(Promotion{Restoration: Restoration{DataDir: t.TempDir(), Name: "n9"}, Archive: dir}); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "stop the standby first") {
		t.Errorf("promoted beside the standby: %v", err)
	}
	end()
	g.assign(t, 200, 300)
	st, end = standbyOf(t, dir, g.admins(), func(c *StandbyConfig) { c.Every = time.Second; c.Keep = 2 })
	caughtUp(t, st, g.servers[0])

	// The node that is followed leaves.
	followed := st.Status().Node
	for i, s := range g.servers {
		if "http://"+s.AdminAddr().String() == followed {
			g.stop[i]()
		}
	}
	eventually(t, "another node is followed", func() error {
		if status := st.Status(); !status.Following || status.Node == followed {
			return fmt.Errorf("%+v", status)
		}
		return nil
	})
	var alive *Server
	for _, s := range g.servers {
		if "http://"+s.AdminAddr().String() == st.Status().Node {
			alive = s
		}
	}
	eventually(t, "old states go", func() error {
		list, err := archive.List(dir)
		if err != nil || len(list) != 2 || list[0].Header.Index < 200 {
			return fmt.Errorf("%d states, %v", len(list), err)
		}
		return nil
	})
	caughtUp(t, st, alive)
	end()
	if answers, err := OldGroup(t.Context(), dir); err != nil || len(answers) < 3 {
		t.Errorf("the old group is not noticed: %v, %v", answers, err)
	}
	promoteIt(t, dir, alive)
}

// promoteIt promotes an archive that has all that the node n has.
func promoteIt(t *testing.T, dir string, n *Server) {
	t.Helper()
	state, report, err := ReplayArchive(dir, Moment{})
	if err != nil {
		t.Fatal(err)
	}
	if state.Len() != 300 || report.Compared == 0 || report.Proven.IsZero() || report.Header.Index != state.Applied() {
		t.Errorf("%d sessions; %+v", state.Len(), report)
	}
	to := Promotion{Restoration: Restoration{DataDir: filepath.Join(t.TempDir(), "new"), Name: "n9"}, Archive: dir}
	p, err := Promote(to)
	if err != nil {
		t.Fatal(err)
	}
	if p.Header.Epoch != 2 || p.Sessions != 300 || !p.Silent.IsZero() || !p.GroupTime.Equal(state.Now()) {
		t.Errorf("%+v", p)
	}
	if epochs := mustOpenDisk(t, to.DataDir); len(epochs) != 1 || epochs[0].Index != state.Applied() || epochs[0].Instances != 1 || epochs[0].Line == 0 {
		t.Errorf("epochs %+v", epochs)
	}
	to.DataDir = filepath.Join(t.TempDir(), "again")
	if _, err := Promote(to); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "promoted already") {
		t.Errorf("a second time: %v", err)
	}
	to.Force = true
	if p, err := Promote(to); err != nil || p.Header.Epoch != 3 {
		t.Errorf("a second time, forced: epoch %d, %v", p.Header.Epoch, err)
	}
}

func mustOpenDisk(t *testing.T, dir string) []fsm.EpochStart {
	t.Helper()
	disk, err := OpenDisk(dir, "test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := disk.Close(); err != nil {
			t.Error(err)
		}
	}()
	return disk.image.Group.Epochs
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	c := &http.Client{}
	defer c.CloseIdleConnections()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestPointInTime: each entry and each time of the archive can be gone back to, and none outside it.
func TestPointInTime(t *testing.T) {
	g := startGroup(t, 1)
	g.configure(t, "http://127.0.0.1:1")
	dir := t.TempDir()
	st, end := standbyOf(t, dir, g.admins())
	caughtUp(t, st, g.servers[0])
	first := g.servers[0].state.Applied()
	type point struct {
		index    uint64
		now      time.Time
		sessions int
	}
	var points []point
	for i := range 20 {
		g.assign(t, i, i+1)
		state := g.servers[0].state
		points = append(points, point{state.Applied(), state.Now(), state.Len()})
	}
	caughtUp(t, st, g.servers[0])
	end()
	for _, p := range points {
		for _, at := range []Moment{{Index: p.index}, {Time: p.now}} {
			state, report, err := ReplayArchive(dir, at)
			if err != nil {
				t.Fatal(err)
			}
			if at.Index > 0 && (state.Len() != p.sessions || report.Header.Index != p.index) || state.Len() < p.sessions || report.Header.GroupTime.After(p.now) {
				t.Errorf("%+v: %d sessions at %d, want %d", at, state.Len(), report.Header.Index, p.sessions)
			}
		}
	}
	for _, at := range []Moment{{Index: first / 4}, {Time: time.Unix(1, 0)}} {
		if _, _, err := ReplayArchive(dir, at); err == nil || !strings.Contains(err.Error(), "nothing from so early") {
			t.Errorf("%+v: %v", at, err)
		}
	}
	if _, _, err := ReplayArchive(dir, Moment{Index: 1 << 40}); err == nil || !strings.Contains(err.Error(), "is not in it") {
		t.Errorf("the future: %v", err)
	}
	if _, _, err := ReplayArchive(t.TempDir(), Moment{}); err == nil || !strings.Contains(err.Error(), "no whole state") {
		t.Errorf("empty: %v", err)
	}
}

// TestDamagedArchivesAreNotPromoted: each flipped byte of a segment is found or is in its torn end, and nothing is written; one before the newest whole state is passed over, said, and costs nothing.
func TestDamagedArchivesAreNotPromoted(t *testing.T) {
	g := startGroup(t, 1)
	g.configure(t, "http://127.0.0.1:1")
	dir := t.TempDir()
	st, end := standbyOf(t, dir, g.admins())
	caughtUp(t, st, g.servers[0])
	g.assign(t, 0, 10)
	caughtUp(t, st, g.servers[0])
	end()
	list, err := archive.ListSegments(dir)
	if err != nil || len(list) != 1 {
		t.Fatalf("%d segments, %v", len(list), err)
	}
	good, err := os.ReadFile(list[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	whole, _, err := ReplayArchive(dir, Moment{})
	if err != nil || whole.Len() != 10 {
		t.Fatal(whole.Len(), err)
	}
	found := 0
	for i := 0; i < len(good); i += 5 {
		bad := append([]byte(nil), good...)
		bad[i] ^= 0x20
		if err := os.WriteFile(list[0].Path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(t.TempDir(), "new")
		p, err := Promote(Promotion{Restoration: Restoration{DataDir: to, Name: "n1"}, Archive: dir})
		switch {
		case err == nil && !p.Torn && (len(p.Passed) == 0 || p.Sessions != 10):
			t.Fatalf("byte %d of %d was not noticed: %+v", i, len(good), p)
		case err != nil:
			found++
			if !errors.Is(err, archive.ErrDamaged) && !errors.Is(err, archive.ErrNewer) {
				t.Fatalf("byte %d: %v", i, err)
			}
			if _, err := os.Stat(to); !errors.Is(err, os.ErrNotExist) {
				t.Fatalf("byte %d: something was written", i)
			}
			if errors.Is(err, archive.ErrDamaged) {
				takesWhatIsOffered(t, dir, err)
			}
		default:
			if err := os.Remove(filepath.Join(dir, promotedFile)); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d flips of %d refused, the others are in the last block", found, (len(good)+4)/5)
}

// takesWhatIsOffered: a refused promotion says up to which entry the archive is good, and that one can be had.
func takesWhatIsOffered(t *testing.T, dir string, refused error) {
	t.Helper()
	_, text, offered := strings.Cut(refused.Error(), "--at ")
	var index uint64
	if _, err := fmt.Sscanf(text, "%d takes that", &index); !offered || err != nil {
		t.Fatalf("%v: no way out is offered", refused)
	}
	if state, _, err := ReplayArchive(dir, Moment{Index: index}); err != nil || state.Applied() != index {
		t.Fatalf("%v; at %d: %v", refused, index, err)
	}
}

// TestStandbyOfAnotherGroup: nothing of another group, of an old epoch, or of another history comes into an archive.
func TestStandbyOfAnotherGroup(t *testing.T) {
	one, two := smallGroup(t), startGroup(t, 1)
	dir := t.TempDir()
	st, end := standbyOf(t, dir, one.admins())
	caughtUp(t, st, one.servers[0])
	end()
	before := len(listing(t, dir))
	_, end = standbyOf(t, dir, two.admins())
	eventually(t, "it is refused", func() error {
		status, err := ReadStandbyStatus(dir)
		if err != nil || !strings.Contains(status.Error, "the follower of group") {
			return fmt.Errorf("%q, %v", status.Error, err)
		}
		return nil
	})
	end()
	if n := len(listing(t, dir)); n != before {
		t.Errorf("%d files, %d before", n, before)
	}

	// The archive is of epoch 2 now: nodes of epoch 1 are strangers.
	to := Restoration{DataDir: filepath.Join(t.TempDir(), "new"), Name: "n1"}
	if _, err := Promote(Promotion{Restoration: to, Archive: dir}); err != nil {
		t.Fatal(err)
	}
	disk, err := OpenDisk(to.DataDir, "test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, disk.Report.Header.Name()))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(disk.Write(f), disk.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	_, end = standbyOf(t, dir, one.admins())
	eventually(t, "the old epoch is refused", func() error {
		status, err := ReadStandbyStatus(dir)
		if err != nil || !strings.Contains(status.Error, "this node is one of the old group") {
			return fmt.Errorf("%q, %v", status.Error, err)
		}
		return nil
	})
	end()
}

// TestAnOlderStateIsAsGood: when the newest whole state is damaged, the one before it and the log give the same.
func TestAnOlderStateIsAsGood(t *testing.T) {
	g := startGroup(t, 1)
	g.configure(t, "http://127.0.0.1:1")
	dir := t.TempDir()
	st, end := standbyOf(t, dir, g.admins(), func(c *StandbyConfig) { c.Every = time.Second })
	caughtUp(t, st, g.servers[0])
	g.assign(t, 0, 20)
	var list []archive.Entry
	eventually(t, "a second state", func() (err error) {
		if list, err = archive.List(dir); err != nil || len(list) < 2 {
			return fmt.Errorf("%d states, %v", len(list), err)
		}
		return nil
	})
	g.assign(t, 20, 40)
	caughtUp(t, st, g.servers[0])
	end()
	want, _, err := ReplayArchive(dir, Moment{})
	if err != nil || want.Len() != 40 {
		t.Fatalf("%d sessions, %v", want.Len(), err)
	}
	if list, err = archive.List(dir); err != nil {
		t.Fatal(err)
	}
	for _, e := range list[1:] {
		b, err := os.ReadFile(e.Path)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)-100] ^= 1
		if err := os.WriteFile(e.Path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, report, err := ReplayArchive(dir, Moment{})
	if err != nil || got.Digest() != want.Digest() || len(report.Passed) != len(list)-1 || report.Base != list[0].Path {
		t.Errorf("%d sessions from %s, passed over %v, %v", got.Len(), report.Base, report.Passed, err)
	}
}

// TestStandbyOfAnotherLine: an archive whose epoch has the number of the group's, and is another one, is not followed on with, before the group has come to the archive's last entry and after that; readiness, the metric and the status say so.
func TestStandbyOfAnotherLine(t *testing.T) {
	g := smallGroup(t)
	early := download(t, g.servers[0])
	if _, err := restoreVia(t, g.servers[0], early); err != nil {
		t.Fatal(err)
	}
	g.assign(t, 0, 100)
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
	if report, err := RestoreArchive(bytes.NewReader(early), to); err != nil || report.Header.Epoch != 2 {
		t.Fatalf("%+v, %v", report, err)
	}
	n := runOn(t, g, to)
	refused := func(when string) {
		t.Helper()
		st, end := standbyOf(t, dir, []string{n.AdminAddr().String()}, func(c *StandbyConfig) { c.Addr = "127.0.0.1:0" })
		defer end()
		eventually(t, "it says so, "+when, func() error {
			if s := st.Status(); s.Following || !strings.Contains(s.Error, "another history") {
				return fmt.Errorf("%+v", s)
			}
			return nil
		})
		if text := fetch(t, "http://"+st.Addr().String()+"/metrics"); !strings.Contains(text, "holdfast_standby_following 0") {
			t.Errorf("%s: %s", when, text)
		}
		if text := fetch(t, "http://"+st.Addr().String()+"/readyz"); !strings.Contains(text, "another history") {
			t.Errorf("%s: ready: %s", when, text)
		}
		if s, err := ReadStandbyStatus(dir); err != nil || s.Following || !strings.Contains(s.Error, "another history") {
			t.Errorf("%s: %+v, %v", when, s, err)
		}
	}
	at := st.Status().Index
	if n.state.Applied() >= at {
		t.Fatalf("the group has come to %d, the archive to %d", n.state.Applied(), at)
	}
	refused("the group being behind the archive")
	// Also when it does not know of lines: the entry is none that the group has ever had.
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	group := n.state.Group()
	var p *wire.Problem
	if _, err := n.follow(ctx, admin.FollowFrom{Group: group.ID, Epoch: 2, Index: at, Term: 1}); !errors.As(err, &p) || p.Code != wire.CodeRefused || !strings.Contains(p.Detail, "another history") {
		t.Errorf("ahead of the group: %v", err)
	}
	for index, without := range map[uint64]bool{group.Epochs[0].Index: false, at: true} {
		if _, err := n.follow(ctx, admin.FollowFrom{Group: group.ID, Epoch: 1, Index: index, Term: 1}); !errors.As(err, &p) || p.Code != wire.CodeSnapshotNeeded || strings.Contains(p.Detail, "without what the follower has") != without {
			t.Errorf("epoch 1, entry %d: %v", index, err)
		}
	}
	for n.state.Applied() <= at {
		fill(t, n, 1)
	}
	refused("the group being ahead of the archive")
}
