package chaos

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/load"
	"github.com/holdfast-lb/holdfast/chaos/stage"
)

const (
	// million is how many assignments the large drill has.
	million = 1_000_000
	// answerTime bounds the time from the start of 'promote' to the first answer of an application, on a machine that has a processor for it.
	answerTime = 5 * time.Second
)

// TestDrillWithAMillion: the disaster drill with a million assignments and real processes. They come as an archive that is restored into the running group, under load, so that this is shown too: no request fails
// while all nodes switch. The promotion answers within five seconds.
func TestDrillWithAMillion(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	s := set(t, ctx, program, stage.Options{})
	small, large := filepath.Join(s.Dir, "small.hfb"), filepath.Join(s.Dir, "large.hfb")
	node := s.Group.Nodes[1]
	command(t, ctx, 0, "", "backup", "create", "--admin", node.Admin, "--to", small)
	command(t, ctx, 0, "", "sample-sessions", small, large, "--count", strconv.Itoa(million))
	l := load.New(load.Options{Targets: s.Group.Targets(), Seed: 55})
	loaded, stop := context.WithCancel(ctx)
	defer stop()
	var clients sync.WaitGroup
	clients.Go(func() { // what began behind the archive comes back by its cookies
		_ = l.Storm(loaded, load.Storm{Kinds: []load.Kind{stage.Insert}, Sessions: million, Workers: 8, Rate: 200, Repeats: 2})
	})
	atLeast(t, ctx, l, 200) // an archive of a later index than the group's is refused
	declined(t, ctx, "nothing was changed: with --accept-loss", "backup", "restore", large, "--into-group", "--admin", node.Admin)
	began := time.Now()
	command(t, ctx, 0, "", "backup", "restore", large, "--into-group", "--accept-loss", "--reason", "drill", "--admin", node.Admin)
	t.Logf("a million assignments restored into the running group in %v", time.Since(began).Round(10*time.Millisecond))
	atLeast(t, ctx, l, l.Ledger.Len()+200)
	stop()
	clients.Wait()
	sized(t, ctx, s.Group.Nodes[0], million)
	comeBack(t, ctx, s, l)

	dir := filepath.Join(t.TempDir(), "archive")
	standby := startStandby(t, ctx, s, dir)
	proven(t, ctx, dir, time.Now())
	if err := s.Group.Each(func(n *group.Node) error { n.Kill(); return os.RemoveAll(n.DataDir) }); err != nil {
		t.Fatal(err)
	}
	if err := silent(ctx, dir); err != nil {
		t.Fatal(err)
	}
	if err := standby.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	p, took := recoverGroup(t, ctx, s, dir, true, 2*time.Second, func() {})
	t.Logf("%d sessions recovered; promotion %d ms, first answer %v after 'promote'", p.Sessions, p.Milliseconds, took.Round(time.Millisecond))
	if bound := time.Duration(float64(answerTime) * crowding(t)); took > bound || p.Sessions < million {
		t.Errorf("%d sessions, first answer after %v, the bound is %v on this machine as busy as it is", p.Sessions, took, bound)
	}
	sized(t, ctx, s.Group.Nodes[2], million)
	comeBack(t, ctx, s, l)
	verdict(t, l)
	if l.Record.Failed.Load() > 0 {
		t.Errorf("requests without an answer: %s", &l.Record)
	}
}

// crowding is how many processes want each processor, at least 1: others may be at work here.
func crowding(t *testing.T) float64 {
	t.Helper()
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		t.Fatal(err)
	}
	var load float64
	if _, err := fmt.Sscan(string(b), &load); err != nil {
		t.Fatal(err)
	}
	return max(1, load/float64(runtime.NumCPU()))
}

// sized waits until a node has at least so many assignments.
func sized(t *testing.T, ctx context.Context, n *group.Node, least int) {
	t.Helper()
	poll(t, ctx, "assignments", func() error {
		status, err := n.Client.Status(ctx)
		if err == nil && status.Sessions < least {
			err = fmt.Errorf("%d assignments, waiting for %d", status.Sessions, least)
		}
		return err
	})
}
