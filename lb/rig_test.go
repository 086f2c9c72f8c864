package lb

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// rig is one running Balancer with its group.
type rig struct {
	t        testing.TB
	g        *fakeGroup
	node     *fakeNode
	b        *Balancer
	registry *prometheus.Registry
	access   *syncBuffer
	logs     *syncBuffer
	front    string // where clients in clear text reach a listener with TLS, see behindTLS
}

// syncBuffer is a bytes.Buffer that may be used at once.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func newRig(t testing.TB, c *config.Config) *rig {
	t.Helper()
	return newRigOn(t, newFakeGroup(c), Options{})
}

func newRigOn(t testing.TB, g *fakeGroup, o Options) *rig {
	t.Helper()
	if behindTLS {
		putBehindTLS(t, g)
	}
	r := &rig{t: t, g: g, node: g.node(), registry: prometheus.NewRegistry(), access: &syncBuffer{}, logs: &syncBuffer{}}
	o.View, o.Recorder, o.Changed = r.node, r.node, r.node.changed
	if o.Node == "" {
		o.Node = "node1"
	}
	o.NetOnly = o.NetOnly || netOnly
	if o.Loops == 0 {
		o.Loops = 1 // so that one kept connection to an instance is used again
	}
	o.Registerer, o.BindAddress = r.registry, "127.0.0.1"
	o.Logger = slog.New(slog.NewTextHandler(r.logs, nil))
	if _, bench := t.(*testing.B); !bench && o.AccessLog == nil {
		o.AccessLog = r.access
	}
	r.b = New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if t.Failed() {
			t.Log(r.logs.String())
		}
	})
	r.wait("ready", func() bool { return r.b.Ready() == nil })
	if behindTLS && speaksTLS(r.b, "web") {
		r.front = clearFront(t, r.b)
	}
	return r
}

// wait polls a condition until it holds; it fails the test after a time that is long enough for any machine.
func (r *rig) wait(what string, cond func() bool) {
	r.t.Helper()
	eventually(r.t, what, cond)
}

func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		<-tick.C
	}
}

func (r *rig) addr() string {
	if r.front != "" {
		return r.front
	}
	return r.b.Addr("web").String()
}

func (r *rig) url(path string) string { return "http://" + r.addr() + path }

// apply puts a configuration into force and waits for all of it: fronts and TLS come after the routing.
func (r *rig) apply(c *config.Config) {
	r.t.Helper()
	r.g.apply(c)
	want := r.node.Revision().Number
	r.wait("configuration in force", func() bool {
		revision, _, ok := r.b.InForce()
		return ok && revision == want
	})
}

func (r *rig) status(cluster, instance string) InstanceStatus {
	for _, s := range r.b.Instances() {
		if s.Cluster == cluster && s.Instance == instance {
			return s
		}
	}
	r.t.Fatalf("no instance %s in %s", instance, cluster)
	return InstanceStatus{}
}

// client is a browser: it keeps cookies.
type client struct {
	t testing.TB
	*http.Client
}

func newClient(t testing.TB) *client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	var cookies http.CookieJar = jar
	if behindTLS {
		cookies = secureJar{jar}
	}
	return &client{t, &http.Client{Jar: cookies, Transport: tr, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// reply is a response that has been read.
type reply struct {
	*http.Response
	body string
}

func (c *client) do(r *http.Request) reply {
	c.t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		c.t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatalf("%s %s: read: %v", r.Method, r.URL, err)
	}
	return reply{resp, string(body)}
}

func (c *client) get(url string) reply {
	c.t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.do(r)
}

// app is an instance: it answers with its name.
type app struct {
	*httptest.Server
	name string
	mu   sync.Mutex
	hits int
	last http.Header
}

// newApp starts an instance. handler may be nil.
func newApp(t testing.TB, name string, handler http.HandlerFunc) *app {
	a := &app{name: name}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.UserAgent() == "holdfast-health" {
			return
		}
		a.mu.Lock()
		a.hits++
		a.last = r.Header.Clone()
		a.mu.Unlock()
		if handler != nil {
			handler(w, r)
			return
		}
		fmt.Fprint(w, name)
	}))
	t.Cleanup(a.Server.Close)
	return a
}

func (a *app) header() http.Header {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

func (a *app) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.hits
}

// conf makes a configuration of one cluster with one module at / and the given instances.
func conf(instances ...config.Instance) *config.Config {
	return &config.Config{
		Listeners: []config.Listener{{Name: "web", Address: "127.0.0.1:0", Protocol: "http"}},
		Clusters: []config.Cluster{{
			Name: "c1", Policy: "round-robin",
			Affinity:  config.Affinity{Type: "insert", Name: "HOLDFAST", IdleTimeout: config.Duration(30 * time.Minute)},
			Health:    config.Health{Path: "/", Interval: config.Duration(30 * time.Second), Timeout: config.Duration(10 * time.Second), Expect: "100-500", Rise: 1, Fall: 1, Type: "http"},
			Modules:   []config.Module{{ContextRoot: "/", Enabled: true, Replicated: true, Retries: 1, OnSessionLost: "reassign", WhenDisabled: "unavailable"}},
			Instances: instances,
		}},
		OnQuorumLoss: "provisional",
	}
}

// inst is the configuration of an instance.
func inst(name string, urls ...string) config.Instance {
	return config.Instance{Name: name, Listeners: urls, Enabled: true, Weight: 1}
}

// of gives the configuration of apps.
func of(apps ...*app) []config.Instance {
	var list []config.Instance
	for _, a := range apps {
		list = append(list, inst(a.name, a.URL))
	}
	return list
}

// clone copies a configuration deeply.
func clone(c *config.Config) *config.Config {
	data, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	out := &config.Config{}
	if err := json.Unmarshal(data, out); err != nil {
		panic(err)
	}
	return out
}

// deadURL is an address on loopback where nothing listens.
func deadURL(t testing.TB) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return "http://" + ln.Addr().String()
}

func cookieNamed(r reply, name string) *http.Cookie {
	for _, c := range r.Cookies() {
		if c.Name == name {
			return c
		}
	}
	return nil
}

func metric(t testing.TB, r *rig, name string, labels ...string) float64 {
	t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			text := ""
			for _, l := range m.GetLabel() {
				text += l.GetName() + "=" + l.GetValue() + " "
			}
			match := true
			for _, l := range labels {
				match = match && strings.Contains(text, l+" ")
			}
			if match {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// post makes a request that must not be sent twice.
func post(t testing.TB, url, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// exchangeOf is a request on its way, as far as tests of parts need it.
func exchangeOf(b *Balancer, r *http.Request) *exchange {
	x := &exchange{inquiry: inquiry{b: b}, edge: plainEdge(), r: r}
	x.from = x
	return x
}
