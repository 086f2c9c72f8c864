package lb

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// switchable is an instance whose behaviour changes.
type switchable struct {
	*origin
	how atomic.Pointer[serveFunc]
}

func (s *switchable) behave(f serveFunc) { s.how.Store(&f) }

func newSwitchable(t *testing.T, f serveFunc) *switchable {
	s := &switchable{}
	s.behave(f)
	s.origin = newOrigin(t, func(c *net.TCPConn, r *http.Request, nth int64) bool {
		if r.UserAgent() == healthUserAgent {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			return false
		}
		return (*s.how.Load())(c, r, nth)
	})
	return s
}

func TestPassiveMarkDown(t *testing.T) { // WAS-14, SUN-90, TC-13
	busy := answer("HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\nbusy")
	for _, c := range []struct {
		what   string
		how    serveFunc
		answer int
		reason string
	}{{"timeout", hang, 504, "no response within 80ms"}, {"reset", reset, 502, "the connection broke"}, {"5xx", busy, 500, "answered 500"}} {
		for _, kind := range []string{"none", "tcp", "http"} {
			t.Run(c.what+"/"+kind, func(t *testing.T) {
				t.Parallel()
				a := newSwitchable(t, echo("i1"))
				b := newOrigin(t, echo("i2"))
				cc := bare(inst("i1", a.url), inst("i2", b.url))
				cl := &cc.Clusters[0]
				cl.Affinity.Type = "insert"
				cl.ResponseTimeout = config.Duration(30 * time.Second)
				cl.Health = config.Health{Type: kind, Passive: []string{"connect", c.what}, PassiveFails: 2, RetryInterval: config.Duration(time.Hour)}
				r := newRig(t, cc)
				cl1 := sessionsOn(t, r, 2)["i1:"][0]
				post := func() reply { return cl1.do(request(t, "POST", r.url("/"), "x")) }
				fails := clone(cc)
				if c.what == "timeout" {
					fails.Clusters[0].ResponseTimeout = config.Duration(80 * time.Millisecond)
				}
				become := func(how serveFunc, conf *config.Config) {
					a.behave(how)
					r.apply(conf)
				}
				become(c.how, fails)
				if got := post(); got.StatusCode != c.answer {
					t.Fatal(got.StatusCode)
				}
				if s := r.status("c1", "i1"); s.Health != "up" || !s.Suspect { // TC-32
					t.Errorf("after one of two: %+v", s)
				}
				become(echo("i1"), cc)
				if got := post(); got.body != "i1:x" || r.status("c1", "i1").Suspect {
					t.Errorf("a good response does not begin the row anew: %s", got.body)
				}
				become(c.how, fails)
				post()
				post()
				if s := r.status("c1", "i1"); s.Health != "down" || s.Suspect || !strings.Contains(s.Reason, c.reason) {
					t.Errorf("after two of two: %+v", s)
				}
				r.apply(cc)
				hits := a.hits.Load()
				for range 4 { // routed around
					if got := post(); got.body != "i2:x" {
						t.Error(got.StatusCode, got.body)
					}
					if got := newClient(t).get(r.url("/")); got.body != "i2:" {
						t.Error(got.StatusCode, got.body)
					}
				}
				if a.hits.Load() != hits {
					t.Error("an instance that is out of service got requests")
				}
				a.behave(echo("i1"))
				quick := clone(cc)
				quick.Clusters[0].Health.RetryInterval = config.Duration(10 * time.Millisecond)
				r.apply(quick)
				r.wait("back in service", func() bool { return r.status("c1", "i1").Health == "up" })
				r.wait("gets requests", func() bool { return newClient(t).get(r.url("/")).body == "i1:" })
			})
		}
	}
}

func TestPassiveListsOnlyWhatItLists(t *testing.T) {
	dead := deadURL(t)
	b := newOrigin(t, echo("i2"))
	cc := bare(inst("i1", dead), inst("i2", b.url))
	cc.Clusters[0].Health.Passive = []string{}
	r := newRig(t, cc)
	for range 4 {
		if got := newClient(t).do(request(t, "POST", r.url("/"), "x")); got.body != "i2:x" {
			t.Fatal(got.StatusCode, got.body)
		}
	}
	if s := r.status("c1", "i1"); s.Health != "up" {
		t.Errorf("passive: [] and yet %+v", s)
	}
}

