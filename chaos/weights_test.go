package chaos

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/load"
	"github.com/holdfast-lb/holdfast/chaos/operate"
	"github.com/holdfast-lb/holdfast/chaos/stage"
)

// shareSessions is over how many new sessions the shares of the weights must be right within 1 %.
const shareSessions = 30_000

// TestWeightsAreTheSharesOfNewSessions: the document's weights (1 and 2; then 1, 2 and 1; then the first is down) over 30,000 new sessions each, spread over
// three nodes; and the same while the weights change and an instance dies.
func TestWeightsAreTheSharesOfNewSessions(t *testing.T) { // WAS-15, WAS-16, WAS-17
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	s := set(t, ctx, program, stage.Options{})
	op := s.Group.Operator()
	change := func(edits ...operate.Edit) {
		t.Helper()
		if err := op.Edit(ctx, edits...); err != nil {
			t.Fatal(err)
		}
	}
	weight := func(instance string, w int) operate.Edit {
		return operate.Edit{Op: "set", Kind: "instance", Cluster: "insert", Name: instance, Values: map[string]any{"weight": w}}
	}
	change(operate.Edit{Op: "set", Kind: "cluster", Name: "insert", Values: map[string]any{"policy": "weighted-round-robin"}},
		weight("instance2", 2), operate.Edit{Op: "disable", Kind: "instance", Cluster: "insert", Name: "instance3"})
	shares(t, ctx, s, "weights 1 and 2", nil, map[string]float64{"instance1": 1. / 3, "instance2": 2. / 3})

	change(operate.Edit{Op: "enable", Kind: "instance", Cluster: "insert", Name: "instance3"})
	shares(t, ctx, s, "weights 1, 2 and 1", nil, map[string]float64{"instance1": 0.25, "instance2": 0.5, "instance3": 0.25})

	swap := func() { change(weight("instance1", 2), weight("instance2", 1), weight("instance3", 2)) }
	shares(t, ctx, s, "1, 2, 1, and after half of them 2, 1, 2", swap, map[string]float64{
		"instance1": (0.25 + 0.4) / 2, "instance2": (0.5 + 0.2) / 2, "instance3": (0.25 + 0.4) / 2})

	change(weight("instance1", 1), weight("instance2", 2), weight("instance3", 1))
	die := func() { s.Instances[0].Process.Kill() }
	shares(t, ctx, s, "the first dies after half of them", die, map[string]float64{
		"instance1": 0.25 / 2, "instance2": (0.5 + 2./3) / 2, "instance3": (0.25 + 1./3) / 2})
	shares(t, ctx, s, "the first is down", nil, map[string]float64{"instance2": 2. / 3, "instance3": 1. / 3})
}

// shares makes the sessions, does something after half of them, and holds the shares of the instances against those wanted.
func shares(t *testing.T, ctx context.Context, s *stage.Stage, what string, halfway func(), want map[string]float64) {
	t.Helper()
	before := sessionsOf(t, ctx, s.Group, "insert")
	l := load.New(load.Options{Targets: s.Group.Targets(), Seed: 70})
	for half := range 2 {
		if half == 1 && halfway != nil {
			halfway()
		}
		if err := l.Storm(ctx, load.Storm{Kinds: []load.Kind{stage.Insert}, Sessions: shareSessions / 2, Workers: 32}); err != nil {
			t.Fatal(err)
		}
	}
	after := sessionsOf(t, ctx, s.Group, "insert")
	for _, name := range []string{"instance1", "instance2", "instance3"} {
		share := float64(after[name]-before[name]) / shareSessions
		if math.Abs(share-want[name]) > 0.01 {
			t.Errorf("%s: %s has %.4f of the new sessions, want %.4f", what, name, share, want[name])
		}
		t.Logf("%s: %s %.4f (%.4f)", what, name, share, want[name])
	}
}

// sessionsOf is the replicated count of the sessions of a cluster's instances.
func sessionsOf(t *testing.T, ctx context.Context, g *group.Group, cluster string) map[string]int {
	t.Helper()
	status, err := g.Nodes[0].Client.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, c := range status.Clusters {
		for _, in := range c.Instances {
			if c.Name == cluster {
				count[in.Name] = in.Sessions
			}
		}
	}
	return count
}
