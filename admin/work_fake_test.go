package admin_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// workState is a real state with the parts on top that these tests decide about.
type workState struct {
	*fsm.State
	mu        sync.Mutex
	oper      fsm.Operating
	events    []fsm.Event
	decisions []fsm.Decision
	whole     bool
	modules   []fsm.ModuleRef // ids from 1
	index     uint64
}

func (s *workState) Operating() *fsm.Operating {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.oper
	o.Revision = s.Revision()
	if o.Config == nil {
		o.Config = o.Revision.Config
	}
	return &o
}

func (s *workState) Events(after uint64, limit int) []fsm.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.events[min(after, uint64(len(s.events))):]
	return slices.Clone(list[:min(limit, len(list))])
}

func (s *workState) LastEvent() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint64(len(s.events))
}

// happen adds events.
func (s *workState) happen(texts ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range texts {
		n := uint64(len(s.events)) + 1
		s.events = append(s.events, fsm.Event{Seq: n, Index: 100 + n, Time: time.Unix(1_700_000_000, 0).UTC(), Kind: fsm.EventQuiesced, Subject: fsm.Subject{Cluster: "cluster1", Instance: "instance1"}, Text: text})
	}
}

func (s *workState) Decisions(fsm.Key) ([]fsm.Decision, bool) { return s.decisions, s.whole }

func (s *workState) ModuleRef(id fsm.ModuleID) (fsm.ModuleRef, bool) {
	if id == 0 || int(id) > len(s.modules) {
		return fsm.ModuleRef{}, false
	}
	return s.modules[id-1], true
}

// set changes what is in force.
func (s *workState) set(f func(*fsm.Operating)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.oper)
}

// Lookup gives the sessions of these tests a module.
func (s *workState) Lookup(k fsm.Key) (fsm.Assignment, bool) {
	as, ok := s.State.Lookup(k)
	if len(s.modules) > 0 {
		as.Module, as.Reason, as.Index = 1, fsm.ReasonPolicy, 7
	}
	return as, ok
}

// workNode is a group of one whose workflows are kept beside its state.
type workNode struct {
	*fakeNode
	work *workState
	ops  []fsm.SessionOp
	// result, when set, is what the next session operation gets instead of being applied.
	result *fsm.SessionResult
	// between is called before a workflow is stored.
	between func()
}

func (n *workNode) Propose(ctx context.Context, c fsm.Command) (fsm.Result, error) {
	set, ok := c.(*fsm.WorkflowSet)
	if !ok || n.lost.Load() {
		return n.fakeNode.Propose(ctx, c)
	}
	if n.between != nil {
		n.between()
	}
	n.work.mu.Lock()
	defer n.work.mu.Unlock()
	n.work.index++
	w := set.Workflow
	w.Version = n.work.index
	at := slices.IndexFunc(n.work.oper.Workflows, func(o *fsm.Workflow) bool { return o.ID == w.ID })
	list := slices.Clone(n.work.oper.Workflows)
	switch {
	case at < 0 && set.Expect == 0:
		list = append(list, &w)
	case at >= 0 && list[at].Version == set.Expect:
		list[at] = &w
	default:
		return fsm.Result{Code: fsm.CodeConflict}, nil
	}
	n.work.oper.Workflows = list
	return fsm.Result{Index: w.Version}, nil
}

func (n *workNode) Record(_ context.Context, op fsm.SessionOp) (fsm.SessionResult, error) {
	n.ops = append(n.ops, op)
	if n.result != nil {
		return *n.result, nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.index++
	res, err := n.state.Apply(n.index, fsm.EncodeSessions(n.now, []fsm.SessionOp{op}))
	if err != nil {
		return fsm.SessionResult{}, err
	}
	return res.Sessions[0], nil
}

func (n *workNode) Heartbeat(context.Context, string, config.Instance, string) (fsm.Result, error) {
	panic("not expected")
}

// workRig is an API over these.
type workRig struct {
	*rig
	work  *workState
	group *workNode
}

const workConfig = `
clusters:
  - name: cluster1
    modules: [{contextRoot: /fortune}]
    instances:
      - {name: instance1, listeners: ["http://127.0.0.1:9001"]}
      - {name: instance2, listeners: ["http://127.0.0.1:9002"]}
  - name: cluster2
    modules: [{contextRoot: /fortune}]
    instances: [{name: other, listeners: ["http://127.0.0.1:9003"]}]
`

// newWorkRig serves one on loopback.
func newWorkRig(t *testing.T) *workRig {
	t.Helper()
	r := newUnservedRig(t)
	srv := httptest.NewUnstartedServer(r.api)
	srv.Config = admin.NewServer(r.api, slog.New(slog.NewTextHandler(r.log, nil)))
	srv.Start()
	t.Cleanup(srv.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	r.url = srv.URL
	return r
}

// newUnservedRig makes an API that nobody serves.
func newUnservedRig(t *testing.T) *workRig {
	t.Helper()
	n := newNode(t)
	work := &workState{State: n.state}
	group := &workNode{fakeNode: n, work: work}
	log := &syncBuffer{}
	api, err := admin.New(admin.Options{
		Node: group, State: work, Sessions: fakeSessions{}, Gatherer: prometheus.NewRegistry(),
		JoinToken:  func(id string, _ [32]byte, _ time.Time) (string, error) { return "hfj1." + id, nil },
		Logger:     slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		QuorumWait: 50 * time.Millisecond, CommitWait: 2 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse("test", []byte(workConfig))
	if err != nil {
		t.Fatal(err)
	}
	if res, err := n.Propose(t.Context(), &fsm.ConfigSet{Config: c}); err != nil || res.Code != fsm.CodeOK {
		t.Fatal(res, err)
	}
	return &workRig{rig: &rig{T: t, node: n, api: api, log: log}, work: work, group: group}
}

// session assigns the session of an application's id.
func (r *workRig) session(id, instance string) fsm.Key {
	r.Helper()
	at, ok := r.node.state.InstanceID("cluster1", instance)
	if !ok {
		r.Fatal("no such instance")
	}
	key := keyOf("cluster1", id)
	r.node.sessions(r, fsm.SessionOp{Kind: fsm.OpAssign, Key: key, Instance: at})
	return key
}

// workBodies are good bodies of POST on the routes that take one.
var workBodies = map[string]string{
	"/v1/workflows": goodUpgrade, "/v1/workflows/plan": goodUpgrade,
	"/v1/sessions/explain":                               `{"key":"00000000000000000000000000000000"}`,
	"/v1/sessions/" + strings.Repeat("ab", 16) + "/move": `{"instance":"instance1"}`,
}
