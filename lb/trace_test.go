package lb

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

const (
	aTrace  = "0af7651916cd43dd8448eb211c80319c"
	aParent = "b7ad6b7169203331"
)

func TestParseTraceparent(t *testing.T) {
	good := "00-" + aTrace + "-" + aParent + "-01"
	for line, want := range map[string]byte{
		good: 1, good[:53] + "00": 0, good[:53] + "03": 3, good[:53] + "ff": 3, "01" + good[2:]: 1, "cc" + good[2:] + "-what-the-future-brings": 1, "fe" + good[2:] + "-": 1,
	} {
		c, ok := parseTraceparent([]string{line})
		if !ok || hex.EncodeToString(c.trace[:]) != aTrace || hex.EncodeToString(c.parent[:]) != aParent || c.flags != want {
			t.Errorf("%s: %v %+v", line, ok, c)
		}
	}
	for _, lines := range [][]string{
		nil, {""}, {good, good}, {good, ""}, {good + "," + good}, {"ff" + good[2:]}, {good + "-more"}, {good + " "}, {" " + good}, {good[:54]}, {good[1:]}, {"01" + good[2:] + "x"}, {"01" + good[2:] + ".x"},
		{strings.ToUpper(good)}, {"00-" + strings.Repeat("0", 32) + "-" + aParent + "-01"}, {"00-" + aTrace + "-" + strings.Repeat("0", 16) + "-01"}, {"0x" + good[2:]}, {strings.Replace(good, "a", "g", 1)},
		{strings.ReplaceAll(good, "-", "_")}, {good[:53] + "0."}, {good[:53] + "0X"}, {"00-" + aTrace + aParent + "---01"}, {strings.Repeat("0", 10000)}, {"\x00\x00-" + good[3:]}, {"é" + good[2:]},
	} {
		if c, ok := parseTraceparent(lines); ok || c != (traceContext{}) {
			t.Errorf("%.80q: %+v", lines, c)
		}
	}
}

// FuzzTraceparent: what is taken is what the same bytes say when they are written again, but for flags that nobody knows.
func FuzzTraceparent(f *testing.F) {
	for _, s := range []string{"00-" + aTrace + "-" + aParent + "-01", "ff-" + aTrace + "-" + aParent + "-01", "01-" + aTrace + "-" + aParent + "-ff-x", "", strings.Repeat("-", 55)} {
		f.Add(s, "a=b")
	}
	f.Fuzz(func(t *testing.T, line, state string) {
		tr := newTracing(&Tracing{Trust: "all"})
		c := tr.begin([]string{line}, false)
		if !c.on || c.id == [8]byte{} || c.trace == [16]byte{} || c.id == c.parent {
			t.Fatalf("%q: %+v", line, c)
		}
		again, ok := parseTraceparent([]string{string(c.appendTo(nil))})
		if !ok || again.trace != c.trace || again.parent != c.id || again.flags != c.flags {
			t.Fatalf("%q: %+v, then %+v", line, c, again)
		}
		if c.goesOn && (line[3:35] != hex.EncodeToString(c.trace[:]) || line[36:52] != hex.EncodeToString(c.parent[:])) {
			t.Fatalf("%q: %+v", line, c)
		}
		if fitsTracestate([]string{state}) && (len(state) > maxTracestate || strings.ContainsAny(state, "\r\n\x00")) {
			t.Fatalf("%q is passed on", state)
		}
	})
}

// spans gathers what is exported.
type spans struct {
	mu  sync.Mutex
	all []*Span
}

func (s *spans) add(one *Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, one)
}

func (s *spans) list() []*Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}

// next waits for the n-th span.
func (s *spans) next(t testing.TB, n int) *Span {
	t.Helper()
	eventually(t, fmt.Sprint("span ", n), func() bool { return len(s.list()) >= n })
	return s.list()[n-1]
}

func tracedRig(t testing.TB, c *config.Config, sample float64, trust string) (*rig, *spans) {
	s := &spans{}
	return newRigOn(t, newFakeGroup(c), Options{Tracing: &Tracing{Sample: sample, Trust: trust, Export: s.add}}), s
}

// TestTracingOff: what comes passes on as any field, on both engines.
func TestTracingOff(t *testing.T) {
	a := newApp(t, "i1", nil)
	r, c := newRig(t, conf(of(a)...)), newClient(t)
	for _, path := range []string{"/", "/%61"} {
		request := ask(t, http.MethodGet, r.url(path), "")
		request.Header["Traceparent"], request.Header["Tracestate"] = []string{"junk", "more"}, []string{"a=b", "c=d"}
		c.do(request)
		if h := a.header(); !slices.Equal(h["Traceparent"], []string{"junk", "more"}) || !slices.Equal(h["Tracestate"], []string{"a=b", "c=d"}) {
			t.Errorf("%s: %q", path, h)
		}
	}
	if log := r.accessLog(); strings.Contains(log, "traceId") {
		t.Error(log)
	}
}

