package server

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/fsm/workflow"
)

// workGroup is a group in memory that knows what workflows need: configuration changes with quiesces, locks, workflows.
type workGroup struct {
	mu       sync.Mutex
	index    uint64
	oper     fsm.Operating
	changed  chan struct{}
	results  map[fsm.RequestID]fsm.Result
	flight   map[string]int64 // by instance name
	sick     map[string]bool
	silent   bool          // node n2 does not answer
	behind   bool          // node n2 does not follow
	disables []fsm.Subject // in the order in which they happened
	enables  []fsm.Subject
	changes  int // configuration changes that happened

	// proposal is called with the number of a proposal, without the lock, before it is applied and after.
	proposal  func(number int, after bool) error
	proposals int
}

func newWorkGroup(t *testing.T, text string) *workGroup {
	t.Helper()
	c, err := config.Parse("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	g := &workGroup{index: 10, changed: make(chan struct{}), results: map[fsm.RequestID]fsm.Result{}, flight: map[string]int64{}, sick: map[string]bool{}}
	g.oper = fsm.Operating{Index: 10, Revision: &fsm.Revision{Number: 1, Config: c}, Config: c}
	return g
}

const twoClusters = `
clusters:
  - name: c1
    health: {type: none}
    quiesceTimeout: 10m
    modules: [{contextRoot: /shop}]
    instances: [{name: a1, listeners: ["http://127.0.0.1:1"]}, {name: a2, listeners: ["http://127.0.0.1:2"]}]
  - name: c2
    health: {type: none}
    quiesceTimeout: 10m
    modules: [{contextRoot: /shop}]
    instances: [{name: b1, listeners: ["http://127.0.0.1:3"]}]
`

func (g *workGroup) bump() uint64 {
	g.index++
	close(g.changed)
	g.changed = make(chan struct{})
	return g.index
}

// settle ends the quiesces whose time is over.
func (g *workGroup) settle() {
	left := slices.DeleteFunc(slices.Clone(g.oper.Quiesces), func(q fsm.Quiesce) bool { return !time.Now().Before(q.Deadline) })
	if len(left) != len(g.oper.Quiesces) {
		g.oper.Quiesces = left
		g.oper.Index = g.bump()
	}
}

func (g *workGroup) Operating() *fsm.Operating {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.settle()
	o := g.oper
	return &o
}

func (g *workGroup) Now() time.Time { return time.Time{} }

func (g *workGroup) InstanceID(string, string) (fsm.InstanceID, bool) { return 0, false }

func (g *workGroup) Changed() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changed
}

func (g *workGroup) Nodes(context.Context) []workflow.Node {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := workflow.Node{Name: "n1", Reachable: true, InForce: g.oper.Index}
	for _, cl := range g.oper.Config.Clusters {
		for _, in := range cl.Instances {
			n.Instances = append(n.Instances, workflow.Instance{Cluster: cl.Name, Name: in.Name, Healthy: !g.sick[in.Name], InFlight: g.flight[in.Name]})
		}
	}
	list := []workflow.Node{n}
	if g.silent || g.behind {
		list = append(list, workflow.Node{Name: "n2", Reachable: g.behind})
	}
	return list
}

func (g *workGroup) Propose(ctx context.Context, c fsm.Command) (fsm.Result, error) {
	g.mu.Lock()
	g.proposals++
	number, hook := g.proposals, g.proposal
	g.mu.Unlock()
	if hook != nil {
		if err := hook(number, false); err != nil {
			return fsm.Result{}, err
		}
	}
	if ctx.Err() != nil {
		return fsm.Result{}, ctx.Err()
	}
	res := g.apply(c)
	if hook != nil {
		if err := hook(number, true); err != nil {
			return fsm.Result{}, err
		}
	}
	return res, nil
}

func (g *workGroup) apply(c fsm.Command) fsm.Result {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.settle()
	switch c := c.(type) {
	case *fsm.WorkflowSet:
		return g.remember(c.RequestID, func() fsm.Result { return g.setWorkflow(c) })
	case *fsm.ConfigChange:
		return g.remember(c.RequestID, func() fsm.Result { return g.change(c) })
	case *fsm.QuiesceSet:
		return g.remember(c.RequestID, func() fsm.Result { return g.setQuiesce(c) })
	}
	panic("not expected")
}

func (g *workGroup) remember(id fsm.RequestID, do func() fsm.Result) fsm.Result {
	if id == (fsm.RequestID{}) {
		return do()
	}
	if r, ok := g.results[id]; ok {
		return r
	}
	r := do()
	g.results[id] = r
	return r
}