func TestOwnFaultCountsForNobody(t *testing.T) {
	a := newOrigin(t, echo("i1"))
	r := newRig(t, bare(inst("i1", a.url)))
	e := (*r.b.routing.Load().clusters["c1"].instances[0].state.endpoints.Load())[0]
	x := exchangeOf(r.b, httptest.NewRequest("GET", "/", nil))
	x.mod = r.b.routing.Load().match("h", "/").modules[0]
	x.in = x.mod.cluster.instances[0]
	e.noteReached()
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOMEM, syscall.ENOBUFS} {
		err := fmt.Errorf("wrapped: %w", &connectError{&net.OpError{Op: "dial", Err: os.NewSyscallError("socket", errno)}})
		if why := x.noteResult(e, time.Now(), nil, err); why != whyOwn || !e.up() {
			t.Errorf("%v: %q, up %v", errno, why, e.up())
		}
	}
	if x.noteResult(e, time.Now(), nil, &connectError{syscall.ECONNREFUSED}); e.up() {
		t.Error("a refused connection does not count")
	}
}

func TestResponseTimeoutOfTheCluster(t *testing.T) { // SUN-90
	slow := func(d time.Duration) serveFunc {
		return func(c *net.TCPConn, r *http.Request, nth int64) bool {
			<-time.After(d)
			return echo("slow")(c, r, nth)
		}
	}
	a := newOrigin(t, slow(200*time.Millisecond))
	cc := bare(inst("i1", a.url))
	set := func(d time.Duration) *config.Config {
		next := clone(cc)
		next.Clusters[0].ResponseTimeout = config.Duration(d)
		return next
	}
	r := newRig(t, set(0))
	if got := newClient(t).get(r.url("/")); got.StatusCode != 200 { // 0: no bound
		t.Fatal(got.StatusCode)
	}
	conns := a.conns.Load()
	open := dialRaw(t, r) // in flight while the revision changes: it keeps the bound it began with
	open.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	r.wait("in flight", func() bool { return a.hits.Load() == 2 })
	r.apply(set(10 * time.Second))
	if got := open.response(); got.StatusCode != 200 {
		t.Fatal(got.StatusCode)
	}
	r.wait("idle again", func() bool { return r.status("c1", "i1").InFlight == 0 })
	if got := newClient(t).get(r.url("/")); got.StatusCode != 200 || a.conns.Load() != conns {
		t.Errorf("%d; the change cost %d connections", got.StatusCode, a.conns.Load()-conns)
	}
	r.apply(set(50 * time.Millisecond))
	if got := newClient(t).get(r.url("/")); got.StatusCode != 504 {
		t.Errorf("%d", got.StatusCode)
	}
}

func TestWaitForTheClientIsNotTheInstances(t *testing.T) {
	a := newOrigin(t, echo("i1"))
	cc := bare(inst("i1", a.url))
	cc.Clusters[0].ResponseTimeout = config.Duration(time.Second)
	r := newRig(t, cc)
	for _, key := range []string{"", "Idempotency-Key: k\r\n"} {
		hits := a.hits.Load()
		c := dialRaw(t, r)
		c.write("POST / HTTP/1.1\r\nHost: h\r\n" + key + "Content-Length: 6\r\n\r\nabc")
		r.wait("the head has arrived", func() bool { return a.hits.Load() > hits })
		<-time.After(1500 * time.Millisecond)
		c.write("def")
		resp := c.response()
		if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(body) != "i1:abcdef" {
			t.Errorf("%d %q", resp.StatusCode, body)
		}
	}
}