// TestTraceGoesOn: whose traces do, on both engines; every other request begins a new one, without what came of the old.
func TestTraceGoesOn(t *testing.T) {
	for _, c := range []struct {
		name, trust string
		proxied     bool
		parent      string
		state       []string
		goesOn      bool
		wantState   string
	}{
		{"all", "all", false, "00-" + aTrace + "-" + aParent + "-00", []string{"a=b,c=d", "e=f"}, true, "a=b,c=d|e=f"},
		{"none", "none", true, "00-" + aTrace + "-" + aParent + "-00", []string{"a=b"}, false, ""},
		{"proxies, from a stranger", "proxies", false, "00-" + aTrace + "-" + aParent + "-00", []string{"a=b"}, false, ""},
		{"proxies, from one", "proxies", true, "00-" + aTrace + "-" + aParent + "-00", []string{"a=b"}, true, "a=b"},
		{"broken", "all", false, "00-" + aTrace + "-" + aParent + "-0", []string{"a=b"}, false, ""},
		{"no traceparent", "all", false, "", []string{"a=b"}, false, ""},
		{"too long a state", "all", false, "00-" + aTrace + "-" + aParent + "-00", []string{"a=" + strings.Repeat("x", maxTracestate)}, true, ""},
		{"too many members", "all", false, "00-" + aTrace + "-" + aParent + "-00", []string{strings.Repeat("a=b,", maxTracestateMembers) + "c=d"}, true, ""},
		{"as much as must pass", "all", false, "00-" + aTrace + "-" + aParent + "-00", []string{"a=" + strings.Repeat("x", 510)}, true, "a=" + strings.Repeat("x", 510)},
	} {
		a := newApp(t, "i1", nil)
		cc := conf(of(a)...)
		if c.proxied {
			cc.Proxy = config.Empty().Proxy
			cc.Proxy.TrustedProxies = []string{"127.0.0.0/8"}
		}
		r, s := tracedRig(t, cc, 0, c.trust)
		client := newClient(t)
		for _, path := range []string{"/", "/%61"} { // a loop has the first one, net/http the other
			request := ask(t, http.MethodGet, r.url(path), "")
			if c.parent != "" {
				request.Header["Traceparent"] = []string{c.parent}
			}
			request.Header["Tracestate"] = c.state
			client.do(request)
			lines := a.header()["Traceparent"]
			got, ok := parseTraceparent(lines)
			if !ok || (hex.EncodeToString(got.trace[:]) == aTrace) != c.goesOn || hex.EncodeToString(got.parent[:]) == aParent || got.sampled() {
				t.Errorf("%s, %s: %q", c.name, path, lines)
			}
			if state := strings.Join(a.header()["Tracestate"], "|"); state != c.wantState {
				t.Errorf("%s, %s: state %.60q", c.name, path, state)
			}
			r.wait("it is logged with its trace", func() bool {
				return strings.Contains(r.accessLog(), `"traceId":"`+hex.EncodeToString(got.trace[:])+`"`)
			})
		}
		if !c.proxied {
			wantEngines(t, r, 1, 1)
		}
		if n := len(s.list()); n != 0 {
			t.Errorf("%s: %d spans of what is not recorded", c.name, n)
		}
	}
}

// TestSampling: one of so many is recorded, whichever engine had it first, and the instance hears of exactly those spans.
func TestSampling(t *testing.T) {
	const n = 400
	var mu sync.Mutex
	told := map[string]string{} // span, by trace
	a := newApp(t, "i1", func(_ http.ResponseWriter, r *http.Request) {
		if c, ok := parseTraceparent(r.Header["Traceparent"]); ok && c.sampled() {
			mu.Lock()
			defer mu.Unlock()
			told[string(c.trace[:])] = string(c.parent[:])
		}
	})
	r, s := tracedRig(t, conf(of(a)...), 0.5, "proxies")
	c := newClient(t)
	for i := range n {
		if path := "/"; i%4 == 0 {
			c.get(r.url(path + "%61"))
		} else {
			c.get(r.url(path))
		}
	}
	mu.Lock()
	defer mu.Unlock()
	s.next(t, len(told))
	list := s.list()
	if len(list) != len(told) || len(told) < n/4 || len(told) > 3*n/4 {
		t.Fatalf("%d spans, %d told, of %d", len(list), len(told), n)
	}
	for _, one := range list {
		if told[string(one.Trace[:])] != string(one.ID[:]) || one.Parent != [8]byte{} {
			t.Errorf("%+v", one)
		}
	}
	if l, _ := byEngine(t, r); l == 0 && !netOnly {
		t.Error("what is not recorded leaves the loop")
	}
}

