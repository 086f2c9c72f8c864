package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/built"
	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/load"
	"github.com/holdfast-lb/holdfast/chaos/proc"
	"github.com/holdfast-lb/holdfast/chaos/stage"
	"github.com/holdfast-lb/holdfast/internal/failpoint"
)

// failing is the program with the points at which it can be told to kill itself.
var failing = built.With("failpoints", "-tags", "failpoints")

// burst is how many sessions begin while a process dies.
const burst = 24

// crash is a stage on which processes die at points.
type crash struct {
	*testing.T
	ctx context.Context
	s   *stage.Stage
	l   *load.Load
	// nodes is where the points of nodes are armed, commands where those of commands are.
	nodes, commands string
	reached         map[failpoint.Point]int
	known           int // sessions whose keys are known
	dir             string
}

// TestKilledAtEveryPoint: a process kills itself, under load, before and after each step of a log write, a compaction, a snapshot, a backup, a restore, a promotion and a change of the membership. It starts
// again, the group is one, nothing that was acknowledged is missing on any node, and what was interrupted can be done again. The test fails for a point of the list that no process got to.
func TestKilledAtEveryPoint(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	c := &crash{T: t, ctx: ctx, nodes: t.TempDir(), commands: t.TempDir(), dir: t.TempDir(), reached: map[failpoint.Point]int{}}
	c.s = set(t, ctx, failing, stage.Options{Env: []string{failpoint.Env(c.nodes)}})
	c.l = load.New(load.Options{Targets: c.s.Group.Targets(), Seed: 60})
	c.during(func() {})
	began := time.Now()
	only := os.Getenv("HOLDFAST_CHAOS_PARTS") // as in "snapshot,resync": to repeat these alone
	for _, part := range []struct {
		name string
		do   func()
	}{
		{"log", c.killLog}, {"snapshot", c.killSnapshot}, {"backup", c.killBackup}, {"upload", c.killUpload}, {"regroup", c.killRegroup}, {"resync", c.killResync}, {"membership", c.killMembership},
		{"promote", c.killPromote}, {"offline", c.killOffline},
	} {
		if only != "" && !strings.Contains(only, part.name) {
			continue
		}
		start := time.Now()
		part.do()
		t.Logf("%s: %v", part.name, time.Since(start).Round(100*time.Millisecond))
	}
	for _, p := range failpoint.Points() {
		if only == "" && c.reached[p] == 0 {
			t.Errorf("no process got to %s", p)
		}
	}
	total := 0
	for _, n := range c.reached {
		total += n
	}
	t.Logf("%d processes died at %d points, in %v", total, len(c.reached), time.Since(began).Round(time.Second))
	verdict(t, c.l)
}

// during lets sessions begin beside do, and holds all tables against all that clients were told.
func (c *crash) during(do func()) { c.Helper(); c.beside(1, do) }

// beside is during with so many further requests of each new session at most.
func (c *crash) beside(repeats int, do func()) {
	c.Helper()
	ctx, stop := context.WithTimeout(c.ctx, time.Minute)
	defer stop()
	var all sync.WaitGroup
	var err error
	all.Go(func() {
		err = c.l.Storm(ctx, load.Storm{Kinds: []load.Kind{stage.Insert, stage.Learn, stage.Plain}, Sessions: burst, Workers: 4, Rate: 150, Repeats: repeats})
	})
	do()
	all.Wait()
	if err != nil {
		c.Fatal(err)
	}
	c.whole()
}

// whole waits until all nodes run, are ready, vote and agree, and holds their tables against the ledger.
func (c *crash) whole() {
	c.Helper()
	for _, n := range c.s.Group.Nodes {
		if !n.Alive() {
			c.Fatalf("node %s does not run: %v\n%s", n.Name, n.Process().Err(), n.Process().Tail(8, func(string) bool { return false }))
		}
	}
	limited, cancel := context.WithTimeout(c.ctx, settleTime)
	defer cancel()
	whole(c.T, limited, c.s)
	if _, err := settled(c.ctx, c.s.Group, c.l.Ledger); err != nil {
		c.Fatal(err)
	}
	sessions := c.l.Sessions()
	fresh := sessions[c.known:]
	provisional, err := c.s.Group.Keys(c.ctx, c.l.Ledger, fresh)
	if err == nil && provisional > 0 { // of a node that was out of the group: they are recorded when their clients come back
		if err = c.l.Revisit(c.ctx, fresh, 4, 1); err == nil {
			_, err = settled(c.ctx, c.s.Group, c.l.Ledger)
		}
	}
	if err != nil {
		c.Fatal(err)
	}
	c.known = len(sessions)
	if _, err := tables(c.ctx, c.s.Group, c.l.Ledger, provisional); err != nil {
		c.Fatal(err)
	}
	if _, broken := c.l.Ledger.Violations(); broken > 0 {
		verdict(c.T, c.l)
		c.FailNow()
	}
}

