package server

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/fsm/workflow"
)

// fakeHooks remembers calls and answers what answer says.
type fakeHooks struct {
	mu     sync.Mutex
	calls  []workflow.Call
	answer func(ctx context.Context, c *workflow.Call, number int) workflow.Outcome
}

func (h *fakeHooks) Call(ctx context.Context, c *workflow.Call) workflow.Outcome {
	h.mu.Lock()
	h.calls = append(h.calls, *c)
	number := len(h.calls)
	h.mu.Unlock()
	if h.answer != nil {
		return h.answer(ctx, c, number)
	}
	return workflow.Outcome{}
}

func (h *fakeHooks) keys() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []string
	for _, c := range h.calls {
		list = append(list, c.Key)
	}
	return list
}

func runner(g *workGroup, h *fakeHooks) *workflowRunner {
	return &workflowRunner{group: g, hooks: h, log: slog.New(slog.DiscardHandler), clock: time.Now}
}

// lead runs terms, each until kill is called or the bubble's test ends it.
type leader struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func lead(g *workGroup, h *fakeHooks, term uint64) *leader {
	ctx, cancel := context.WithCancel(context.Background())
	l := &leader{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		runner(g, h).Run(ctx, term)
	}()
	return l
}

func (l *leader) kill() { l.cancel(); <-l.done }

var upgradeSpec = map[string]any{
	"clusters": []string{"c1", "c2"}, "version": "2.1",
	"hooks": map[string]string{"stop": "https://deploy.example/stop", "upgrade": "exec:upgrade", "start": "https://deploy.example/start"},
	"gate":  map[string]any{"type": "soak", "duration": "5m"}, "quiesceTimeout": "5m",
}

var upgradeKeys = []string{"w1.1.stop", "w1.1.upgrade", "w1.1.start", "w1.2.stop", "w1.2.upgrade", "w1.2.start"}

// TestUpgradeClusterByCluster: all instances of a cluster are disabled together, the hooks come in order once nothing is in flight, and the next cluster
// begins when the one before is enabled and has soaked. SUN-69, SUN-70, SUN-73
func TestUpgradeClusterByCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, h := newWorkGroup(t, twoClusters), &fakeHooks{}
		h.answer = func(_ context.Context, c *workflow.Call, _ int) workflow.Outcome {
			o := g.Operating()
			for _, cl := range o.Config.Clusters {
				for i := range cl.Instances {
					in := &cl.Instances[i]
					if want := cl.Name != c.Target.Cluster; in.Enabled != want || len(o.Quiesces) > 0 || !want && g.inFlightOf(in.Name) != 0 {
						t.Errorf("%s of %s is called while %s of %s is enabled=%v", c.Step, c.Target.Cluster, in.Name, cl.Name, in.Enabled)
					}
				}
			}
			return workflow.Outcome{}
		}
		g.edit(func(*fsm.Operating) { g.flight["a1"] = 3 })
		start := time.Now()
		g.start(t, workflow.KindUpgrade, upgradeSpec)
		l := lead(g, h, 1)
		time.Sleep(5*time.Minute + 30*time.Second) // quiesced: the workflow's five minutes, not the configuration's ten
		if n := len(h.keys()); n != 0 || !strings.Contains(g.workflow().Note, "requests in flight") {
			t.Errorf("%d hooks were called with requests in flight; note %q", n, g.workflow().Note)
		}
		g.edit(func(*fsm.Operating) { delete(g.flight, "a1") })
		time.Sleep(time.Second)
		if keys := h.keys(); !slices.Equal(keys, upgradeKeys[:3]) {
			t.Errorf("keys %v", keys)
		}
		if c1 := g.Operating().Config.Clusters[0]; !c1.Instances[0].Enabled || !c1.Instances[1].Enabled || c1.Instances[1].Version != "2.1" {
			t.Errorf("c1 after its upgrade: %+v", c1.Instances)
		}
		time.Sleep(11 * time.Minute) // soak, and quiesce of c2
		l.kill()
		if w := g.workflow(); w.State != workflow.Done || time.Since(start) > 17*time.Minute {
			t.Errorf("state %s, %s", w.State, w.Note)
		}
		if keys := h.keys(); !slices.Equal(keys, upgradeKeys) {
			t.Errorf("keys %v", keys)
		}
		if _, _, changes := g.counts(); changes != 4 { // disable and enable of each cluster: one transaction each
			t.Errorf("%d configuration changes, want 4", changes)
		}
	})
}

