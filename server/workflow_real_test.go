package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/fsm/workflow"
)

// TestUpgradeSurvivesItsNode: three real nodes; the one that carries an upgrade out leaves during a hook, and another one ends it. SUN-69, SUN-73
func TestUpgradeSurvivesItsNode(t *testing.T) {
	g := startGroup(t, 3)
	text := fmt.Sprintf(`
listeners: [{name: web, address: ":%d"}]
clusters:
  - name: c1
    health: {interval: 200ms, timeout: 100ms}
    modules: [{contextRoot: /}]
    instances: [{name: a1, listeners: [%q]}, {name: a2, listeners: [%q]}]
  - name: c2
    health: {interval: 200ms, timeout: 100ms}
    modules: [{contextRoot: /}]
    instances: [{name: b1, listeners: [%q]}]
`, g.port, newApp(t, "a1"), newApp(t, "a2"), newApp(t, "b1"))
	c, err := config.Parse("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	propose := func(s *Server, c fsm.Command) fsm.Result {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		r, err := adminNode{s}.Propose(ctx, c)
		if err != nil || r.Code != fsm.CodeOK {
			t.Fatalf("%+v, %v", r, err)
		}
		return r
	}
	propose(g.servers[0], &fsm.ConfigChange{Actor: "test", Config: c})

	var mu sync.Mutex
	var keys []string
	under, leave := make(chan struct{}), make(chan struct{})
	hooks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		keys = append(keys, r.Header.Get("Idempotency-Key"))
		first := len(keys) == 1
		mu.Unlock()
		if first {
			close(under)
			<-leave
		}
	}))
	defer hooks.Close()
	spec, err := json.Marshal(map[string]any{"clusters": []string{"c1", "c2"}, "hooks": map[string]string{"stop": hooks.URL, "start": hooks.URL}, "quiesceTimeout": "1s", "version": "2.1",
		"timeouts": map[string]string{"inFlight": "10s"}}) // the node that leaves is waited for, at most for so long
	if err != nil {
		t.Fatal(err)
	}
	s, err := workflow.Decode(workflow.KindUpgrade, spec)
	if err != nil {
		t.Fatal(err)
	}
	propose(g.servers[0], &fsm.WorkflowSet{Workflow: fsm.Workflow{ID: "w1", Kind: workflow.KindUpgrade, State: workflow.Running, Actor: "test", Spec: s.Encode()}})
	<-under
	old := -1
	for i, s := range g.servers {
		if s.node.Info().Role == "leader" {
			old = i
		}
	}
	if old < 0 {
		t.Fatal("a hook was called, but nobody leads")
	}
	g.stop[old]()
	other := g.servers[(old+1)%3]
	eventually(t, "another node leads", func() error {
		if name := other.node.Info().Leader; name == "" || name == g.servers[old].config.Name {
			return fmt.Errorf("leader is %q", name)
		}
		return nil
	})
	close(leave)
	eventually(t, "the upgrade is done", func() error {
		w := (&workflowRunner{group: workflowNode{s: other}}).find("w1")
		if w.State == workflow.Done {
			return nil
		}
		return fmt.Errorf("%s: %s", w.State, w.Note)
	})
	mu.Lock()
	defer mu.Unlock()
	if got := slices.Compact(slices.Clone(keys)); !slices.Equal(got, []string{"w1.1.stop", "w1.1.start", "w1.2.stop", "w1.2.start"}) {
		t.Errorf("hooks were called with %v", keys)
	}
	for _, cl := range other.state.Operating().Config.Clusters {
		for _, in := range cl.Instances {
			if !in.Enabled || in.Version != "2.1" {
				t.Errorf("instance %s of %s: enabled %v, version %s", in.Name, cl.Name, in.Enabled, in.Version)
			}
		}
	}
}
