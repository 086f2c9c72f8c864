package chaos

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/load"
	"github.com/holdfast-lb/holdfast/chaos/proc"
	"github.com/holdfast-lb/holdfast/chaos/stage"
)

// underLoad makes new sessions and repeats known ones while do runs; some before and some after it.
func underLoad(t *testing.T, ctx context.Context, l *load.Load, do func()) {
	t.Helper()
	underLoadOf(t, ctx, l, 400, do)
}

// underLoadOf is underLoad with so many new sessions a second.
func underLoadOf(t *testing.T, ctx context.Context, l *load.Load, rate float64, do func()) {
	t.Helper()
	loaded, stop := context.WithCancel(ctx)
	defer stop()
	var clients sync.WaitGroup
	var err error
	kinds := []load.Kind{stage.Insert, stage.Learn, stage.Plain}
	clients.Go(func() {
		// Far more than the time suffices for: stop ends it.
		err = l.Storm(loaded, load.Storm{Kinds: kinds, Sessions: 1_000_000, Workers: 8, Rate: rate, Repeats: 4})
	})
	more := func(sessions int) {
		t.Helper()
		limited, cancel := context.WithTimeout(ctx, settleTime)
		defer cancel()
		want := l.Ledger.Len() + sessions
		err := proc.Poll(limited, 10*time.Millisecond, func() error {
			if n := l.Ledger.Len(); n < want {
				return fmt.Errorf("%d sessions, waiting for %d", n, want)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	more(200)
	do()
	more(200)
	stop()
	clients.Wait()
	if err != nil || l.Record.Failed.Load() > 0 {
		t.Errorf("requests without an answer: %v; %s", err, &l.Record)
	}
}

// TestFollowersKilled: one follower after the other is killed under load and comes back; nobody notices.
func TestFollowersKilled(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s := set(t, ctx, program, stage.Options{})
	l := crowd(t, ctx, s, 30, 500)
	leader, err := s.Group.Leader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	underLoad(t, ctx, l, func() {
		for _, n := range s.Group.Nodes {
			if n == leader {
				continue
			}
			n.Kill()
			if err := n.Restart(ctx); err != nil {
				t.Error(err)
			}
		}
	})
	if still, err := s.Group.Leader(ctx); err != nil {
		t.Error(err)
	} else if still != leader { // legal, and on a starved machine it happens
		t.Logf("leadership went from %s to %s though only followers died", leader.Name, still.Name)
	}
	if provisional := holdTables(t, ctx, s, l); provisional > 0 {
		t.Errorf("%d sessions began provisionally though there was a quorum all the time", provisional)
	}
	comeBack(t, ctx, s, l)
	verdict(t, l)
}

// TestWholeGroupKilled: all three nodes are killed at once under load and come back, in another order, with the whole state.
func TestWholeGroupKilled(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s := set(t, ctx, program, stage.Options{})
	l := crowd(t, ctx, s, 31, 2000)
	underLoad(t, ctx, l, func() {
		if err := s.Group.Each(func(n *group.Node) error { n.Kill(); return nil }); err != nil {
			t.Error(err)
		}
		began := time.Now()
		if err := s.Group.Start(ctx, 2, 0, 1); err != nil {
			t.Error(err)
			return
		}
		t.Logf("all nodes are ready %s after the start", time.Since(began).Round(time.Millisecond))
	})
	holdTables(t, ctx, s, l)
	comeBack(t, ctx, s, l)
	verdict(t, l)
}

// TestRollingRestart: one node after the other is stopped in an orderly way and started again; no session changes, no request
// fails.
func TestRollingRestart(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s := set(t, ctx, program, stage.Options{})
	l := crowd(t, ctx, s, 32, 1000)
	underLoad(t, ctx, l, func() {
		for _, n := range s.Group.Nodes {
			limited, cancel := context.WithTimeout(ctx, 20*time.Second)
			began := time.Now()
			if err := n.Stop(limited); err != nil {
				t.Error(err)
			}
			stopped := time.Since(began)
			if err := n.Restart(ctx); err != nil {
				t.Error(err)
			}
			cancel()
			if _, err := s.Group.Leader(ctx); err != nil {
				t.Error(err)
			}
			t.Logf("node %s stopped in %s, back after %s", n.Name, stopped.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
		}
	})
	holdTables(t, ctx, s, l)
	comeBack(t, ctx, s, l)
	verdict(t, l)
}
