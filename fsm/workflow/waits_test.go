package workflow

import (
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

const waiting = `
clusters:
  - name: c1
    modules: [{contextRoot: /shop, enabled: false}, {contextRoot: /other}]
    instances: [{name: a1, listeners: ["http://127.0.0.1:1"], enabled: false}, {name: a2, listeners: ["http://127.0.0.1:2"]}]
`

// look gives what a cycle of the subject decides at a step.
func look(t *testing.T, subject, kind string, since time.Duration, nodes ...Node) Decision {
	t.Helper()
	c, err := config.Parse("test", []byte(waiting))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Decode(KindCycle, []byte(`{"subject":`+subject+`,"hooks":{"stop":"exec:stop"}}`))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	p := Progress{Since: now.Add(-since), StoppedAt: 20, Disabled: []fsm.Subject{*s.Subject}}
	for i, step := range Steps(KindCycle, s) {
		if step.Kind == kind {
			p.Step = i
		}
	}
	o := &fsm.Operating{Index: 30, Config: c, Revision: &fsm.Revision{Number: 1, Config: c}}
	w := &fsm.Workflow{ID: "w1", Kind: KindCycle, State: Running, Spec: s.Encode(), Progress: p.Encode()}
	d, err := Next(w, World{Now: now, Term: 1, Operating: o, InstanceID: func(string, string) (fsm.InstanceID, bool) { return 0, false }, Nodes: nodes})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const (
	theModule   = `{"cluster":"c1","contextRoot":"/shop"}`
	theInstance = `{"cluster":"c1","instance":"a1"}`
)

// TestNothingInFlight: requests of the target count on every node that follows, those of others do not. SUN-74, SUN-76
func TestNothingInFlight(t *testing.T) {
	node := func(name string, inForce uint64, module, instance int64) Node {
		return Node{Name: name, Reachable: true, InForce: inForce, Modules: []Module{{Cluster: "c1", ContextRoot: "/shop", InFlight: module}, {Cluster: "c1", ContextRoot: "/other", InFlight: 9}},
			Instances: []Instance{{Cluster: "c1", Name: "a1", InFlight: instance}, {Cluster: "c1", Name: "a2", InFlight: 9}, {Cluster: "c2", Name: "a1", InFlight: 9}}}
	}
	for name, tc := range map[string]struct {
		subject string
		since   time.Duration
		nodes   []Node
		goes    bool
		note    string
	}{
		"module is idle":           {theModule, 0, []Node{node("n1", 20, 0, 5), node("n2", 25, 0, 5)}, true, ""},
		"module has requests":      {theModule, 0, []Node{node("n1", 20, 0, 0), node("n2", 20, 1, 0)}, false, "wait for requests in flight to"},
		"instance is idle":         {theInstance, 0, []Node{node("n1", 20, 5, 0)}, true, ""},
		"instance has requests":    {theInstance, 0, []Node{node("n1", 20, 5, 2)}, false, "wait for requests in flight to"},
		"one does not follow yet":  {theInstance, 0, []Node{node("n1", 20, 0, 0), node("n2", 19, 0, 0)}, false, "wait for requests in flight to"},
		"one never follows":        {theInstance, 5 * time.Minute, []Node{node("n1", 20, 0, 0), node("n2", 19, 0, 0)}, false, "node n2 has not followed"},
		"one is silent":            {theInstance, 59 * time.Second, []Node{node("n1", 20, 0, 0), {Name: "n2"}}, false, "wait for requests in flight to"},
		"one is silent for long":   {theInstance, SilentWait, []Node{node("n1", 20, 0, 0), {Name: "n2"}}, true, ""},
		"silent, but others serve": {theInstance, 2 * time.Minute, []Node{node("n1", 20, 0, 1), {Name: "n2"}}, false, "wait for requests in flight to"},
		"too long":                 {theInstance, 5 * time.Minute, []Node{node("n1", 20, 0, 1)}, false, "still in flight after 5m"},
		"nobody was asked":         {theInstance, time.Hour, nil, false, "wait for requests in flight to"},
	} {
		t.Run(name, func(t *testing.T) {
			d := look(t, tc.subject, StepInFlight, tc.since, tc.nodes...)
			if goes := d.Action != nil && d.Action.Hook != nil; goes != tc.goes || !tc.goes && !strings.Contains(d.Note, tc.note) {
				t.Errorf("%s: %s, action %+v", d.State, d.Note, d.Action)
			}
		})
	}
}

// TestHealthy: every node that answers must find the instance available, and one whole check must have passed since the hooks.
func TestHealthy(t *testing.T) {
	node := func(name string, a1, a2 bool) Node {
		return Node{Name: name, Reachable: true, Instances: []Instance{{Cluster: "c1", Name: "a1", Healthy: a1}, {Cluster: "c1", Name: "a2", Healthy: a2}}}
	}
	const oneCheck = 40 * time.Second // interval 30s and timeout 10s
	for name, tc := range map[string]struct {
		subject string
		since   time.Duration
		nodes   []Node
		goes    bool
		state   string
	}{
		"healthy":            {theInstance, oneCheck, []Node{node("n1", true, false), node("n2", true, false)}, true, Running},
		"not checked yet":    {theInstance, oneCheck - 1, []Node{node("n1", true, true)}, false, Running},
		"sick on one node":   {theInstance, oneCheck, []Node{node("n1", true, true), node("n2", false, true)}, false, Running},
		"one is silent":      {theInstance, oneCheck, []Node{node("n1", true, true), {Name: "n2", Instances: node("", false, false).Instances}}, true, Running},
		"nobody says":        {theInstance, oneCheck, []Node{{Name: "n1", Reachable: true}}, false, Running},
		"sick for too long":  {theInstance, 10 * time.Minute, []Node{node("n1", false, true)}, false, Waiting},
		"instances of it":    {theModule, oneCheck, []Node{node("n1", false, true)}, true, Running}, // a1 is disabled by somebody else
		"none is left of it": {theModule, oneCheck, []Node{node("n1", true, false)}, false, Running},
	} {
		t.Run(name, func(t *testing.T) {
			d := look(t, tc.subject, StepHealthy, tc.since, tc.nodes...)
			if goes := d.Action != nil && d.Action.Change != nil; goes != tc.goes || d.State != tc.state {
				t.Errorf("%s: %s, action %+v", d.State, d.Note, d.Action)
			}
		})
	}
}

// TestModuleIsCycled: the configuration changes name the module and nothing else. SUN-76
func TestModuleIsCycled(t *testing.T) {
	d := look(t, theModule, StepEnable, 0)
	if d.Action == nil || d.Action.Change == nil {
		t.Fatalf("%+v", d)
	}
	next, was := d.Action.Change.Config.Clusters[0], d.Progress.Disabled
	if !next.Modules[0].Enabled || next.Instances[0].Enabled || len(was) != 1 || d.Action.Change.Expect != 1 || d.Action.Change.Actor != "workflow w1" {
		t.Errorf("%+v", d.Action.Change)
	}
}