// TestLeaderKilledAfterEveryStep: whichever proposal the leader dies at, before it is applied or after, the next one goes on: one end, the same keys, one
// disable and one enable of each instance. SUN-69
func TestLeaderKilledAfterEveryStep(t *testing.T) {
	specs := map[string]struct {
		kind string
		spec map[string]any
		keys []string
		want []string
	}{
		"upgrade": {workflow.KindUpgrade, upgradeSpec, upgradeKeys, []string{"a1", "a2", "b1"}},
		"cycle": {workflow.KindCycle, map[string]any{"subject": map[string]string{"cluster": "c1", "instance": "a1"},
			"hooks": map[string]string{"stop": "exec:stop", "start": "exec:start"}}, []string{"w1.1.stop", "w1.1.start"}, []string{"a1"}},
	}
	for name, tc := range specs {
		for _, after := range []bool{false, true} {
			kills := 0
			for at := 1; ; at++ {
				killed := false
				t.Run(fmt.Sprintf("%s/%v/%d", name, after, at), func(t *testing.T) {
					killed = killedRun(t, tc.kind, tc.spec, tc.keys, tc.want, at, after)
				})
				if !killed {
					break
				}
				kills++
			}
			if kills < 8 {
				t.Errorf("%s: only %d places to die at", name, kills)
			}
		}
	}
}

func killedRun(t *testing.T, kind string, spec map[string]any, keys, want []string, at int, after bool) (killed bool) {
	synctest.Test(t, func(t *testing.T) {
		g, h := newWorkGroup(t, twoClusters), &fakeHooks{}
		die := make(chan struct{})
		g.proposal = func(number int, now bool) error {
			if number == at && now == after {
				close(die)
				killed = true
				return errKilled
			}
			return nil
		}
		g.start(t, kind, spec)
		first := lead(g, h, 1)
		select {
		case <-die:
		case <-time.After(time.Hour):
		}
		first.kill()
		second := lead(g, h, 2)
		time.Sleep(time.Hour)
		second.kill()
		checkEnd(t, g, h, keys, want)
	})
	return killed
}

func checkEnd(t *testing.T, g *workGroup, h *fakeHooks, keys, want []string) {
	t.Helper()
	if w := g.workflow(); w.State != workflow.Done {
		t.Errorf("state %s: %s", w.State, w.Note)
	}
	if got := slices.Compact(h.keys()); !slices.Equal(got, keys) {
		t.Errorf("hooks %v, want %v", got, keys)
	}
	for _, list := range [][]fsm.Subject{g.disables, g.enables} {
		var names []string
		for _, s := range list {
			names = append(names, s.Instance)
		}
		if !slices.Equal(names, want) {
			t.Errorf("disabled %v, enabled %v, want each of %v once", g.disables, g.enables, want)
		}
	}
}

// TestLeaderKilledDuringEveryHook: the hook is called again under the same key. SUN-69
func TestLeaderKilledDuringEveryHook(t *testing.T) {
	for at := 1; at <= len(upgradeKeys); at++ {
		t.Run(upgradeKeys[at-1], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, h := newWorkGroup(t, twoClusters), &fakeHooks{}
				died := make(chan struct{})
				h.answer = func(ctx context.Context, _ *workflow.Call, number int) workflow.Outcome {
					if number == at {
						close(died)
						<-ctx.Done()
						return workflow.Outcome{Unknown: true}
					}
					return workflow.Outcome{}
				}
				g.start(t, workflow.KindUpgrade, upgradeSpec)
				first := lead(g, h, 1)
				<-died
				first.kill()
				second := lead(g, h, 2)
				time.Sleep(time.Hour)
				second.kill()
				checkEnd(t, g, h, upgradeKeys, []string{"a1", "a2", "b1"})
				if n := len(h.keys()); n != len(upgradeKeys)+1 {
					t.Errorf("%d calls", n)
				}
			})
		})
	}
}

