package chaos

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/operate"
	"github.com/holdfast-lb/holdfast/chaos/stage"
)

// edits is how many changes a test makes: HOLDFAST_EDITS, or the fallback.
func edits(t *testing.T, fallback int) int {
	t.Helper()
	text := os.Getenv("HOLDFAST_EDITS")
	if text == "" {
		return fallback
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("HOLDFAST_EDITS=%q is no number of changes", text)
	}
	return n
}

// target is the module of one of the stage's clusters.
func target(s *stage.Stage, cluster, page string) operate.Target {
	t := operate.Target{Cluster: cluster, Path: "/" + cluster + page}
	for _, n := range s.Group.Nodes {
		t.Nodes = append(t.Nodes, n.Traffic)
	}
	return t
}

// operated is a stage with six instances, and the model of its configuration.
func operated(t *testing.T, ctx context.Context) (*stage.Stage, *operate.Fate, *operate.Model) {
	t.Helper()
	s := set(t, ctx, program, stage.Options{Instances: 6})
	addresses := map[string]string{}
	for _, instance := range s.Instances {
		addresses[instance.Name] = instance.Addr
	}
	fate := operate.NewFate()
	return s, fate, operate.NewModel(fate, []string{"insert", "learn", "plain"}, addresses)
}

// TestRandomEditsUnderLoad: 2,000 random changes of the configuration (make test-long: 10,000) while 600 sticky clients go on and 1,000 WebSockets are open. No session leaves an
// instance that no change has named, nobody is served by an instance that has been stopped, no WebSocket closes.
func TestRandomEditsUnderLoad(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	s, fate, model := operated(t, ctx)
	crowd := operate.NewCrowd(fate, []operate.Target{target(s, "insert", "/page"), target(s, "learn", "/page"), target(s, "plain", "/page")}, 600)
	defer crowd.Close()
	random := rand.New(rand.NewPCG(40, 0))
	crowd.All(ctx, 8, random)
	sockets, err := operate.OpenSockets(target(s, "insert", "/ws"), 1000)
	if err != nil {
		t.Fatal(err)
	}
	defer sockets.Close()

	loaded, stop := context.WithCancel(ctx)
	var clients sync.WaitGroup
	clients.Go(func() { crowd.Run(loaded, 4, 4*time.Millisecond, 41) })
	began := time.Now()
	changes := 2_000
	if long() {
		changes = 10_000
	}
	result, err := operate.Storm{Changes: edits(t, changes)}.Run(ctx, s.Group.Operator(), model, random)
	took := time.Since(began)
	stop()
	clients.Wait()
	if err != nil {
		t.Error(err)
	}
	crowd.All(ctx, 8, random)
	t.Logf("%d changes in %s, %d requests, %d sessions moved", result.Changes, took.Round(time.Millisecond), crowd.Asked.Load(), crowd.Moved.Load())
	if crowd.Moved.Load() == 0 || crowd.Asked.Load() < int64(result.Changes) {
		t.Error("the test did not test: no session moved, or there was no load")
	}
	for i, broken := range crowd.Broken() {
		if i < 10 {
			t.Error(broken)
		}
	}
	if err := sockets.Check(); err != nil {
		t.Error(err)
	}
	if _, err := s.Group.Equal(ctx); err != nil {
		t.Error(err)
	}
	if err := s.Group.Operator().Holds(ctx, model); err != nil {
		t.Error(err)
	}
}

// TestPlanPredictsApply: 1,000 random changes, each planned first; what the plan says about quiesces and sessions is what then happens, and so many
// sessions are elsewhere at their next request as it said.
func TestPlanPredictsApply(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	s, fate, model := operated(t, ctx)
	crowd := operate.NewCrowd(fate, []operate.Target{target(s, "insert", "/page")}, 60)
	defer crowd.Close()
	random := rand.New(rand.NewPCG(50, 0))
	crowd.All(ctx, 4, random)
	moved := 0
	storm := operate.Storm{Changes: edits(t, 1000), PlanEvery: 1, Done: func(n int, o operate.Outcome) {
		if o.Displaced == 0 && n%20 != 0 {
			return
		}
		before := crowd.Places()
		crowd.All(ctx, 4, random)
		elsewhere := 0
		for i, place := range crowd.Places() {
			if place != before[i] {
				elsewhere++
			}
		}
		moved += elsewhere
		if elsewhere != o.Displaced {
			t.Errorf("change %d: %d sessions were to leave, %d left", n, o.Displaced, elsewhere)
		}
	}}
	op := s.Group.Operator()
	op.Wait = 20 * time.Second
	result, err := storm.Run(ctx, op, model, random)
	if err != nil {
		t.Error(err)
	}
	for i, wrong := range result.Wrong {
		if i < 5 {
			t.Error(wrong)
		}
	}
	for i, broken := range crowd.Broken() {
		if i < 10 {
			t.Error(broken)
		}
	}
	t.Logf("%d changes, %d planned, %d wrong, %d overtaken by the end of a quiesce, %d sessions moved", result.Changes, result.Planned, len(result.Wrong), result.Overtaken, moved)
	if moved == 0 || result.Overtaken > result.Planned/10 {
		t.Error("the test did not test: no session moved, or too many plans were overtaken")
	}
}
