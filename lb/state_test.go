package lb

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

var _ View = (*fsm.State)(nil)

// stateNode is a group of one node on the real state.
type stateNode struct {
	*fsm.State
	t       testing.TB
	mu      sync.Mutex
	index   uint64
	changed chan struct{}
}

func (n *stateNode) apply(entry []byte) fsm.Result {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.index++
	res, err := n.Apply(n.index, entry)
	if err != nil {
		n.t.Error(err)
	}
	return res
}

func (n *stateNode) command(c fsm.Command) fsm.Result {
	entry, err := fsm.Encode(time.Now(), c)
	if err != nil {
		n.t.Fatal(err)
	}
	return n.apply(entry)
}

func (n *stateNode) Record(_ context.Context, op fsm.SessionOp) (fsm.SessionResult, error) {
	return n.apply(fsm.EncodeSessions(time.Now(), []fsm.SessionOp{op})).Sessions[0], nil
}
func (n *stateNode) Sync(context.Context) error { return nil }
func (n *stateNode) Quorum() bool               { return true }
func (n *stateNode) Changed() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.changed
}

func (n *stateNode) configure(yaml string) {
	c, err := config.Parse("test", []byte(yaml))
	if err != nil {
		n.t.Fatal(err)
	}
	rev := n.Revision().Number
	if res := n.command(&fsm.ConfigSet{RequestID: fsm.RequestID{byte(rev + 1)}, Expect: rev, Actor: "test", Config: c}); res.Code != fsm.CodeOK {
		n.t.Fatalf("configure: %+v", res)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.changed)
	n.changed = make(chan struct{})
}

// The whole way with the real configuration and the real state.
func TestOnTheRealState(t *testing.T) {
	a, b := newApp(t, "i1", tomcat("i1")), newApp(t, "i2", tomcat("i2"))
	n := &stateNode{State: fsm.New(), t: t, changed: make(chan struct{})}
	bal := New(Options{View: n.State, Recorder: n, Changed: n.Changed, BindAddress: "127.0.0.1"})
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
	port := freePort(t)
	yaml := func(affinity string) string {
		return `
listeners: [{name: web, address: ":` + port + `"}]
clusters:
  - name: cluster1
    affinity: {type: ` + affinity + `}
    modules: [{contextRoot: /}]
    instances:
      - {name: i1, listeners: ["` + a.URL + `"]}
      - {name: i2, listeners: ["` + b.URL + `"]}
`
	}
	for _, affinity := range []string{"insert", "learn"} {
		n.configure(yaml(affinity))
		want := n.Revision().Number
		eventually(t, "listening", func() bool { return bal.Addr("web") != nil && bal.routing.Load().revision == want })
		before := n.Len()
		var seen []string
		for range 4 {
			cl := newClient(t)
			first := cl.get("http://" + bal.Addr("web").String() + "/")
			seen = append(seen, first.body)
			for range 3 {
				if got := cl.get("http://" + bal.Addr("web").String() + "/"); got.body != first.body {
					t.Fatalf("%s: moved from %s to %s", affinity, first.body, got.body)
				}
			}
		}
		if !slices.Contains(seen, "i1") || !slices.Contains(seen, "i2") || n.Len() != before+4 {
			t.Errorf("%s: %v, %d sessions", affinity, seen, n.Len()-before)
		}
	}
}