// TestSpans: what a span says of a request that went well, and of those that did not.
func TestSpans(t *testing.T) {
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/shop/teapot" {
			w.WriteHeader(http.StatusTeapot)
		}
		io.WriteString(w, "hello")
	})
	cc := conf(of(a)...)
	cc.Clusters[0].Modules[0].ContextRoot = "/shop"
	cc.Clusters = append(cc.Clusters, clone(conf(inst("gone", deadURL(t)))).Clusters[0])
	cc.Clusters[1].Name, cc.Clusters[1].Modules[0].ContextRoot, cc.Clusters[1].Health.Type = "c2", "/gone", "none"
	cc.Listeners[0].HTTP2 = true
	r, s := tracedRig(t, cc, 0, "all")
	browser, second, n := newClient(t), newHTTP2Client(t), 0
	for _, x := range []struct {
		c                   *client
		path, version       string
		status              int
		cluster, in, shown  string
		assigned, isFailure bool
	}{
		{browser, "/shop/a;jsessionid=secret?q=secret", "1.1", 200, "c1", "i1", "/shop/a", false, false},
		{browser, "/shop/teapot", "1.1", 418, "c1", "i1", "/shop/teapot", true, false},
		{second, "/shop/", "2", 200, "c1", "i1", "/shop/", false, false},
		{browser, "/nowhere", "1.1", 404, "", "", "/nowhere", false, true},
		{browser, "/gone", "1.1", 503, "c2", "", "/gone", false, true},
	} {
		request := ask(t, http.MethodGet, r.url(x.path), "")
		request.Header["Traceparent"], request.Header["Tracestate"] = []string{"00-" + aTrace + "-" + aParent + "-01"}, []string{"a=b"}
		got := x.c.do(request)
		n++
		one := s.next(t, n)
		if got.StatusCode != x.status || one.Status != x.status || one.Method != "GET" || one.Path != x.shown || one.Version != x.version || one.Cluster != x.cluster ||
			one.Assigned != x.assigned || one.Scheme != "http" || one.Host != r.addr() || one.Client != "127.0.0.1" || one.Listener != "web" || one.State != "a=b" {
			t.Errorf("%s: %s %+v", x.path, got.Status, one)
		}
		if x.in != "" && one.Instance != x.in || one.Sent != int64(len(got.body)) || (one.Problem != "") != x.isFailure || one.End.Before(one.Start) {
			t.Errorf("%s: %+v", x.path, one)
		}
		if hex.EncodeToString(one.Trace[:]) != aTrace || hex.EncodeToString(one.Parent[:]) != aParent {
			t.Errorf("%s: %x %x", x.path, one.Trace, one.Parent)
		}
	}
}

// TestSpansOfWhatBreaks: a client that goes away, and an instance that does.
func TestSpansOfWhatBreaks(t *testing.T) {
	began := make(chan struct{}, 1)
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/client":
			began <- struct{}{}
			<-r.Context().Done()
		case "/instance":
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "less")
		}
	})
	r, s := tracedRig(t, conf(of(a)...), 1, "none")
	conn, err := net.Dial("tcp", r.addr())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET /client HTTP/1.1\r\nHost: h\r\n\r\n")
	<-began
	conn.Close()
	if one := s.next(t, 1); !one.Gone || one.Status != 0 || one.Failed() {
		t.Errorf("%+v", one)
	}
	if resp, err := newClient(t).Do(ask(t, http.MethodGet, r.url("/instance"), "")); err == nil {
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	if one := s.next(t, 2); one.Status != 200 || one.Problem == "" || !one.Failed() {
		t.Errorf("%+v", one)
	}
}

// TestSpanOfAWebSocket ends with the handshake, while the WebSocket goes on.
func TestSpanOfAWebSocket(t *testing.T) {
	a := newApp(t, "i1", func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, _ := w.(http.Hijacker).Hijack()
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		io.Copy(conn, rw)
	})
	r, s := tracedRig(t, conf(of(a)...), 1, "none")
	conn, err := net.Dial("tcp", r.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	from := bufio.NewReader(conn)
	if resp, err := http.ReadResponse(from, nil); err != nil || resp.StatusCode != 101 {
		t.Fatal(err, resp)
	}
	if one := s.next(t, 1); one.Status != 101 || one.Path != "/ws" {
		t.Errorf("%+v", one)
	}
	io.WriteString(conn, "still\n")
	if line, err := from.ReadString('\n'); err != nil || line != "still\n" {
		t.Errorf("%q, %v", line, err)
	}
	conn.Close()
	r.wait("it is over", func() bool { return r.status("c1", "i1").InFlight == 0 })
	if n := len(s.list()); n != 1 {
		t.Errorf("%d spans", n)
	}
}
