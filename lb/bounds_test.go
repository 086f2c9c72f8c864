package lb

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// limitedRig has one instance and what the changes make of its configuration.
func limitedRig(t *testing.T, handler http.HandlerFunc, change func(*config.Config)) (*rig, *app, *config.Config) {
	t.Helper()
	a := newApp(t, "i1", handler)
	cc := conf(of(a)...)
	change(cc)
	return newRig(t, cc), a, cc
}

func TestRateOfAModule(t *testing.T) {
	r, a, cc := limitedRig(t, nil, func(c *config.Config) {
		c.Clusters[0].Modules[0].Limits.PerClient = config.Rates{RequestsPerSecond: 1, Burst: 3}
	})
	count := func(n int) (codes [600]int) {
		for range n {
			got := newClient(t).get(r.url("/"))
			codes[got.StatusCode]++
			if after, err := strconv.Atoi(got.Header.Get("Retry-After")); got.StatusCode == 429 && (err != nil || after < 1 || after > 2) {
				t.Errorf("Retry-After %q", got.Header.Get("Retry-After"))
			}
		}
		return codes
	}
	if codes := count(20); codes[200] < 3 || codes[200] > 4 || codes[200]+codes[429] != 20 || a.count() != codes[200] {
		t.Errorf("%d passed, %d were refused, %d reached the instance", codes[200], codes[429], a.count())
	}
	if n := len(r.g.sessions()); n > 4 {
		t.Errorf("the flood made %d sessions", n)
	}
	if metric(t, r, "holdfast_limited_total", "bound=client rate") < 16 {
		t.Error("not counted")
	}
	cc = cc.Clone()
	cc.Clusters[0].Modules[0].Limits = config.ModuleLimits{RequestsPerSecond: 1, Burst: 2}
	r.apply(cc)
	if codes := count(20); codes[200] < 2 || codes[200] > 3 || codes[200]+codes[503] != 20 {
		t.Errorf("of the whole module: %d passed, %d were refused", codes[200], codes[503])
	}
	cc = cc.Clone()
	cc.Clusters[0].Modules[0].Limits = config.ModuleLimits{}
	r.apply(cc)
	if codes := count(20); codes[200] != 20 {
		t.Errorf("without bounds: %d passed", codes[200])
	}
}

// The client behind a trusted proxy is bounded, not the proxy.
func TestRateCountsTheClientBehindTheProxy(t *testing.T) {
	r, _, _ := limitedRig(t, nil, func(c *config.Config) {
		c.Proxy.TrustedProxies = []string{"127.0.0.1/32"}
		c.Listeners[0].Limits.PerClient = config.Rates{RequestsPerSecond: 1, Burst: 1}
	})
	for _, tc := range []struct {
		client string
		want   int
	}{{"1.2.3.4", 200}, {"1.2.3.5", 200}, {"6.6.6.6, 1.2.3.4", 429}, {"2001:db8::1", 200}, {"2001:db8::2", 429}, {"2001:db8:0:1::2", 200}} {
		if got := send(t, r, "/", "X-Forwarded-For: "+tc.client); got.StatusCode != tc.want {
			t.Errorf("%s: %d, want %d", tc.client, got.StatusCode, tc.want)
		}
	}
}

func TestRequestsOfAModuleAtOnce(t *testing.T) {
	for _, each := range []bool{false, true} {
		began, finish := make(chan struct{}, 10), make(chan struct{})
		r, _, _ := limitedRig(t, func(w http.ResponseWriter, r *http.Request) {
			began <- struct{}{}
			<-finish
		}, func(c *config.Config) {
			l := &c.Clusters[0].Modules[0].Limits
			if each {
				l.PerClient.Connections = 2
			} else {
				l.Connections = 2
			}
		})
		var open []*rawConn
		for range 2 {
			c := dialRaw(t, r)
			c.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			open = append(open, c)
			<-began
		}
		want := map[bool]int{false: 503, true: 429}[each]
		if got := newClient(t).get(r.url("/")); got.StatusCode != want || got.Header.Get("Retry-After") != "1" {
			t.Errorf("the third: %d %v", got.StatusCode, got.Header)
		}
		close(finish)
		for _, c := range open {
			if got := c.response(); got.StatusCode != 200 {
				t.Errorf("%d", got.StatusCode)
			}
		}
		r.wait("there is room again", func() bool { return newClient(t).get(r.url("/")).StatusCode == 200 })
	}
}

