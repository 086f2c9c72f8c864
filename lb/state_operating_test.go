package lb

import (
	"context"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// tell wakes the balancer, as a node does after an entry.
func (n *stateNode) tell() {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.changed)
	n.changed = make(chan struct{})
}

// TestQuiesceOnTheRealState: a change disables an instance, its quiesce ends, its sessions fail over, and the state knows why.
func TestQuiesceOnTheRealState(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	n := &stateNode{State: fsm.New(), t: t, changed: make(chan struct{})}
	bal := New(Options{View: n.State, Recorder: n, Changed: n.Changed, BindAddress: "127.0.0.1", Node: "node1"})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- bal.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	n.command(&fsm.GroupInit{RequestID: fsm.RequestID{99}, Group: fsm.Group{ID: "00000000-0000-0000-0000-000000000001", Name: "g", Epoch: 1,
		Secret: []byte("0123456789abcdef0123456789abcdef"), Created: time.Now()}})
	n.configure(`
listeners: [{name: web, address: ":` + freePort(t) + `"}]
clusters:
  - name: cluster1
    modules: [{contextRoot: /}]
    instances:
      - {name: i1, listeners: ["` + a.URL + `"], maxSessions: 3}
      - {name: i2, listeners: ["` + b.URL + `"]}
`)
	inForce := func() {
		t.Helper()
		eventually(t, "in force", func() bool {
			_, index, ok := bal.InForce()
			return ok && index == n.Operating().Index && bal.Addr("web") != nil
		})
	}
	inForce()
	url := "http://" + bal.Addr("web").String() + "/"
	on := map[string][]*client{}
	for range 10 {
		cl := newClient(t)
		got := cl.get(url)
		on[got.body] = append(on[got.body], cl)
	}
	if len(on["i1"]) != 3 || len(on["i2"]) != 7 {
		t.Fatalf("%d and %d, with room for 3", len(on["i1"]), len(on["i2"]))
	}
	rev := n.Revision()
	off, err := rev.Config.Apply([]config.Edit{{Op: "disable", Kind: "instance", Cluster: "cluster1", Name: "i1"}})
	if err != nil {
		t.Fatal(err)
	}
	if res := n.command(&fsm.ConfigChange{RequestID: fsm.RequestID{50}, Expect: rev.Number, Actor: "test", Config: off}); res.Code != fsm.CodeOK {
		t.Fatalf("%+v", res)
	}
	n.tell()
	inForce()
	if got := newClient(t).get(url); got.body != "i2" {
		t.Fatal(got.body)
	}
	if got := on["i1"][0].get(url); got.body != "i1" {
		t.Fatal(got.body)
	}
	q := n.Operating().Quiesces
	if len(q) != 1 {
		t.Fatalf("%+v", q)
	}
	end, err := fsm.Encode(q[0].Deadline, &fsm.QuiesceEnd{ID: q[0].ID, Subject: q[0].Subject, Deadline: q[0].Deadline, Node: "node1"})
	if err != nil {
		t.Fatal(err)
	}
	if res := n.apply(end); res.Code != fsm.CodeOK {
		t.Fatalf("%+v", res)
	}
	n.tell()
	inForce()
	for _, cl := range on["i1"] {
		if got := cl.get(url); got.body != "i2" {
			t.Fatal(got.body)
		}
	}
	id, ok := n.ModuleID("cluster1", "", "/")
	if !ok || n.ModuleSessions(id) != 11 {
		t.Errorf("%d sessions of the module, %v", n.ModuleSessions(id), ok)
	}
	if left := n.Sessions(1); left != 0 {
		t.Errorf("%d sessions are left on i1", left)
	}
}