func (g *workGroup) setWorkflow(c *fsm.WorkflowSet) fsm.Result {
	at := slices.IndexFunc(g.oper.Workflows, func(w *fsm.Workflow) bool { return w.ID == c.Workflow.ID })
	w := c.Workflow
	switch {
	case at < 0 && c.Expect != 0, at >= 0 && g.oper.Workflows[at].Version != c.Expect:
		return fsm.Result{Code: fsm.CodeConflict}
	case at >= 0 && g.oper.Workflows[at].Ended():
		panic("a workflow that has ended was changed")
	}
	w.Version = g.bump()
	g.oper.Index = w.Version
	list := slices.Clone(g.oper.Workflows)
	if at < 0 {
		list = append(list, &w)
	} else {
		list[at] = &w
	}
	g.oper.Workflows = list
	return fsm.Result{Index: w.Version}
}

func (g *workGroup) change(c *fsm.ConfigChange) fsm.Result {
	if g.oper.Lock != nil && c.Lock != g.oper.Lock.ID {
		return fsm.Result{Code: fsm.CodeLocked}
	}
	if c.Expect != g.oper.Revision.Number {
		return fsm.Result{Code: fsm.CodeConflict, Revision: g.oper.Revision.Number}
	}
	index := g.bump()
	g.changes++
	was := g.oper.Revision.Config
	g.oper.Index, g.oper.Revision, g.oper.Config = index, &fsm.Revision{Number: c.Expect + 1, Index: index, Config: c.Config, Message: c.Message}, c.Config
	quiesces := slices.Clone(g.oper.Quiesces)
	for i := range was.Clusters {
		cl := &was.Clusters[i]
		for j := range cl.Instances {
			in := &cl.Instances[j]
			s := fsm.Subject{Cluster: cl.Name, Instance: in.Name}
			now := c.Config.Clusters[i].Instances[j]
			switch {
			case in.Enabled && !now.Enabled:
				g.disables = append(g.disables, s)
				if !slices.Contains(c.Now, s) {
					quiesces = append(quiesces, fsm.Quiesce{ID: index, Subject: s, Started: time.Now(), Deadline: time.Now().Add(time.Duration(in.QuiesceTimeout))})
				}
			case !in.Enabled && now.Enabled:
				g.enables = append(g.enables, s)
				quiesces = slices.DeleteFunc(quiesces, func(q fsm.Quiesce) bool { return q.Subject == s })
			}
		}
	}
	g.oper.Quiesces = quiesces
	return fsm.Result{Index: index, Revision: c.Expect + 1}
}

func (g *workGroup) setQuiesce(c *fsm.QuiesceSet) fsm.Result {
	list := slices.Clone(g.oper.Quiesces)
	for i := range list {
		if list[i].ID == c.ID && list[i].Subject == c.Subject {
			list[i].Deadline = list[i].Started.Add(time.Duration(c.Total))
			g.oper.Quiesces, g.oper.Index = list, g.bump()
			return fsm.Result{Index: g.oper.Index}
		}
	}
	return fsm.Result{Code: fsm.CodeAbsent}
}

// edit changes the workflow or the group behind the runner's back.
func (g *workGroup) edit(f func(*fsm.Operating)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f(&g.oper)
	g.oper.Index = g.bump()
}

// counts tells how many instances were disabled and enabled, and by how many changes.
func (g *workGroup) counts() (disables, enables, changes int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.disables), len(g.enables), g.changes
}

// inFlightOf is what is in flight for an instance.
func (g *workGroup) inFlightOf(name string) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.flight[name]
}

func (g *workGroup) workflow() *fsm.Workflow { return g.Operating().Workflows[0] }

// start adds a workflow.
func (g *workGroup) start(t *testing.T, kind string, spec any) {
	t.Helper()
	raw, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	s, err := workflow.Decode(kind, raw)
	if err != nil {
		t.Fatal(err)
	}
	res := g.apply(&fsm.WorkflowSet{Workflow: fsm.Workflow{ID: "w1", Kind: kind, State: workflow.Running, Spec: s.Encode()}})
	if res.Code != fsm.CodeOK {
		t.Fatal(res)
	}
}

// control has a person pause, resume or abort.
func (g *workGroup) control(t *testing.T, f func(*fsm.Workflow) (*fsm.Workflow, error)) {
	t.Helper()
	w := g.workflow()
	next, err := f(w)
	if err != nil {
		t.Fatal(err)
	}
	if res := g.apply(&fsm.WorkflowSet{Expect: w.Version, Workflow: *next}); res.Code != fsm.CodeOK {
		t.Fatal(res)
	}
}

var errKilled = errors.New("killed")
