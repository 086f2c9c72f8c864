package lb

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// soon is for what is to end; later for what is to go on, in pieces that come so often that no machine is too slow for it.
const (
	soon  = config.Duration(100 * time.Millisecond)
	later = config.Duration(5 * time.Second)
	often = 150 * time.Millisecond
	bits  = 40 // take longer than later, together
)

// A client that stops in the middle of its body is told so and let go; one that is slow, but goes on, is served.
func TestTimeForARequestBody(t *testing.T) {
	t.Parallel()
	r, _, cc := limitedRig(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }, func(c *config.Config) { c.Proxy.Timeouts.RequestBody = soon })
	for _, begun := range []string{
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
	} {
		c := dialRaw(t, r)
		c.write(begun)
		got := c.response()
		io.Copy(io.Discard, got.Body)
		if got.StatusCode != 408 || !got.Close {
			t.Errorf("%q: %d, close %v", begun, got.StatusCode, got.Close)
		} else if rest, err := io.ReadAll(c.in); err != nil || len(rest) != 0 {
			t.Errorf("%q: the connection goes on: %q %v", begun, rest, err)
		}
	}
	cc = cc.Clone()
	cc.Proxy.Timeouts.RequestBody = later
	r.apply(cc)
	c := dialRaw(t, r)
	c.write(fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", bits))
	tick := time.NewTicker(often)
	defer tick.Stop()
	for range bits {
		<-tick.C
		c.write("x")
	}
	if got := c.response(); got.StatusCode != 200 {
		t.Errorf("a slow client: %d", got.StatusCode)
	}
	r.wait("nothing in flight", func() bool { return r.status("c1", "i1").InFlight == 0 })
	if s := r.status("c1", "i1"); s.Health != "up" {
		t.Errorf("%+v", s)
	}
}

func TestTimeForAResponseBody(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	r, _, cc := limitedRig(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(3+bits))
		fmt.Fprint(w, "abc")
		http.NewResponseController(w).Flush()
		if r.URL.Path == "/stalls" {
			<-stop
			return
		}
		for range bits {
			timer := time.NewTimer(often)
			<-timer.C
			fmt.Fprint(w, "x")
			http.NewResponseController(w).Flush()
		}
	}, func(c *config.Config) { c.Proxy.Timeouts.ResponseBody = soon })
	defer close(stop)
	c := dialRaw(t, r)
	c.write("GET /stalls HTTP/1.1\r\nHost: h\r\n\r\n")
	if body, err := io.ReadAll(c.response().Body); err == nil || string(body) != "abc" {
		t.Errorf("%q %v", body, err)
	}
	if log := r.accessLog(); !strings.Contains(log, `"error":"timeout"`) {
		t.Error(log)
	}
	cc = cc.Clone()
	cc.Proxy.Timeouts.ResponseBody = later
	r.apply(cc)
	if got := newClient(t).get(r.url("/slow")); got.body != "abc"+strings.Repeat("x", bits) {
		t.Errorf("an instance that is slow: %q", got.body)
	}
}

// A client that does not take its response is let go, and a connection does not keep the deadline of a revision that is over.
func TestTimeToSend(t *testing.T) {
	r, _, cc := limitedRig(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			io.CopyN(w, zeros{}, 64<<20)
		}
	}, func(c *config.Config) { c.Proxy.Timeouts.Send = soon })
	lazy := dialRaw(t, r)
	lazy.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	lazy.write("GET /large HTTP/1.1\r\nHost: h\r\n\r\n")
	r.wait("it is let go", func() bool {
		return strings.Contains(r.accessLog(), `"path":"/large"`) && r.status("c1", "i1").InFlight == 0
	})
	c := dialRaw(t, r)
	ask := func() {
		t.Helper()
		c.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		if got := c.response(); got.StatusCode != 200 {
			t.Fatal(got.StatusCode)
		}
	}
	ask()
	cc = cc.Clone()
	cc.Proxy.Timeouts.Send = 0
	over := time.NewTimer(2 * time.Duration(soon))
	r.apply(cc)
	<-over.C
	ask()
}

