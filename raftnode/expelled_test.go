package raftnode

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// TestReplacedNodeIsNotLetBackIn: a node lost its disk and came back as another member. Then the old disk turns up. It must not answer for its
// successor, whose acknowledged entries it lacks, and it must say what is wrong.
func TestReplacedNodeIsNotLetBackIn(t *testing.T) {
	g := startGroup(t, 3)
	a, _ := g.configure()
	g[0].record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1), Instance: a})
	lost := g.followers()[0]
	oldID := lost.node.ID()
	lost.crash()
	aside := t.TempDir() + "/aside"
	if err := os.Rename(lost.opt.TLSDir, aside); err != nil {
		t.Fatal(err)
	}
	lost.again()
	within(t, 30*time.Second, "the successor does not come in", func() bool { return lost.node.Ready() == nil && lost.node.Info().Voter })
	newID := lost.node.ID()
	g.leader().record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(2), Instance: a})
	lost.sync()
	lost.crash()

	newDisk := lost.opt.TLSDir
	lost.opt.TLSDir = aside
	lost.mustOpen()
	if lost.node.ID() != oldID {
		t.Fatalf("the old disk gives id %s, want %s", lost.node.ID(), oldID)
	}
	err := lost.node.Run(t.Context())
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), newID) {
		t.Errorf("the old disk's node ended with %v, want a refusal that names %s", err, newID)
	}
	if _, ok := lost.state.Lookup(testKey(2)); ok {
		t.Error("the old disk got entries in its successor's place")
	}
	lost.crash()

	lost.opt.TLSDir = newDisk
	lost.again()
	within(t, 30*time.Second, "the successor does not come back", func() bool { return lost.node.Ready() == nil })
	lost.sync()
	if _, ok := lost.state.Lookup(testKey(2)); !ok {
		t.Error("the successor lost an assignment")
	}
}