// TestCycleKeepsTheOrder: disable, stop, start, enable. SUN-24, SUN-74, SUN-77
func TestCycleKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newWorkGroup(t, twoClusters)
		var mu sync.Mutex
		var order []string
		h := &fakeHooks{answer: func(_ context.Context, c *workflow.Call, _ int) workflow.Outcome {
			mu.Lock()
			defer mu.Unlock()
			disables, enables, _ := g.counts()
			order = append(order, fmt.Sprint(disables, c.Step, enables))
			return workflow.Outcome{}
		}}
		g.start(t, workflow.KindCycle, map[string]any{"subject": map[string]string{"cluster": "c1", "instance": "a1"},
			"hooks": map[string]string{"start": "exec:start", "stop": "exec:stop"}})
		l := lead(g, h, 1)
		time.Sleep(9 * time.Minute)
		if disables, _, _ := g.counts(); len(h.keys()) != 0 || disables != 1 {
			t.Errorf("before the end of the quiesce: %v", h.keys())
		}
		time.Sleep(2 * time.Minute)
		l.kill()
		if !slices.Equal(order, []string{"1stop0", "1start0"}) || len(g.enables) != 1 || g.workflow().State != workflow.Done {
			t.Errorf("order %v, enables %v, %s", order, g.enables, g.workflow().Note)
		}
	})
}

// TestHookFailures: back-off, then a person decides; resume tries again.
func TestHookFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newWorkGroup(t, twoClusters)
		var mended atomic.Bool
		h := &fakeHooks{answer: func(context.Context, *workflow.Call, int) workflow.Outcome {
			if mended.Load() {
				return workflow.Outcome{}
			}
			return workflow.Outcome{Failure: "the webhook answered 500"}
		}}
		g.start(t, workflow.KindCycle, map[string]any{"subject": map[string]string{"cluster": "c1", "instance": "a1"},
			"hooks": map[string]string{"stop": "https://deploy.example/stop"}, "quiesceTimeout": "0s"})
		l := lead(g, h, 1)
		time.Sleep(10 * time.Minute)
		w := g.workflow()
		if n := len(h.keys()); n != workflow.MaxFailures || w.State != workflow.Waiting || !strings.Contains(w.Note, "answered 500") {
			t.Errorf("%d calls, %s: %s", n, w.State, w.Note)
		}
		if _, enables, _ := g.counts(); enables != 0 {
			t.Error("enabled although the hook failed")
		}
		mended.Store(true)
		g.control(t, workflow.Resume)
		time.Sleep(time.Minute)
		l.kill()
		if w := g.workflow(); w.State != workflow.Done || len(slices.Compact(h.keys())) != 1 {
			t.Errorf("%s: %s", w.State, w.Note)
		}
	})
}

// TestPauseResumeAbort: pause stops before the next action, abort enables what was disabled, and no more.
func TestPauseResumeAbort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, h := newWorkGroup(t, twoClusters), &fakeHooks{}
		g.edit(func(o *fsm.Operating) { o.Config.Clusters[0].Instances[1].Enabled = false }) // an operator disabled a2 before
		h.answer = func(ctx context.Context, _ *workflow.Call, number int) workflow.Outcome {
			if number == 1 {
				time.Sleep(time.Minute)
				return workflow.Outcome{}
			}
			<-ctx.Done()
			return workflow.Outcome{Unknown: true}
		}
		spec := map[string]any{"clusters": []string{"c1"}, "hooks": map[string]string{"stop": "https://x.example/", "start": "https://x.example/"}, "quiesceTimeout": "0s"}
		g.start(t, workflow.KindUpgrade, spec)
		l := lead(g, h, 1)
		time.Sleep(30 * time.Second)
		g.control(t, workflow.Pause)
		time.Sleep(10 * time.Minute)
		if n := len(h.keys()); n != 1 || g.workflow().State != workflow.Paused {
			t.Errorf("%d calls while paused, %s", n, g.workflow().Note)
		}
		g.control(t, workflow.Resume)
		time.Sleep(time.Minute)
		if keys := h.keys(); !slices.Equal(keys, []string{"w1.1.stop", "w1.1.start"}) {
			t.Errorf("after resume: %v", keys)
		}
		g.control(t, workflow.Abort) // while the second hook is under way
		time.Sleep(time.Minute)
		l.kill()
		if w := g.workflow(); w.State != workflow.Aborted || len(g.enables) != 1 || g.enables[0].Instance != "a1" {
			t.Errorf("%s, enabled %v: only a1 was disabled by the workflow", w.State, g.enables)
		}
		if _, err := workflow.Resume(g.workflow()); err == nil {
			t.Error("an aborted workflow was resumed")
		}
	})
}

