package chaos

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/built"
	"github.com/holdfast-lb/holdfast/chaos/load"
	"github.com/holdfast-lb/holdfast/chaos/stage"
)

func TestMain(m *testing.M) { os.Exit(built.Main(m)) }

var (
	program = built.Program
	// mutants is the same with the known bugs, which HOLDFAST_MUTANT switches on.
	mutants = built.With("mutants", "-tags", "mutants")
)

// set sets a stage that is struck when the test ends.
func set(t *testing.T, ctx context.Context, binary func() (string, error), o stage.Options) *stage.Stage {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	o.Binary, o.Parent = path, t.TempDir()
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	s, err := stage.Start(limited, o)
	if err != nil {
		t.Fatalf("set the stage: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("last lines of the nodes' logs:\n%s", s.Group.Tails(25))
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// crowd makes sessions of all kinds through all nodes.
func crowd(t *testing.T, ctx context.Context, s *stage.Stage, seed uint64, sessions int) *load.Load {
	t.Helper()
	l := load.New(load.Options{Targets: s.Group.Targets(), Seed: seed})
	kinds := []load.Kind{stage.Insert, stage.Insert, stage.Learn, stage.Plain}
	if err := l.Storm(ctx, load.Storm{Kinds: kinds, Sessions: sessions, Workers: 16, Repeats: 2}); err != nil {
		t.Fatal(err)
	}
	if l.Record.Retried.Load() > 0 {
		t.Errorf("clients had to retry though nothing was done to the group: %s", &l.Record)
	}
	return l
}

// verdict fails the test when a promise was broken.
func verdict(t *testing.T, l *load.Load) {
	t.Helper()
	kept, broken := l.Ledger.Violations()
	for _, v := range kept[:min(len(kept), 10)] {
		t.Error(v)
	}
	if broken > 0 {
		t.Errorf("%d violations in all", broken)
	}
	t.Logf("%d sessions; %s", l.Ledger.Len(), &l.Record)
}

// holdTables settles the group and holds all tables against all sessions. It returns how many sessions were provisional.
func holdTables(t *testing.T, ctx context.Context, s *stage.Stage, l *load.Load) int {
	t.Helper()
	if _, err := settled(ctx, s.Group, l.Ledger); err != nil {
		t.Fatal(err)
	}
	provisional, err := s.Group.Keys(ctx, l.Ledger, l.Sessions())
	if err != nil {
		t.Fatal(err)
	}
	kept, err := tables(ctx, s.Group, l.Ledger, provisional)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("every node has %d of %d sessions; %d began provisionally", kept, l.Ledger.Len(), provisional)
	return provisional
}

// comeBack lets every client send one more request through every node.
func comeBack(t *testing.T, ctx context.Context, s *stage.Stage, l *load.Load) {
	t.Helper()
	if err := l.Revisit(ctx, l.Sessions(), 16, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := settled(ctx, s.Group, l.Ledger); err != nil {
		t.Fatal(err)
	}
}