func TestTimeOfATunnel(t *testing.T) {
	t.Parallel()
	r, _, cc := limitedRig(t, wsEcho, func(c *config.Config) {})
	free := dialRaw(t, r)
	free.write(wsRequest)
	free.response()
	cc = cc.Clone()
	cc.Proxy.Timeouts.Tunnel = later
	r.apply(cc)
	c := dialRaw(t, r)
	c.write(wsRequest)
	c.response()
	io.ReadFull(c.in, make([]byte, len("hello ")))
	tick := time.NewTicker(often)
	defer tick.Stop()
	for range bits {
		<-tick.C
		c.write("x")
		if _, err := io.ReadFull(c.in, make([]byte, 1)); err != nil {
			t.Fatalf("one in use was ended: %v", err)
		}
	}
	began := time.Now()
	if n, err := c.in.Read(make([]byte, 1)); n != 0 || err == nil || time.Since(began) < time.Duration(later)/4 {
		t.Errorf("one that nobody uses: %d bytes, %v after %v", n, err, time.Since(began))
	}
	free.write("x")
	got := make([]byte, len("hello x"))
	if _, err := io.ReadFull(free.in, got); err != nil {
		t.Errorf("one of an earlier revision was ended: %v", err)
	}
}

func TestTimeOfHeadsAndIdleConnections(t *testing.T) {
	r, _, before := limitedRig(t, nil, func(c *config.Config) {})
	now := before.Clone()
	now.Proxy.Timeouts.Head, now.Proxy.Timeouts.Idle = soon, soon
	// answer is what a connection opened before the times got shorter is told; nil when this test was so late with its
	// bytes that the connection had been ended for saying nothing, which a machine may be any number of times.
	answer := func(bytes string) (*rawConn, *http.Response) {
		for range 20 {
			r.apply(before)
			c := dialRaw(t, r)
			eventually(t, "it is there", func() bool { return r.b.countOpen() > 0 })
			r.apply(now)
			c.Conn.Write([]byte(bytes)) // fails when it was ended already
			got, err := http.ReadResponse(c.in, nil)
			if err == nil {
				return c, got
			}
			c.Close()
			eventually(t, "it is gone", func() bool { return r.b.countOpen() == 0 })
		}
		t.Fatalf("%q: never an answer", bytes)
		return nil, nil
	}
	c, got := answer("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if _, err := io.Copy(io.Discard, got.Body); got.StatusCode != 200 || err != nil {
		t.Fatal(got.StatusCode, err)
	}
	if rest, err := io.ReadAll(c.in); err != nil || len(rest) != 0 {
		t.Errorf("idle: %q %v", rest, err)
	}
	c.Close()
	eventually(t, "it is gone", func() bool { return r.b.countOpen() == 0 })
	if _, got := answer("GET / HTTP/1.1\r\nHo"); got.StatusCode != 408 {
		t.Errorf("half a head: %d", got.StatusCode)
	}
	fresh := dialRaw(t, r)
	if rest, err := io.ReadAll(fresh.in); err != nil || len(rest) != 0 {
		t.Errorf("one that says nothing: %q %v", rest, err)
	}
}

func TestTimeToConnect(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	cc := conf(of(a)...)
	r := newRig(t, cc)
	times := func() (list []time.Duration) {
		for _, in := range r.b.routing.Load().clusters["c1"].instances {
			for _, e := range *in.state.endpoints.Load() {
				list = append(list, time.Duration(e.connect.Load()))
			}
		}
		return list
	}
	if got := fmt.Sprint(times()); got != "[5s]" {
		t.Error(got)
	}
	cc = conf(of(a, b)...)
	cc.Proxy.Timeouts.Connect = config.Duration(time.Second)
	r.apply(cc)
	if got := fmt.Sprint(times()); got != "[1s 1s]" {
		t.Error(got)
	}
	cc = cc.Clone()
	cc.Proxy.Timeouts.Connect = 1 // ns: nobody connects so fast
	r.apply(cc)
	for _, app := range []*app{a, b} {
		app.CloseClientConnections()
	}
	if got := newClient(t).get(r.url("/%61")); got.StatusCode < 502 { // by net/http: the loops look at the time only when a connection is not there at once
		t.Errorf("%d", got.StatusCode)
	}
}

