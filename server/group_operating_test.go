package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

var testTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// apply changes the configuration through a node, as an operator does, and waits until every node that runs obeys it.
func (g *testGroup) apply(tb testing.TB, s *Server, text string) fsm.Result {
	tb.Helper()
	c, err := config.Parse("test", []byte(text))
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(tb.Context(), 30*time.Second)
	defer cancel()
	r, err := adminNode{s}.Propose(ctx, &fsm.ConfigChange{Expect: s.state.Revision().Number, Actor: "test", Config: c})
	if err != nil || r.Code != fsm.CodeOK {
		tb.Fatalf("change of the configuration: %+v, %v", r, err)
	}
	if err := (adminNode{s}).WaitAll(ctx, r.Index); err != nil {
		tb.Fatal(err)
	}
	return r
}

// leader gives the place of the node that leads, among those that run.
func (g *testGroup) leader(tb testing.TB, stopped ...int) int {
	tb.Helper()
	leader := -1
	eventually(tb, "there is a leader", func() error {
		for i, s := range g.servers {
			if s.node.Info().Role == "leader" && !contains(stopped, i) {
				leader = i
				return nil
			}
		}
		return errors.New("none")
	})
	return leader
}

func contains(list []int, x int) bool {
	for _, y := range list {
		if x == y {
			return true
		}
	}
	return false
}

// TestInstanceRegistersThroughAnyNode: heartbeats go one hop to the leader; without them the instance is dropped; it can say goodbye. (TC-31, TC-32)
func TestInstanceRegistersThroughAnyNode(t *testing.T) {
	g := startGroup(t, 3)
	g.apply(t, g.servers[0], `
listeners: []
clusters:
  - name: c1
    registration: {allow: true, dropAfter: 1s}
    modules: [{contextRoot: /}]
`)
	in := config.Instance{Name: "self", Listeners: []string{newApp(t, "self")}, Enabled: true, Weight: 1}
	has := func(want int) func() error {
		return func() error {
			for _, s := range g.servers {
				if n := len(s.state.Operating().Registered); n != want {
					return fmt.Errorf("node %s: %d registered", s.config.Name, n)
				}
			}
			return nil
		}
	}
	for i, s := range g.servers {
		r, err := adminNode{s}.Heartbeat(t.Context(), "c1", in, "test")
		if err != nil || r.Code != fsm.CodeOK {
			t.Fatalf("heartbeat through node %s: %+v, %v", s.config.Name, r, err)
		}
		if i == 0 {
			eventually(t, "every node has it", has(1))
		} else if r.Index != 0 {
			t.Error("the same content became an entry")
		}
	}
	start := time.Now()
	eventually(t, "it is dropped", has(0))
	if took := time.Since(start); took < 900*time.Millisecond || took > 10*time.Second {
		t.Errorf("dropped after %v, want a second", took)
	}
	if _, err := (adminNode{g.servers[1]}).Heartbeat(t.Context(), "c1", in, "test"); err != nil {
		t.Fatal(err)
	}
	if r, err := (adminNode{g.servers[2]}).Deregister(t.Context(), "c1", "self", "test"); err != nil || r.Code != fsm.CodeOK {
		t.Errorf("goodbye: %+v, %v", r, err)
	}
	eventually(t, "it is gone", has(0))
	if r, err := (adminNode{g.servers[0]}).Heartbeat(t.Context(), "nowhere", in, "test"); err != nil || r.Code != fsm.CodeInvalid {
		t.Errorf("heartbeat for a cluster that is not there: %+v, %v", r, err)
	}
}

// restart stops a node and starts it again on its data.
func (g *testGroup) restart(tb testing.TB, i int) {
	tb.Helper()
	g.stop[i]()
	if err := <-g.done[i]; err != nil {
		tb.Error(err)
	}
	if err := g.servers[i].Close(); err != nil {
		tb.Error(err)
	}
	s, err := New(g.servers[i].config, io.MultiWriter(g.out, g.logs[i]))
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	g.servers[i], g.stop[i], g.done[i] = s, cancel, done
	eventually(tb, "the node is back", func() error { return errors.Join(s.ready(), s.node.Ready()) })
}

// lines counts the lines of the whole group with the given text.
func (g *testGroup) lines(text string) (n int) {
	for _, log := range g.logs {
		n += strings.Count(log.String(), text)
	}
	return n
}

