package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/load"
	"github.com/holdfast-lb/holdfast/chaos/proc"
	"github.com/holdfast-lb/holdfast/chaos/stage"
)

// TestDisasterDrill: three nodes under load with a standby following; all three are killed and their disks removed. The archive is promoted, the same clients go on: what was
// acknowledged before the printed time is there, and every session is kept, the ones behind the archive's end by their cookies. Two of the old nodes come back from their disks, a majority of what was: they end,
// say what to do, and their disks are as they were. The group grows back to three.
func TestDisasterDrill(t *testing.T) { drill(t, 50, 0) }

// TestDrillBehindTheArchive: the standby dies half a second before the group, so that there is much that it has not.
func TestDrillBehindTheArchive(t *testing.T) { drill(t, 51, 500*time.Millisecond) }

// TestPlannedSwitchOver: under load one node after the other is stopped in an orderly way, the standby last, and the archive is promoted: it has everything that a majority
// acknowledged. What the last node gave out provisionally is recorded as its clients come back.
func TestPlannedSwitchOver(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	s := set(t, ctx, program, stage.Options{})
	dir := filepath.Join(t.TempDir(), "archive")
	standby := startStandby(t, ctx, s, dir)
	l := crowd(t, ctx, s, 52, 600)
	loaded, stop := context.WithCancel(ctx)
	defer stop()
	var clients sync.WaitGroup
	clients.Go(func() {
		kinds := []load.Kind{stage.Insert, stage.Learn, stage.Plain}
		_ = l.Storm(loaded, load.Storm{Kinds: kinds, Sessions: 1_000_000, Workers: 8, Rate: 400, Repeats: 2})
	})
	atLeast(t, ctx, l, l.Ledger.Len()+200)
	for i, n := range s.Group.Nodes {
		if i == len(s.Group.Nodes)-1 {
			atLeast(t, ctx, l, l.Ledger.Len()+50) // without a majority
			stop()
			clients.Wait()
		}
		if err := errors.Join(n.Stop(ctx), os.RemoveAll(n.DataDir)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(silent(ctx, dir), standby.Stop(ctx)); err != nil {
		t.Fatal(err)
	}
	p, took := recoverGroup(t, ctx, s, dir, true, settleTime, func() {})
	t.Logf("%d sessions when the group was stopped; %d recovered; first answer %v after 'promote'", l.Ledger.Len(), p.Sessions, took.Round(time.Millisecond))
	lost, provisional := missing(t, ctx, s, l, p)
	if lost > provisional {
		t.Errorf("%d sessions are not in the archive, %d were provisional", lost, provisional)
	}
	comeBack(t, ctx, s, l)
	holdTables(t, ctx, s, l)
	verdict(t, l)
}

// promotedGroup is what 'promote -o json' prints.
type promotedGroup struct {
	Index, Epoch     uint64
	Sessions         int
	Proven, Silent   time.Time
	LossBoundSeconds float64
	Milliseconds     int
}

func drill(t *testing.T, seed uint64, early time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	s := set(t, ctx, program, stage.Options{})
	dir := filepath.Join(t.TempDir(), "archive")
	standby := startStandby(t, ctx, s, dir)
	l := crowd(t, ctx, s, seed, 600)
	proven(t, ctx, dir, time.Now())

	refused, out := promote(t, ctx, "--archive", dir, "--data-dir", filepath.Join(s.Dir, "never"), "--name", "n1")
	if refused != 3 || !strings.Contains(out, "the old group may still live") {
		t.Errorf("promoted beside the group: exit status %d, %s", refused, out)
	}

	loaded, stop := context.WithCancel(ctx)
	defer stop()
	var clients sync.WaitGroup
	clients.Go(func() { // requests under way when the group dies get no answer
		_ = l.Storm(loaded, load.Storm{Kinds: []load.Kind{stage.Insert}, Sessions: 1_000_000, Workers: 8, Rate: 400, Repeats: 2})
	})
	atLeast(t, ctx, l, l.Ledger.Len()+400)
	if early > 0 {
		standby.Kill()
		atLeast(t, ctx, l, l.Ledger.Len()+int(400*early.Seconds()))
	}
	died := time.Now()
	if err := s.Group.Each(func(n *group.Node) error { n.Kill(); return os.Rename(n.DataDir, n.DataDir+".old") }); err != nil {
		t.Fatal(err)
	}
	stop()
	clients.Wait()
	if early == 0 {
		if err := silent(ctx, dir); err != nil {
			t.Fatal(err)
		}
		if err := standby.Stop(ctx); err != nil {
			t.Fatal(err)
		}
	}

	p, took := recoverGroup(t, ctx, s, dir, early == 0, 2*time.Second, func() { oldDisksComeBack(t, ctx, s) })
	t.Logf("%d sessions when the group died; %d recovered, up to index %d; promotion %d ms, first answer after %v; loss bound %.3f s", l.Ledger.Len(), p.Sessions, p.Index, p.Milliseconds,
		took.Round(time.Millisecond), p.LossBoundSeconds)
	lost, _ := missing(t, ctx, s, l, p)
	if early > 0 && lost < 50 {
		t.Errorf("only %d sessions are behind the archive: the drill shows nothing", lost)
	}
	if window := died.Sub(p.Proven); window > early+2*time.Second {
		t.Errorf("the last proof is from %v before the end", window)
	}
	comeBack(t, ctx, s, l)
	holdTables(t, ctx, s, l)
	verdict(t, l)
}

// startStandby starts a standby that follows all nodes.
func startStandby(t *testing.T, ctx context.Context, s *stage.Stage, dir string) *proc.Process {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	var from []string
	for _, n := range s.Group.Nodes {
		from = append(from, n.Admin)
	}
	p, err := proc.Start(proc.Spec{Name: "standby", Path: path, Args: []string{"standby", "run", "--from", strings.Join(from, ","), "--archive", dir}, Log: filepath.Join(s.Dir, "standby.log")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Log(p.Tail(25, func(string) bool { return false }))
		}
	})
	proven(t, ctx, dir, time.Now())
	return p
}

// standbyStatus is what 'standby status -o json' prints.
type standbyStatus struct {
	Epoch          uint64
	Following      bool
	Proven, Silent time.Time
}

func statusOf(ctx context.Context, dir string) (st standbyStatus, err error) {
	path, err := program()
	if err != nil {
		return st, err
	}
	b, err := exec.CommandContext(ctx, path, "standby", "status", "--archive", dir, "-o", "json").Output()
	if err != nil {
		return st, err
	}
	return st, json.Unmarshal(b, &st)
}

// proven waits until everything that was acknowledged before a time is in the archive.
func proven(t *testing.T, ctx context.Context, dir string, at time.Time) {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	if err := proc.Poll(limited, 50*time.Millisecond, func() error {
		st, err := statusOf(ctx, dir)
		if err == nil && st.Proven.Before(at) {
			err = fmt.Errorf("proven up to %v, not %v", st.Proven, at)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// silent waits until the standby has noticed that the group is gone.
func silent(ctx context.Context, dir string) error {
	limited, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	return proc.Poll(limited, 20*time.Millisecond, func() error {
		st, err := statusOf(ctx, dir)
		if err == nil && (st.Following || st.Silent.IsZero()) {
			err = errors.New("the standby still follows")
		}
		return err
	})
}

func atLeast(t *testing.T, ctx context.Context, l *load.Load, sessions int) {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	if err := proc.Poll(limited, time.Millisecond, func() error {
		if n := l.Ledger.Len(); n < sessions {
			return fmt.Errorf("%d sessions, waiting for %d", n, sessions)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// promote runs 'holdfast promote' and gives its exit status and what it prints.
func promote(t *testing.T, ctx context.Context, arguments ...string) (status int, out string) {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, path, append([]string{"promote"}, arguments...)...)
	b, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(b)
}

// oldDisksComeBack starts the second and the third node from the disks of the old epoch, at once: without the first they are a majority of it. They end, and never start on them again.
func oldDisksComeBack(t *testing.T, ctx context.Context, s *stage.Stage) {
	t.Helper()
	old := s.Group.Nodes[1:]
	was := map[*group.Node]string{}
	for _, n := range old {
		if err := os.Rename(n.DataDir+".old", n.DataDir); err != nil {
			t.Fatal(err)
		}
		was[n] = onDisk(t, ctx, n.DataDir)
	}
	for _, words := range [][]string{{"the group is in epoch 2", "keep its data directory", "token create"}, {"out of use since"}} {
		for _, n := range old {
			if err := n.Start(); err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range old {
			limited, cancel := context.WithTimeout(ctx, settleTime)
			endsRefused(t, limited, n, words...)
			cancel()
		}
	}
	for _, n := range old {
		if now := onDisk(t, ctx, n.DataDir); now != was[n] {
			t.Errorf("%s had on its disk:\n%s\nand has:\n%s", n.Name, was[n], now)
		}
		if err := os.RemoveAll(n.DataDir); err != nil {
			t.Fatal(err)
		}
	}
}

// onDisk is what a stopped node's data directory has: up to which index, with which digest.
func onDisk(t *testing.T, ctx context.Context, dir string) string {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(ctx, path, "backup", "verify", dir, "-o", "json").Output()
	if err != nil {
		t.Fatalf("verify %s: %v", dir, err)
	}
	return string(out)
}

// recoverGroup promotes the archive and grows the group to three; then is called while there is one node. The loss bound is to be known (bounded) and below limit. It gives the time from the start of 'promote' to the first answer of the application.
func recoverGroup(t *testing.T, ctx context.Context, s *stage.Stage, dir string, bounded bool, limit time.Duration, then func()) (p promotedGroup, took time.Duration) {
	t.Helper()
	command(t, ctx, 0, "", "standby", "verify", "--archive", dir)
	was, err := statusOf(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	first := s.Group.Nodes[0]
	began := time.Now()
	status, out := promote(t, ctx, "--archive", dir, "--data-dir", first.DataDir, "--name", first.Name, "-o", "json")
	if status != 0 {
		t.Fatalf("promote: exit status %d, %s", status, out)
	}
	if err := json.Unmarshal([]byte(out), &p); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	if err := proc.Poll(ctx, 5*time.Millisecond, func() error {
		resp, err := http.Get("http://" + first.Traffic + stage.Insert.Path)
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d", resp.StatusCode)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	took = time.Since(began)
	if p.Epoch != was.Epoch+1 || p.Proven.IsZero() || bounded != (p.LossBoundSeconds > 0) || p.LossBoundSeconds > limit.Seconds() {
		t.Errorf("%s", out)
	}
	again, out := promote(t, ctx, "--archive", dir, "--data-dir", filepath.Join(s.Dir, "twice"), "--name", "n1")
	if again != 3 {
		t.Errorf("promoted twice: exit status %d, %s", again, out)
	}
	then()
	for _, n := range s.Group.Nodes[1:] {
		if err := n.Start(); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(s.Group.Ready(ctx), s.Group.Serving(ctx)); err != nil {
		t.Fatal(err)
	}
	return p, took
}

// missing counts the sessions that clients were told of and that the promoted group has not, and those that began provisionally, without a majority. Each one that is missing
// must be from behind the printed time.
func missing(t *testing.T, ctx context.Context, s *stage.Stage, l *load.Load, p promotedGroup) (lost, provisional int) {
	t.Helper()
	provisional, err := s.Group.Keys(ctx, l.Ledger, l.Sessions())
	if err != nil {
		t.Fatal(err)
	}
	table, err := s.Group.Nodes[0].Dump(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var worst time.Duration
	for _, session := range l.Sessions() {
		entry := session.Entry
		if _, there := table[entry.Key]; there {
			continue
		}
		lost++
		if !entry.First.After(p.Proven) {
			t.Errorf("session %d was acknowledged at %v, before %v, and is lost", entry.Number, entry.First, p.Proven)
		}
		if p.LossBoundSeconds > 0 {
			worst = max(worst, p.Silent.Sub(entry.First))
		}
	}
	t.Logf("%d sessions are not in the archive; the oldest is from %v before the standby lost the group", lost, worst)
	return lost, provisional
}