// TestMaintenanceLock: changes wait for the lock to go, by themselves.
func TestMaintenanceLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, h := newWorkGroup(t, twoClusters), &fakeHooks{}
		g.edit(func(o *fsm.Operating) { o.Lock = &fsm.Lock{ID: 5, Owner: "alice"} })
		g.start(t, workflow.KindUpgrade, upgradeSpec)
		l := lead(g, h, 1)
		time.Sleep(time.Hour)
		_, _, changes := g.counts()
		if w := g.workflow(); w.State != workflow.Waiting || !strings.Contains(w.Note, "lock of alice") || changes != 0 {
			t.Errorf("%s: %s", w.State, w.Note)
		}
		g.edit(func(o *fsm.Operating) { o.Lock = nil })
		time.Sleep(time.Hour)
		l.kill()
		checkEnd(t, g, h, upgradeKeys, []string{"a1", "a2", "b1"})
	})
}

// TestAPersonDecides: what must not go on by itself, and what resume makes of it.
func TestAPersonDecides(t *testing.T) {
	one := map[string]any{"clusters": []string{"c1"}, "hooks": map[string]string{"stop": "exec:stop"}, "quiesceTimeout": "0s"}
	manual := map[string]any{"clusters": []string{"c1", "c2"}, "hooks": map[string]string{"stop": "manual"}, "quiesceTimeout": "0s", "gate": map[string]any{"type": "manual"}}
	soak := map[string]any{"clusters": []string{"c1", "c2"}, "hooks": map[string]string{"stop": "exec:stop"}, "quiesceTimeout": "0s", "gate": map[string]any{"type": "soak", "duration": "5m"}}
	for name, tc := range map[string]struct {
		spec    map[string]any
		prepare func(*workGroup)
		notes   []string // one for each wait; resumed after each
		mend    func(*workGroup)
	}{
		"manual hook and gate": {manual, nil, []string{"a person does it", "resume goes on with the next cluster", "a person does it"}, nil},
		"node behind":          {one, func(g *workGroup) { g.behind = true }, []string{"node n2 has not followed for 5m"}, nil},
		"requests in flight":   {one, func(g *workGroup) { g.flight["a2"] = 1 }, []string{"still in flight after 5m"}, nil},
		"does not get healthy": {one, func(g *workGroup) { g.sick["a2"] = true }, []string{"only 1 of 2 instances are healthy after 10m, 2 are needed"}, nil},
		"sick while it soaks": {soak, func(g *workGroup) {
			g.proposal = func(int, bool) error {
				g.mu.Lock()
				defer g.mu.Unlock()
				g.sick["a1"] = len(g.enables) > 0
				return nil
			}
		}, []string{"1 of 2 instances became unavailable, at most 0 may"}, func(g *workGroup) { g.proposal = nil; g.sick["a1"] = false }},
		"nobody serves": {one, func(g *workGroup) { g.oper.Config.Clusters[1].Modules[0].Enabled = false }, []string{"nobody would serve /shop meanwhile"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, h := newWorkGroup(t, twoClusters), &fakeHooks{}
				if tc.prepare != nil {
					tc.prepare(g)
				}
				g.start(t, workflow.KindUpgrade, tc.spec)
				l := lead(g, h, 1)
				for _, note := range tc.notes {
					time.Sleep(time.Hour)
					if w := g.workflow(); w.State != workflow.Waiting || !strings.Contains(w.Note, note) {
						t.Errorf("%s: %s, want a note with %q", w.State, w.Note, note)
					}
					if tc.mend != nil {
						g.edit(func(*fsm.Operating) { tc.mend(g) })
					}
					g.control(t, workflow.Resume)
				}
				time.Sleep(time.Hour)
				l.kill()
				if w := g.workflow(); w.State != workflow.Done {
					t.Errorf("%s: %s", w.State, w.Note)
				}
			})
		})
	}
}