func TestInstanceThatReadsNothing(t *testing.T) {
	a := newOrigin(t, func(c *net.TCPConn, r *http.Request, _ int64) bool {
		c.SetReadBuffer(4096)
		<-t.Context().Done()
		return false
	})
	cc := bare(inst("i1", a.url))
	cc.Clusters[0].ResponseTimeout = config.Duration(200 * time.Millisecond)
	r := newRig(t, cc)
	req, _ := http.NewRequest("POST", r.url("/"), io.LimitReader(zeros{}, 64<<20))
	req.ContentLength = 64 << 20
	c := newClient(t)
	c.Transport.(*http.Transport).ExpectContinueTimeout = 0
	resp, err := c.Do(req)
	if err == nil {
		defer resp.Body.Close()
		if resp.StatusCode != 504 {
			t.Error(resp.StatusCode)
		}
	}
	r.wait("given up", func() bool { return strings.Contains(r.accessLog(), `"status":504`) })
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestResponseTimeoutEndsWithTheHead(t *testing.T) {
	a := newOrigin(t, func(c *net.TCPConn, r *http.Request, _ int64) bool {
		if r.Header.Get("Upgrade") != "" {
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
			<-time.After(1500 * time.Millisecond)
			io.WriteString(c, "tunnel")
			return false
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
		<-time.After(1500 * time.Millisecond)
		io.WriteString(c, "late")
		return true
	})
	cc := bare(inst("i1", a.url))
	cc.Clusters[0].ResponseTimeout = config.Duration(time.Second)
	r := newRig(t, cc)
	if got := newClient(t).get(r.url("/")); got.body != "late" {
		t.Errorf("%d %q", got.StatusCode, got.body)
	}
	c := dialRaw(t, r)
	c.write("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
	if got := c.response(); got.StatusCode != 101 {
		t.Fatal(got.StatusCode)
	}
	if rest, err := io.ReadAll(bufio.NewReader(c.in)); string(rest) != "tunnel" {
		t.Errorf("%q %v", rest, err)
	}
}

func TestLatencyOfInstancesIsObserved(t *testing.T) {
	a := newOrigin(t, func(c *net.TCPConn, r *http.Request, nth int64) bool {
		<-time.After(60 * time.Millisecond)
		return echo("i1")(c, r, nth)
	})
	r := newRig(t, bare(inst("i1", a.url)))
	newClient(t).get(r.url("/"))
	if got := r.b.routing.Load().clusters["c1"].instances[0].state.latency.value(); got < 40*time.Millisecond || got > 10*time.Second {
		t.Error(got)
	}
}

func TestActivationHeader(t *testing.T) {
	a := newOrigin(t, echo("i1"))
	b := newOrigin(t, echo("i2"))
	cc := bare(inst("i1", a.url), inst("i2", b.url))
	cc.Clusters[0].Affinity.Type = "insert"
	r := newRig(t, cc)
	cl := sessionsOn(t, r, 2)["i1:"][0]
	forge := func() *http.Request { return request(t, "GET", r.url("/"), "", "X-Holdfast-Activation: forged") }
	if cl.do(forge()); len(a.header(activationHeader)) != 1 || a.header(activationHeader)[0] != "active" {
		t.Error(a.header(activationHeader))
	}
	in := r.b.routing.Load().clusters["c1"].instances[0]
	if in.name != "i1" {
		t.Fatal(in.name)
	}
	quiescing := clone(cc)
	quiescing.Clusters[0].Instances[0].Enabled = false
	r.g.operate(func(o *fsm.Operating) {
		o.Quiesces = []fsm.Quiesce{{Subject: fsm.Subject{Cluster: "c1", Instance: "i1"}}}
	})
	r.apply(quiescing)
	if got := cl.do(forge()); got.body != "i1:" || a.header(activationHeader)[0] != "quiescing" {
		t.Error(got.body, a.header(activationHeader))
	}
}

// An answer that is dropped for that of another instance is not waited for: its body may never come.
func TestDroppedResponseIsNotWaitedFor(t *testing.T) {
	endless := newSwitchable(t, func(c *net.TCPConn, r *http.Request, _ int64) bool {
		io.WriteString(c, "HTTP/1.1 503 Busy\r\nContent-Length: 10\r\n\r\nbusy")
		io.Copy(io.Discard, c) // until Holdfast closes
		return false
	})
	good := newOrigin(t, echo("good"))
	cc := bare(inst("bad", endless.url), inst("good", good.url))
	cc.Clusters[0].Health.Passive = []string{"5xx"}
	cc.Clusters[0].Health.PassiveFails = 10
	r := newRig(t, cc)
	c := newClient(t)
	c.Timeout = 5 * time.Second
	for range 2 {
		if got := c.do(request(t, "GET", r.url("/"), "")); got.body != "good:" {
			t.Errorf("%d %q", got.StatusCode, got.body)
		}
	}
	if endless.hits.Load() == 0 {
		t.Error("the instance that does not end its answer was not asked")
	}
}