func (c *crash) arm(dir string, p failpoint.Point) {
	c.Helper()
	if err := failpoint.Arm(dir, p); err != nil {
		c.Fatal(err)
	}
}

// dead waits until a node has died at the point, and gives it.
func (c *crash) dead(p failpoint.Point) *group.Node {
	c.Helper()
	var gone *group.Node
	limited, cancel := context.WithTimeout(c.ctx, settleTime)
	defer cancel()
	if err := proc.Poll(limited, 5*time.Millisecond, func() error {
		for _, n := range c.s.Group.Nodes {
			if !n.Alive() && failpoint.Reached(c.nodes, p) {
				gone = n
				return nil
			}
		}
		return fmt.Errorf("no node has died at %s", p)
	}); err != nil {
		c.Fatal(err)
	}
	c.killed(gone.Process().Err(), p)
	return gone
}

// killed notes that a process has ended by its own SIGKILL.
func (c *crash) killed(err error, p failpoint.Point) {
	c.Helper()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		c.Fatalf("%s: ended with %v", p, err)
	}
	c.reached[p]++
}

// restart starts a node again that died, which takes part until it is told otherwise.
func (c *crash) restart(n *group.Node) {
	c.Helper()
	if err := n.Start(); err != nil {
		c.Fatal(err)
	}
}

// try runs the program with its points armed in dir (empty: nowhere), and gives how it ended.
func (c *crash) try(dir string, arguments ...string) (string, error) {
	c.Helper()
	path, err := failing()
	if err != nil {
		c.Fatal(err)
	}
	limited, cancel := context.WithTimeout(c.ctx, settleTime)
	defer cancel()
	cmd := exec.CommandContext(limited, path, arguments...)
	cmd.Env = append(os.Environ(), c.storeEnv()...)
	if dir != "" {
		cmd.Env = append(cmd.Env, failpoint.Env(dir))
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return out.String(), err
}

// must runs the program, which is to succeed.
func (c *crash) must(arguments ...string) string {
	c.Helper()
	out, err := c.try("", arguments...)
	if err != nil {
		c.Fatalf("holdfast %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
	return out
}

// again runs the program until it succeeds: on a busy machine the leadership may move in the middle, and then it says that nothing was done.
func (c *crash) again(arguments ...string) {
	c.Helper()
	limited, cancel := context.WithTimeout(c.ctx, settleTime)
	defer cancel()
	if err := proc.Poll(limited, 200*time.Millisecond, func() error {
		out, err := c.try("", arguments...)
		if err != nil {
			return fmt.Errorf("holdfast %s: %w\n%s", strings.Join(arguments, " "), err, out)
		}
		return nil
	}); err != nil {
		c.Fatal(err)
	}
}

// dies runs a command that kills itself at the point.
func (c *crash) dies(p failpoint.Point, arguments ...string) {
	c.Helper()
	c.arm(c.commands, p)
	out, err := c.try(c.commands, arguments...)
	if !failpoint.Reached(c.commands, p) {
		c.Fatalf("%s was not reached: %v\n%s", p, err, out)
	}
	c.killed(err, p)
}

// nodeDies has a node die at the point, under load, while act runs, which may fail then. The node starts again, and all is well.
func (c *crash) nodeDies(p failpoint.Point, act func()) {
	c.Helper()
	c.during(func() {
		c.arm(c.nodes, p)
		act()
		c.restart(c.dead(p))
	})
}

// archives lists what has a name in a directory.
func archivesIn(t *testing.T, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*.hfb"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list
}
