package chaos

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/load"
	"github.com/holdfast-lb/holdfast/chaos/stage"
)

// TestRestoredFromABackup: all nodes are killed and their disks removed; what a backup holds goes on where it was, and what came after it is repaired from the
// cookies of insert affinity.
func TestRestoredFromABackup(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	s := set(t, ctx, program, stage.Options{})
	l := crowd(t, ctx, s, 40, 600)
	leader, err := s.Group.Leader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	archives := t.TempDir()
	from := s.Group.Other(leader)
	command(t, ctx, 0, "", "backup", "create", "--admin", from.Admin, "--to", archives, "--keep", "3")
	list, err := filepath.Glob(filepath.Join(archives, "*.hfb"))
	if err != nil || len(list) != 1 {
		t.Fatalf("archives: %v, %v", list, err)
	}
	command(t, ctx, 0, "", "backup", "verify", list[0])
	command(t, ctx, 1, "locked", "backup", "verify", from.DataDir) // it runs

	// These the archive does not have.
	if err := l.Storm(ctx, load.Storm{Kinds: []load.Kind{stage.Insert}, Sessions: 150, Workers: 8, Repeats: 1}); err != nil {
		t.Fatal(err)
	}
	if err := s.Group.Each(func(n *group.Node) error { n.Kill(); return os.RemoveAll(n.DataDir) }); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	first := s.Group.Nodes[0]
	command(t, ctx, 0, "", "backup", "restore", list[0], "--data-dir", first.DataDir, "--name", first.Name)
	command(t, ctx, 3, "is not empty", "backup", "restore", list[0], "--data-dir", first.DataDir, "--name", first.Name)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	if err := first.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("one node serves %s after the restore began", time.Since(began).Round(time.Millisecond))
	if err := s.Group.Nodes[1].Start(); err != nil {
		t.Fatal(err)
	}
	if err := s.Group.Nodes[2].Start(); err != nil {
		t.Fatal(err)
	}
	if err := s.Group.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.Group.Serving(ctx); err != nil {
		t.Fatal(err)
	}
	comeBack(t, ctx, s, l)
	holdTables(t, ctx, s, l)
	verdict(t, l)
	status, err := first.Client.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if status.Group.Epoch != 2 || len(status.Nodes) != 3 {
		t.Errorf("epoch %d, %d nodes", status.Group.Epoch, len(status.Nodes))
	}

	// The restored group gives backups too, and so does the disk of a node that is stopped.
	command(t, ctx, 0, "", "backup", "create", "--admin", first.Admin, "--to", archives)
	last := s.Group.Nodes[2]
	if err := last.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	command(t, ctx, 0, "", "backup", "verify", last.DataDir)
	command(t, ctx, 0, "", "backup", "create", "--data-dir", last.DataDir, "--to", filepath.Join(archives, "offline.hfb"))
	list, err = filepath.Glob(filepath.Join(archives, "*.hfb"))
	if err != nil || len(list) != 3 {
		t.Fatalf("archives: %v, %v", list, err)
	}
	command(t, ctx, 0, "", append([]string{"backup", "verify"}, list...)...)
}

// command runs the program as an operator does. It is to end with that status, and to have words in its answer.
func command(t *testing.T, ctx context.Context, status int, words string, arguments ...string) {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, path, arguments...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	t.Logf("holdfast %s: %v\n%s", strings.Join(arguments, " "), err, &out)
	if got := cmd.ProcessState.ExitCode(); got != status || !strings.Contains(out.String(), words) {
		t.Fatalf("exit status %d, want %d, and %q in the answer", got, status, words)
	}
}
