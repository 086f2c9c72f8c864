package server

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/raftnode/pki"
)

// testGroup is a group of nodes in this process, each with its own address of the loopback network.
type testGroup struct {
	servers []*Server
	stop    []context.CancelFunc
	done    []chan error
	port    int // of the listener web
	logs    []*logBuffer
	out     *output
}

// output is tb.Output() as long as the test lasts: Raft's transport may log its own end a moment after it was closed.
type output struct {
	mu   sync.Mutex
	w    io.Writer
	over bool
}

func outputOf(tb testing.TB) *output {
	o := &output{w: tb.Output()}
	tb.Cleanup(func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.over = true
	})
	return o
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over {
		return len(p), nil
	}
	return o.w.Write(p)
}

// logBuffer is the log of one node.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// startGroup founds a group of n nodes and waits until all of them have its state. settings changes what each node is told.
func startGroup(tb testing.TB, n int, settings ...func(*Config)) *testGroup {
	tb.Helper()
	secret, err := pki.NewInit("test", time.Hour, time.Now())
	if err != nil {
		tb.Fatal(err)
	}
	g := &testGroup{port: freePort(tb), out: outputOf(tb)}
	peer, admin := freePort(tb), freePort(tb)
	var join []string
	for i := range n {
		join = append(join, fmt.Sprintf("127.0.0.%d:%d", i+1, peer))
	}
	for i := range n {
		c := Defaults()
		c.Name, c.DataDir, c.PeerAddr = fmt.Sprintf("n%d", i+1), tb.TempDir(), join[i]
		c.AdminAddr, c.BindAddress = fmt.Sprintf("127.0.0.%d:%d", i+1, admin), fmt.Sprintf("127.0.0.%d", i+1)
		c.Join, c.JoinToken, c.BootstrapExpect = join, secret, n
		c.LogLevel, c.steady = "warn", 20*time.Millisecond
		for _, set := range settings {
			set(&c)
		}
		log := new(logBuffer)
		g.logs = append(g.logs, log)
		s, err := New(c, io.MultiWriter(g.out, log))
		if err != nil {
			tb.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		g.servers, g.stop, g.done = append(g.servers, s), append(g.stop, cancel), append(g.done, done)
	}
	tb.Cleanup(func() {
		for i, s := range g.servers {
			g.stop[i]()
			if err := <-g.done[i]; err != nil {
				tb.Error(err)
			}
			if err := s.Close(); err != nil {
				tb.Error(err)
			}
		}
	})
	for _, s := range g.servers {
		eventually(tb, "the group is founded", func() error { return s.ready() })
	}
	return g
}

// configure gives the group one cluster of one instance, and waits until every node serves it.
func (g *testGroup) configure(tb testing.TB, instance string) {
	tb.Helper()
	text := fmt.Sprintf(`
listeners: [{name: web, address: ":%d"}]
clusters:
  - name: cluster1
    modules: [{contextRoot: /}]
    instances: [{name: i1, listeners: [%q]}]
`, g.port, instance)
	c, err := config.Parse("test", []byte(text))
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(tb.Context(), 30*time.Second)
	defer cancel()
	result, err := g.servers[0].node.Propose(ctx, &fsm.ConfigSet{Actor: "test", Config: c})
	if err != nil || result.Code != fsm.CodeOK {
		tb.Fatalf("configuration: %+v, %v", result, err)
	}
	for _, s := range g.servers {
		eventually(tb, "the listener is bound", func() error {
			if s.balancer.Addr("web") == nil {
				return fmt.Errorf("node %s: no listener", s.config.Name)
			}
			return s.ready()
		})
	}
}

func freePort(tb testing.TB) int {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

// eventually asks until check is content, for a minute at most.
func eventually(tb testing.TB, what string, check func() error) {
	tb.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatalf("waited a minute until %s: %v", what, err)
		}
	}
}

func TestGroupServesConfigurationAndSessionsOnEveryNode(t *testing.T) {
	app := newApp(t, "i1")
	g := startGroup(t, 3)
	g.configure(t, app)
	client := &http.Client{}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://" + g.servers[0].balancer.Addr("web").String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	cookies := resp.Cookies()
	if resp.StatusCode != http.StatusOK || len(cookies) != 1 || cookies[0].Name != "HOLDFAST" {
		t.Fatalf("first answer %s with cookies %v", resp.Status, cookies)
	}
	for _, s := range g.servers {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.balancer.Addr("web").String()+"/", nil)
		req.AddCookie(cookies[0])
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(body) != "i1" || len(resp.Cookies()) != 0 {
			t.Errorf("node %s: %q with cookies %v, want the instance's answer and no new session", s.config.Name, body, resp.Cookies())
		}
		eventually(t, "every node has the one session", func() error {
			if n := s.state.Len(); n != 1 {
				return fmt.Errorf("%d sessions", n)
			}
			return nil
		})
	}
}

// newApp is an instance that answers with its name.
func newApp(t *testing.T, name string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) })}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	t.Cleanup(func() { srv.Close(); <-done })
	return "http://" + ln.Addr().String()
}

func TestLeavingNodeSaysSoAndHandsOver(t *testing.T) {
	app := newApp(t, "i1")
	g := startGroup(t, 3)
	g.configure(t, app)
	leader := -1
	eventually(t, "there is a leader", func() error {
		for i, s := range g.servers {
			if s.node.Info().Role == "leader" {
				leader = i
				return nil
			}
		}
		return fmt.Errorf("none")
	})
	g.stop[leader]()
	other := g.servers[(leader+1)%3]
	eventually(t, "another node leads", func() error {
		if name := other.node.Info().Leader; name == "" || name == g.servers[leader].config.Name {
			return fmt.Errorf("leader is %q", name)
		}
		return nil
	})
	if err := g.servers[leader].ready(); err == nil || !strings.Contains(err.Error(), "leaving") {
		t.Errorf("the leaving node's readiness: %v", err)
	}
	fill(t, other, 100)
	eventually(t, "what was recorded after the hand-over is here", func() error {
		if n := other.state.Len(); n != 100 {
			return fmt.Errorf("%d sessions, want 100", n)
		}
		return nil
	})
}