// TestEnabledBehindItsBack: requests go to the target again, so no hook is called; resume disables it once more.
func TestEnabledBehindItsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, h := newWorkGroup(t, twoClusters), &fakeHooks{}
		g.start(t, workflow.KindUpgrade, map[string]any{"clusters": []string{"c1"}, "hooks": map[string]string{"stop": "exec:stop"}})
		l := lead(g, h, 1)
		time.Sleep(time.Minute)
		next := g.Operating().Revision.Config.Clone()
		next.Clusters[0].Instances[0].Enabled = true
		g.apply(&fsm.ConfigChange{Expect: g.Operating().Revision.Number, Config: next})
		time.Sleep(time.Hour)
		if w := g.workflow(); w.State != workflow.Waiting || !strings.Contains(w.Note, "a1 has been enabled by somebody else") || len(h.keys()) != 0 {
			t.Errorf("%s: %s", w.State, w.Note)
		}
		g.control(t, workflow.Resume)
		time.Sleep(time.Hour)
		l.kill()
		if w := g.workflow(); w.State != workflow.Done || len(h.keys()) != 1 {
			t.Errorf("%s: %s", w.State, w.Note)
		}
	})
}

// TestTargetIsGone: a cluster that is configured no more ends its workflow.
func TestTargetIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, h := newWorkGroup(t, twoClusters), &fakeHooks{}
		g.start(t, workflow.KindUpgrade, upgradeSpec)
		l := lead(g, h, 1)
		time.Sleep(time.Minute)
		g.edit(func(o *fsm.Operating) {
			c := &config.Config{}
			o.Config, o.Revision, o.Quiesces = c, &fsm.Revision{Number: 9, Config: c}, nil
		})
		time.Sleep(time.Minute)
		l.kill()
		if w := g.workflow(); w.State != workflow.Failed || !strings.Contains(w.Note, "cluster c1 is not configured any more") {
			t.Errorf("%s: %s", w.State, w.Note)
		}
	})
}

// TestOneWorkflowAtACluster: the younger of two waits for its turn.
func TestOneWorkflowAtACluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, h := newWorkGroup(t, twoClusters), &fakeHooks{}
		g.start(t, workflow.KindUpgrade, upgradeSpec)
		spec := g.workflow().Spec
		g.apply(&fsm.WorkflowSet{Workflow: fsm.Workflow{ID: "w2", Kind: workflow.KindUpgrade, State: workflow.Running, Spec: spec}})
		l := lead(g, h, 1)
		time.Sleep(time.Minute)
		if w := g.Operating().Workflows[1]; w.State != workflow.Waiting || !strings.Contains(w.Note, "workflow w1 is at this cluster") {
			t.Errorf("%s: %s", w.State, w.Note)
		}
		time.Sleep(2 * time.Hour)
		l.kill()
		for _, w := range g.Operating().Workflows {
			if w.State != workflow.Done {
				t.Errorf("%s: %s: %s", w.ID, w.State, w.Note)
			}
		}
	})
}

// TestADeadNodeHoldsNothingUp: it is waited for one minute, then the work goes on. SUN-69
func TestADeadNodeHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, h := newWorkGroup(t, twoClusters), &fakeHooks{}
		g.silent = true
		g.start(t, workflow.KindUpgrade, map[string]any{"clusters": []string{"c1"}, "hooks": map[string]string{"stop": "exec:stop"}, "quiesceTimeout": "0s"})
		l := lead(g, h, 1)
		time.Sleep(59 * time.Second)
		if n := len(h.keys()); n != 0 {
			t.Errorf("%d hooks were called before a minute was over", n)
		}
		time.Sleep(2 * time.Second)
		l.kill()
		if w := g.workflow(); w.State != workflow.Done {
			t.Errorf("%s: %s", w.State, w.Note)
		}
	})
}