// Who is one too many learns why, and everybody else's connections go on; a bound that comes later closes none.
func TestConnectionsOfAListener(t *testing.T) {
	for _, each := range []bool{false, true} {
		r, _, cc := limitedRig(t, nil, func(c *config.Config) {})
		open := []*rawConn{dialRaw(t, r), dialRaw(t, r), dialRaw(t, r)}
		ask := func(c *rawConn) int {
			c.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			got := c.response()
			io.Copy(io.Discard, got.Body)
			return got.StatusCode
		}
		for _, c := range open {
			if got := ask(c); got != 200 {
				t.Fatal(got)
			}
		}
		cc = cc.Clone()
		want := 503
		if each {
			cc.Listeners[0].Limits.PerClient.Connections, want = 2, 429
		} else {
			cc.Listeners[0].Limits.Connections = 2
		}
		r.apply(cc)
		for _, c := range open { // made without a bound: they count for nothing, and stay
			if got := ask(c); got != 200 {
				t.Fatal(got)
			}
		}
		bounded := []*rawConn{dialRaw(t, r), dialRaw(t, r)}
		for _, c := range bounded {
			if got := ask(c); got != 200 {
				t.Fatal(got)
			}
		}
		late := dialRaw(t, r)
		if got, err := http.ReadResponse(bufio.NewReader(late), nil); err != nil || got.StatusCode != want || got.Header.Get("Retry-After") == "" || !got.Close {
			t.Fatalf("one too many: %v %v", got, err)
		}
		bounded[0].Close()
		r.wait("there is room again", func() bool {
			c, err := net.Dial("tcp", r.addr())
			if err != nil {
				return false
			}
			defer c.Close()
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
			got, err := http.ReadResponse(bufio.NewReader(c), nil)
			return err == nil && got.StatusCode == 200
		})
		if got := ask(bounded[1]); got != 200 {
			t.Error(got)
		}
	}
}

func TestLargestBody(t *testing.T) {
	r, a, cc := limitedRig(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(w, r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
	}, func(c *config.Config) { c.Proxy.Limits.Body = 10 })
	post := func(body string, chunked bool) int {
		c := dialRaw(t, r)
		head := "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n"
		if chunked {
			head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
			body = strconv.FormatInt(int64(len(body)), 16) + "\r\n" + body + "\r\n0\r\n\r\n"
		}
		c.Conn.Write([]byte(head + body)) // the answer may come before all of it has been taken
		return c.response().StatusCode
	}
	if got := post(strings.Repeat("x", 100), false); got != 413 || a.count() != 0 {
		t.Errorf("%d; the instance has seen %d requests", got, a.count())
	}
	for _, chunked := range []bool{false, true} {
		for n, want := range map[int]int{1: 200, 10: 200, 11: 413, 1 << 20: 413} {
			if got := post(strings.Repeat("x", n), chunked); got != want {
				t.Errorf("%d bytes, chunked %v: %d, want %d", n, chunked, got, want)
			}
		}
	}
	cc = cc.Clone()
	cc.Clusters[0].Modules[0].Limits.Body = 100 // a module's own bound beats that of the group
	r.apply(cc)
	for n, want := range map[int]int{100: 200, 101: 413} {
		if got := post(strings.Repeat("x", n), true); got != want {
			t.Errorf("%d bytes: %d, want %d", n, got, want)
		}
	}
	if s := r.status("c1", "i1"); s.Health != "up" {
		t.Error("the instance was blamed")
	}
}

// A client that may send its body is asked for it only when that is not too large.
func TestTooLargeBodyIsNotAskedFor(t *testing.T) {
	r, _, _ := limitedRig(t, nil, func(c *config.Config) { c.Proxy.Limits.Body = 10 })
	c := dialRaw(t, r)
	c.write("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n")
	if got := c.response(); got.StatusCode != 413 {
		t.Error(got.StatusCode)
	}
}

func TestStricterOfTwoClusters(t *testing.T) {
	got := together(config.ModuleLimits{RequestsPerSecond: 5, Body: 100, PerClient: config.Rates{Connections: 3}}, config.ModuleLimits{RequestsPerSecond: 3, Connections: 7, PerClient: config.Rates{Connections: 4}})
	want := config.ModuleLimits{RequestsPerSecond: 3, Connections: 7, Body: 100, PerClient: config.Rates{Connections: 3}}
	if got != want {
		t.Errorf("%+v", got)
	}
}

// A flood beyond the bound costs a bounded number of goroutines for a bounded time; whoever is in is served meanwhile.
func TestFloodOfConnections(t *testing.T) {
	r, _, _ := limitedRig(t, nil, func(c *config.Config) { c.Listeners[0].Limits.Connections = 1 })
	in := dialRaw(t, r)
	ask := func() {
		t.Helper()
		in.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		got := in.response()
		if _, err := io.Copy(io.Discard, got.Body); err != nil || got.StatusCode != 200 {
			t.Fatal(got.StatusCode, err)
		}
	}
	ask()
	var flood []net.Conn
	for i := range 3 * mostTurnedAway {
		c, err := net.Dial("tcp", r.addr())
		if err != nil {
			t.Fatal(err)
		}
		flood = append(flood, c)
		if n := r.b.turnedAway.Load(); n > mostTurnedAway+1 {
			t.Fatalf("%d are turned away at once", n)
		}
		if i%100 == 0 {
			ask()
		}
	}
	ask()
	for _, c := range flood {
		c.Close()
	}
	r.wait("all have come and are gone", func() bool {
		return r.b.turnedAway.Load() == 0 && metric(t, r, "holdfast_limited_total", "bound=connections") >= float64(len(flood))
	})
	if n := metric(t, r, "holdfast_limited_total", "bound=connections"); n != float64(len(flood)) {
		t.Errorf("%v counted", n)
	}
}