// All of it changes under connections that are there: none is closed, and the next request obeys.
func TestEverythingChangesUnderOpenConnections(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	r, a, cc := limitedRig(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(begun)
			<-finish
		}
		fmt.Fprint(w, "ok")
	}, func(c *config.Config) {})
	kept, slow := dialRaw(t, r), dialRaw(t, r)
	ask := func(head string) int {
		t.Helper()
		kept.write(head + "\r\n")
		got := kept.response()
		io.Copy(io.Discard, got.Body)
		return got.StatusCode
	}
	const get = "GET / HTTP/1.1\r\nHost: h\r\n"
	if got := ask(get + "X: " + strings.Repeat("a", 3000) + "\r\n"); got != 200 {
		t.Fatal(got)
	}
	slow.write("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
	<-begun
	for i, change := range []func(*config.Config){
		func(c *config.Config) { c.Proxy.TrustedProxies = []string{"127.0.0.0/8"} },
		func(c *config.Config) { c.Proxy.RequestID.Header = "X-Request-Id" },
		func(c *config.Config) {
			c.Proxy.Limits = config.HeadLimits{Head: 2 << 10, Target: 1 << 10, Lines: 16, Body: 5}
		},
		func(c *config.Config) {
			c.Proxy.Timeouts = config.Timeouts{Head: config.Duration(time.Minute), Idle: config.Duration(time.Minute), Send: config.Duration(time.Minute), ResponseBody: config.Duration(time.Minute), RequestBody: config.Duration(time.Minute)}
		},
		func(c *config.Config) { c.Proxy.AccessLog.Format = "combined" },
		func(c *config.Config) { c.Proxy.ErrorPages = []config.ErrorPage{{Status: "400-599", Text: "x"}} },
		func(c *config.Config) {
			c.Listeners[0].Limits = config.ListenerLimits{RequestsPerSecond: 1000, Connections: 100}
		},
		func(c *config.Config) {
			c.Clusters[0].Modules[0].Limits = config.ModuleLimits{RequestsPerSecond: 1000, Connections: 100}
		},
		func(c *config.Config) { c.Listeners[0].Name = "other" },
	} {
		cc = cc.Clone()
		change(cc)
		r.apply(cc)
		if got := ask(get + "X-Forwarded-For: 192.0.2.99\r\n"); got != 200 {
			t.Fatalf("after change %d: %d", i, got)
		}
	}
	if h := a.header(); h.Get("X-Request-Id") == "" || h.Get("X-Forwarded-For") != "192.0.2.99" {
		t.Errorf("%v", h)
	}
	if !strings.Contains(r.accessLog(), "192.0.2.99 - - [") {
		t.Error(r.accessLog())
	}
	close(finish)
	if got := slow.response(); got.StatusCode != 200 {
		t.Errorf("the request that was under way: %d", got.StatusCode)
	}
	if got := ask(get + "X: " + strings.Repeat("a", 3000) + "\r\n"); got != 431 {
		t.Errorf("a head that is too large now: %d", got)
	}
	more := func(head string) int {
		c, err := net.Dial("tcp", kept.RemoteAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		kept.Conn.Close()
		kept = &rawConn{c, t, nil}
		kept.in = bufio.NewReader(c)
		return ask(head)
	}
	if got := more("GET /" + strings.Repeat("a", 1500) + " HTTP/1.1\r\nHost: h\r\n"); got != 414 {
		t.Errorf("target: %d", got)
	}
	if got := more(get + strings.Repeat("X: 1\r\n", 16)); got != 431 {
		t.Errorf("fields: %d", got)
	}
}
