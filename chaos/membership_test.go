package chaos

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/load"
	"github.com/holdfast-lb/holdfast/chaos/proc"
	"github.com/holdfast-lb/holdfast/chaos/stage"
)

// endsRefused waits until a node's process has ended by itself with exit status 3 and these words in its log.
func endsRefused(t *testing.T, ctx context.Context, n *group.Node, words ...string) {
	t.Helper()
	p := n.Process()
	select {
	case <-p.Done():
	case <-ctx.Done():
		t.Fatalf("%s goes on: %v", n.Name, ctx.Err())
	}
	var exit *exec.ExitError
	if !errors.As(p.Err(), &exit) || exit.ExitCode() != 3 {
		t.Errorf("%s ended with %v, want exit status 3", n.Name, p.Err())
	}
	log, err := os.ReadFile(p.LogPath())
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range words {
		if !strings.Contains(string(log), w) {
			t.Errorf("%s does not say %q", n.Name, w)
		}
	}
}

// TestMembership: under load the leader takes a new copy of the state, another node is removed and comes in again as a new one. Then all are killed, two with their disks kept aside: the third goes on from
// what it has, and those two do not get back in as they were.
func TestMembership(t *testing.T) { // UCD-24, TIP-11
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	s := set(t, ctx, program, stage.Options{})
	l := crowd(t, ctx, s, 40, 300)
	storm := func() <-chan error {
		done := make(chan error, 1)
		go func() {
			done <- l.Storm(ctx, load.Storm{Kinds: []load.Kind{stage.Insert}, Sessions: 300, Workers: 8, Repeats: 2})
		}()
		return done
	}
	leader, err := s.Group.Leader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	asked := s.Group.Other(leader)
	under := storm()
	command(t, ctx, 0, "", "node", "resync", leader.Name, "--admin", asked.Admin)
	if err := <-under; err != nil {
		t.Fatal(err)
	}
	if err := s.Group.Serving(ctx); err != nil {
		t.Fatal(err)
	}
	holdTables(t, ctx, s, l)

	if leader, err = s.Group.Leader(ctx); err != nil {
		t.Fatal(err)
	}
	asked = s.Group.Other(leader)
	declined(t, ctx, "could not survive the next failure", "node", "remove", leader.Name, "--admin", asked.Admin)
	under = storm()
	command(t, ctx, 0, "", "node", "remove", leader.Name, "--force", "--admin", asked.Admin)
	endsRefused(t, ctx, leader, "removed from its group", "token create")
	if err := <-under; err != nil {
		t.Fatal(err)
	}
	if err := leader.Start(); err != nil {
		t.Fatal(err)
	}
	endsRefused(t, ctx, leader, "out of use since")
	if err := os.RemoveAll(leader.DataDir); err != nil {
		t.Fatal(err)
	}
	if err := leader.Start(); err != nil {
		t.Fatal(err)
	}
	whole(t, ctx, s)

	if err := s.Group.Each(func(n *group.Node) error { n.Kill(); return nil }); err != nil {
		t.Fatal(err)
	}
	one, two, three := s.Group.Nodes[0], s.Group.Nodes[1], s.Group.Nodes[2]
	declined(t, ctx, "nothing was changed: with --accept-loss epoch 2 begins", "recover", "--data-dir", one.DataDir)
	command(t, ctx, 0, "", "recover", "--data-dir", one.DataDir, "--accept-loss")
	began := time.Now()
	if err := one.Start(); err != nil {
		t.Fatal(err)
	}
	if err := one.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("one node serves %s after its start", time.Since(began).Round(time.Millisecond))
	for _, n := range []*group.Node{two, three} {
		if err := n.Start(); err != nil {
			t.Fatal(err)
		}
		endsRefused(t, ctx, n, "the group is in epoch 2", "token create")
		if err := os.RemoveAll(n.DataDir); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []*group.Node{two, three} {
		if err := n.Start(); err != nil {
			t.Fatal(err)
		}
	}
	whole(t, ctx, s)
	comeBack(t, ctx, s, l)
	holdTables(t, ctx, s, l)
	verdict(t, l)
}

// whole waits until all nodes serve and vote.
func whole(t *testing.T, ctx context.Context, s *stage.Stage) {
	t.Helper()
	if err := errors.Join(s.Group.Ready(ctx), s.Group.Serving(ctx)); err != nil {
		t.Fatal(err)
	}
	poll(t, ctx, "all nodes have a vote", func() error {
		status, err := s.Group.Nodes[0].Client.Status(ctx)
		if err != nil {
			return err
		}
		voters := 0
		for _, n := range status.Nodes {
			if n.Voter && n.Ready {
				voters++
			}
		}
		if voters != len(s.Group.Nodes) || len(status.Nodes) != voters {
			return errors.New("not all of them")
		}
		return nil
	})
}

func poll(t *testing.T, ctx context.Context, what string, check func() error) {
	t.Helper()
	if err := proc.Poll(ctx, 100*time.Millisecond, check); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// declined runs a command that the state of the group does not allow: exit status 3, with these words.
func declined(t *testing.T, ctx context.Context, words string, arguments ...string) {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(ctx, path, arguments...).CombinedOutput()
	t.Logf("holdfast %s: %v\n%s", strings.Join(arguments, " "), err, out)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 || !strings.Contains(string(out), words) {
		t.Fatalf("ended with %v, want exit status 3 and %q", err, words)
	}
}
