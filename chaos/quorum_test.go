package chaos

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/load"
	"github.com/holdfast-lb/holdfast/chaos/proc"
	"github.com/holdfast-lb/holdfast/chaos/stage"
)

// TestANodeWithoutItsGroup: a node that loses the other two serves the sessions it knows, gives new ones a provisional cookie,
// and has them recorded, on the same instances, when there is a quorum again.
func TestANodeWithoutItsGroup(t *testing.T) {
	for name, c := range map[string]struct {
		leaderSurvives bool
		hurt           func(*group.Node) error
		heal           func(context.Context, *group.Node) error
	}{
		"others frozen, a leader left": {
			true,
			func(n *group.Node) error { return n.Process().Freeze() },
			func(_ context.Context, n *group.Node) error { return n.Process().Thaw() },
		},
		"others killed, a follower left": {
			false,
			func(n *group.Node) error { n.Kill(); return nil },
			func(ctx context.Context, n *group.Node) error { return n.Restart(ctx) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			s := set(t, ctx, program, stage.Options{})
			l := crowd(t, ctx, s, 21, 400)
			// What the survivor has not applied when it loses the others, it cannot know: it is to be told everything first.
			if _, err := settled(ctx, s.Group, l.Ledger); err != nil {
				t.Fatal(err)
			}
			survivor := chooseSurvivor(t, ctx, s, c.leaderSurvives)
			others := func(do func(*group.Node) error) {
				t.Helper()
				err := s.Group.Each(func(n *group.Node) error {
					if n == s.Group.Nodes[survivor] {
						return nil
					}
					return do(n)
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			others(c.hurt)
			awaitQuorum(t, ctx, s.Group.Nodes[survivor], false)
			serveAlone(t, ctx, l, survivor)
			others(func(n *group.Node) error { return c.heal(ctx, n) })
			awaitQuorum(t, ctx, s.Group.Nodes[survivor], true)
			if provisional := holdTables(t, ctx, s, l); provisional != newAlone {
				t.Errorf("%d sessions began provisionally, not %d", provisional, newAlone)
			}
			comeBack(t, ctx, s, l)
			verdict(t, l)
		})
	}
}

// newAlone is how many sessions begin while there is no quorum.
const newAlone = 150

func chooseSurvivor(t *testing.T, ctx context.Context, s *stage.Stage, leader bool) int {
	t.Helper()
	leads, err := s.Group.Leader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range s.Group.Nodes {
		if (n == leads) == leader {
			return i
		}
	}
	t.Fatal("no such node")
	return 0
}

func awaitQuorum(t *testing.T, ctx context.Context, n *group.Node, want bool) {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	err := proc.Poll(limited, 20*time.Millisecond, func() error {
		status, err := n.Client.Status(limited, client.Stale())
		if err != nil {
			return err
		}
		if status.Quorum != want {
			return fmt.Errorf("node %s says quorum: %v", n.Name, status.Quorum)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// serveAlone: known sessions go on, new ones are served, and both stay where they are; nothing waits long.
func serveAlone(t *testing.T, ctx context.Context, l *load.Load, node int) {
	t.Helper()
	w := l.Worker()
	defer w.Close()
	known, retried := l.Sessions(), l.Record.Retried.Load()
	began := time.Now()
	for _, s := range known {
		if err := w.Visit(ctx, s, node); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d known sessions in %s", len(known), time.Since(began).Round(time.Millisecond))
	began = time.Now()
	var errs []error
	for i := range newAlone {
		kind := []load.Kind{stage.Insert, stage.Learn, stage.Plain}[i%3]
		s, err := w.Start(ctx, kind, node)
		if err != nil {
			t.Fatal(err)
		}
		if s.Jar.Get(stage.Insert.Cookie) == "" {
			errs = append(errs, fmt.Errorf("a new %s session got no provisional cookie: %q", kind.Name, s.Jar.Header()))
		}
		for range 2 {
			if err := w.Visit(ctx, s, node); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	t.Logf("%d new sessions with 2 more requests each in %s; %s", newAlone, time.Since(began).Round(time.Millisecond), &l.Record)
	if l.Record.Retried.Load() > retried || l.Record.Failed.Load() > 0 {
		t.Errorf("clients had to retry: %s", &l.Record)
	}
}