// TestQuiesceEndsOnceOverTenLeaders: one end, on time, and one line in the whole group, although ten leaders left and came back meanwhile, and one
// more right after the end. (issue, "must show" 2)
func TestQuiesceEndsOnceOverTenLeaders(t *testing.T) {
	g := startGroup(t, 3, func(c *Config) { c.LogLevel = "info" })
	one, two := newApp(t, "i1"), newApp(t, "i2")
	text := func(enabled bool) string {
		return fmt.Sprintf(`
listeners: [{name: web, address: ":%d"}]
clusters:
  - name: c1
    modules: [{contextRoot: /}]
    instances:
      - {name: i1, listeners: [%q], enabled: %v, quiesceTimeout: 10m}
      - {name: i2, listeners: [%q]}
`, g.port, one, enabled, two)
	}
	g.apply(t, g.servers[0], text(true))
	// A session on each instance, so that the quiesce has something to wait for.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range 2 {
		resp, err := client.Get("http://" + g.servers[0].balancer.Addr("web").String() + "/")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	id, _ := g.servers[0].state.InstanceID("c1", "i1")
	eventually(t, "the instance has a session", func() error {
		if g.servers[0].state.Sessions(id) == 0 {
			return errors.New("none")
		}
		return nil
	})
	g.apply(t, g.servers[0], text(false))
	for range 10 {
		g.restart(t, g.leader(t))
	}
	s := g.servers[g.leader(t)]
	quiesces := s.state.Operating().Quiesces
	if len(quiesces) != 1 {
		t.Fatalf("quiesces after ten leaders: %+v, want one", quiesces)
	}
	set := &fsm.QuiesceSet{ID: quiesces[0].ID, Subject: quiesces[0].Subject, Remaining: config.Duration(time.Second), Actor: "test"}
	if r, err := (adminNode{s}).Propose(t.Context(), set); err != nil || r.Code != fsm.CodeOK {
		t.Fatalf("another deadline: %+v, %v", r, err)
	}
	deadline := s.state.Operating().Quiesces[0].Deadline
	const line = `msg="Instance: i1 quiesced successfully over the cluster: c1."`
	eventually(t, "it has ended and the line is in the log", func() error {
		if n := len(s.state.Operating().Quiesces); n > 0 || g.lines(line) == 0 {
			return fmt.Errorf("%d run, %d lines", n, g.lines(line))
		}
		return nil
	})
	ends := 0
	for _, e := range s.state.Events(0, 1000) {
		if e.Kind != fsm.EventQuiesced {
			continue
		}
		ends++
		if e.Time.Before(deadline) || e.Time.Sub(deadline) > time.Second {
			t.Errorf("ended at %v, its deadline was %v", e.Time, deadline)
		}
	}
	last := g.leader(t)
	g.restart(t, last)
	eventually(t, "the duties of the next leader run", func() error {
		for i, s := range g.servers {
			for _, j := range s.jobs.snapshot() {
				if i != last && j.Duty == "events" && j.Runs > 0 {
					return nil
				}
			}
		}
		return errors.New("not yet")
	})
	if n := g.lines(line); n != 1 || ends != 1 {
		t.Errorf("%d ends and %d lines in the group, want one of each", ends, n)
	}
	// What happened before, and what each leader wrote, has one line too.
	if n := g.lines("event=quiesce-started"); n != 1 {
		t.Errorf("%d lines for the start, want one", n)
	}
}

// crowdedApp counts how many requests it has at once.
type crowdedApp struct {
	now, most atomic.Int64
	total     atomic.Int64
}

func (a *crowdedApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := a.now.Add(1)
	defer a.now.Add(-1)
	for most := a.most.Load(); n > most && !a.most.CompareAndSwap(most, n); most = a.most.Load() {
	}
	a.total.Add(1)
	select {
	case <-time.After(20 * time.Millisecond):
	case <-r.Context().Done():
	}
	_, _ = io.WriteString(w, "ok")
}

// TestConnectionLimitHoldsOverAllNodes, while the demand moves from node to node and the leader leaves. (connection limits, exact over all nodes)
func TestConnectionLimitHoldsOverAllNodes(t *testing.T) {
	const bound = 6
	app := new(crowdedApp)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: app}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	t.Cleanup(func() { srv.Close(); <-done })
	g := startGroup(t, 3)
	g.apply(t, g.servers[0], fmt.Sprintf(`
listeners: [{name: web, address: ":%d"}]
clusters:
  - name: c1
    affinity: {type: none}
    health: {type: none}
    modules: [{contextRoot: /}]
    instances: [{name: i1, listeners: ["http://%s"], maxConnections: %d}]
`, g.port, ln.Addr(), bound))
	eventually(t, "every node has a share", func() error {
		for _, s := range g.servers {
			if n := len(s.state.Operating().Shares); n != 3 {
				return fmt.Errorf("%d shares", n)
			}
		}
		return nil
	})
	gone := g.leader(t)
	// crowd has twelve clients at one node until it has had so many answers.
	crowd := func(i, answers int) {
		client := &http.Client{Timeout: 30 * time.Second}
		defer client.CloseIdleConnections()
		url := "http://" + g.servers[i].balancer.Addr("web").String() + "/"
		var left atomic.Int64
		left.Store(int64(answers))
		var clients sync.WaitGroup
		for range 12 {
			clients.Go(func() {
				for left.Add(-1) >= 0 {
					resp, err := client.Get(url)
					if err != nil {
						continue
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			})
		}
		clients.Wait()
	}
	crowd((gone+1)%3, 300)
	g.stop[gone]()
	crowd((gone+2)%3, 300)
	crowd((gone+1)%3, 300)
	if most := app.most.Load(); most > bound || most < 2 {
		t.Errorf("at most %d requests at once at the instance, want no more than %d", most, bound)
	}
	if app.total.Load() < 600 {
		t.Errorf("only %d requests came through", app.total.Load())
	}
}
