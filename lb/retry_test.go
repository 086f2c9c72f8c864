package lb

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

func TestWhichRequestsAreRepeated(t *testing.T) { // WAS-23
	for _, c := range []struct {
		method, path string
		fields       []string
		body         string
		want         int
	}{
		{"GET", "/", nil, "", 200}, {"HEAD", "/", nil, "", 200}, {"OPTIONS", "/", nil, "", 200}, {"GET", "/", nil, "with a body", 200},
		{"POST", "/", nil, "x", 502}, {"PUT", "/", nil, "x", 502}, {"DELETE", "/", nil, "", 502}, {"PATCH", "/", nil, "x", 502}, {"BREW", "/", nil, "", 502},
		{"POST", "/", []string{"Idempotency-Key: 1"}, "x", 200}, {"POST", "/", []string{"X-Idempotency-Key: 1"}, "", 200},
		{"POST", "/declared/a", nil, "x", 200}, {"DELETE", "/declared", nil, "", 200}, {"POST", "/declared;x=1/../declared/y", nil, "x", 200},
		{"POST", "/a/b.again", nil, "x", 200}, {"GET", "/never/x", nil, "", 502}, {"POST", "/never/x", []string{"Idempotency-Key: 1"}, "", 502},
	} {
		bad, good := newOrigin(t, reset), newOrigin(t, echo("good"))
		cc := bare(inst("bad", bad.url), inst("good", good.url))
		cc.Clusters[0].Modules[0].Idempotent = []config.Pattern{{Pattern: "/declared/*", Retries: -1}, {Pattern: "*.again", Retries: 1}, {Pattern: "/never/*", Retries: 0}}
		r := newRig(t, cc)
		got := firstOn(t, bad, func() *http.Request { return request(t, c.method, r.url(c.path), c.body, c.fields...) })
		if got.StatusCode != c.want || got.StatusCode == 200 && c.method != "HEAD" && got.body != "good:"+c.body {
			t.Errorf("%s %s %v: %d %q, want %d", c.method, c.path, c.fields, got.StatusCode, got.body, c.want)
		}
		if n := bad.hits.Load(); n != 1 {
			t.Errorf("%s %s: sent to the failing instance %d times", c.method, c.path, n)
		}
		want := map[int]float64{200: 1, 502: 0}[c.want]
		if n := metric(t, r, "holdfast_request_retries_total", "why=reset"); n != want {
			t.Errorf("%s %s: %v repeats are counted", c.method, c.path, n)
		}
		if n := metric(t, r, "holdfast_connect_retries_total"); n != 0 {
			t.Errorf("%v failed connects are counted", n)
		}
	}
}

func TestPatternsAreRelativeToTheContextRoot(t *testing.T) {
	bad, good := newOrigin(t, reset), newOrigin(t, echo("good"))
	cc := bare(inst("bad", bad.url), inst("good", good.url))
	m := &cc.Clusters[0].Modules[0]
	m.ContextRoot, m.Idempotent = "/shop", []config.Pattern{{Pattern: "/cart/*", Retries: -1}}
	r := newRig(t, cc)
	for path, want := range map[string]int{"/shop/cart/1": 200, "/shop/shop/cart": 502, "/shop": 502} {
		if got := firstOn(t, bad, func() *http.Request { return request(t, "POST", r.url(path), "x") }); got.StatusCode != want {
			t.Errorf("%s: %d", path, got.StatusCode)
		}
	}
}

func TestHowOftenARequestIsRepeated(t *testing.T) {
	for _, c := range []struct{ module, pattern, sends int }{{0, -1, 4}, {1, 0, 1}, {0, 1, 2}, {0, 2, 3}, {3, 1, 2}, {-1, -1, 4}} {
		var all []*origin
		var list []config.Instance
		for _, name := range []string{"a", "b", "c", "d"} {
			o := newOrigin(t, reset)
			all, list = append(all, o), append(list, inst(name, o.url))
		}
		cc := bare(list...)
		cc.Clusters[0].Modules[0].Retries = c.module
		cc.Clusters[0].Modules[0].Idempotent = []config.Pattern{{Pattern: "/", Retries: c.pattern}}
		r := newRig(t, cc)
		got := newClient(t).do(request(t, "POST", r.url("/"), "x"))
		sends := int64(0)
		for _, o := range all {
			sends += o.hits.Load()
			if o.hits.Load() > 1 {
				t.Errorf("%+v: one instance got it %d times", c, o.hits.Load())
			}
		}
		if int(sends) != c.sends || got.StatusCode == 200 {
			t.Errorf("%+v: sent %d times, %d", c, sends, got.StatusCode)
		}
	}
}

func TestBodyBufferBoundsWhatIsRepeated(t *testing.T) { // WAS-23: PostBufferSize 64 KiB
	for _, c := range []struct {
		size, buffer int
		want         int
	}{{64 << 10, 64 << 10, 200}, {64<<10 + 1, 64 << 10, 502}, {1, 0, 502}, {200_000, 1 << 20, 200}, {4097, 4096, 502}} {
		for _, chunked := range []bool{true, false} {
			bad, good := newOrigin(t, reset), newOrigin(t, echo("good"))
			cc := bare(inst("bad", bad.url), inst("good", good.url))
			cc.Clusters[0].BodyBuffer = config.Size(c.buffer)
			r := newRig(t, cc)
			body := strings.Repeat("z", c.size)
			got := firstOn(t, bad, func() *http.Request {
				req := request(t, "POST", r.url("/"), body, "Idempotency-Key: k")
				if !chunked {
					req.ContentLength = int64(c.size)
				}
				return req
			})
			if got.StatusCode != c.want || c.want == 200 && got.body != "good:"+body {
				t.Errorf("%+v chunked %v: %d, %d bytes", c, chunked, got.StatusCode, len(got.body))
			}
		}
	}
}

func TestExpectContinueIsRepeated(t *testing.T) {
	bad, good := newOrigin(t, func(c *net.TCPConn, r *http.Request, _ int64) bool { c.SetLinger(0); return false }), newOrigin(t, echo("good"))
	r := newRig(t, bare(inst("bad", bad.url), inst("good", good.url)))
	for range 2 {
		c := dialRaw(t, r)
		c.write("POST / HTTP/1.1\r\nHost: h\r\nIdempotency-Key: k\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
		first := c.response()
		if first.StatusCode != 100 {
			t.Fatal(first.StatusCode)
		}
		c.write("hello")
		final := c.response()
		if body, err := io.ReadAll(final.Body); final.StatusCode != 200 || string(body) != "good:hello" || err != nil {
			t.Fatalf("%d %q %v", final.StatusCode, body, err)
		}
	}
	if bad.hits.Load() == 0 {
		t.Error("the failing instance was never tried")
	}
}

func TestRequestTrailersAreRepeated(t *testing.T) {
	sum := make(chan string, 1)
	bad := newOrigin(t, reset)
	good := newOrigin(t, func(c *net.TCPConn, r *http.Request, nth int64) bool {
		goOn := echo("good")(c, r, nth)
		sum <- r.Trailer.Get("X-Sum")
		return goOn
	})
	r := newRig(t, bare(inst("bad", bad.url), inst("good", good.url)))
	for range 2 {
		c := dialRaw(t, r)
		c.write("POST / HTTP/1.1\r\nHost: h\r\nIdempotency-Key: k\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n")
		if got := c.response(); got.StatusCode != 200 {
			t.Fatal(got.StatusCode)
		}
		if got := <-sum; got != "42" {
			t.Errorf("trailer %q", got)
		}
	}
}

// dying is an instance that vanishes while it works on a request.
func dying(t *testing.T, name string) *origin {
	var o *origin
	ready := make(chan struct{})
	o = newOrigin(t, func(c *net.TCPConn, r *http.Request, nth int64) bool {
		<-ready
		if r.URL.Path == "/die" {
			io.Copy(io.Discard, r.Body)
			o.ln.Close()
			c.SetLinger(0)
			return false
		}
		return echo(name)(c, r, nth)
	})
	close(ready)
	return o
}

func TestInstanceDiesWhileProcessing(t *testing.T) { // WAS-23
	for _, passive := range [][]string{{"connect"}, {"connect", "reset"}} {
		a, b := dying(t, "i1"), newOrigin(t, echo("i2"))
		cc := bare(inst("i1", a.url), inst("i2", b.url))
		cc.Clusters[0].Affinity.Type, cc.Clusters[0].Health.Passive = "insert", passive
		r := newRig(t, cc)
		on := sessionsOn(t, r, 4)
		if got := on["i1:"][0].get(r.url("/die")); got.StatusCode != 200 || got.body != "i2:" {
			t.Fatalf("%v: %d %s", passive, got.StatusCode, got.body)
		}
		for range 3 { // the session has moved for good
			if got := on["i1:"][0].get(r.url("/")); got.body != "i2:" {
				t.Fatal(got.body)
			}
		}
		if n := len(r.g.moves()); n != 1 {
			t.Errorf("%d moves", n)
		}
		if got := on["i1:"][1].do(request(t, "POST", r.url("/"), "x")); got.body != "i2:x" {
			t.Errorf("a request that was not handed over: %d %s", got.StatusCode, got.body)
		}
	}
}

func TestAssignedStaysWhileTheInstanceLives(t *testing.T) {
	once := func(name string) serveFunc { // breaks each connection on which /once is asked for first
		return func(c *net.TCPConn, r *http.Request, nth int64) bool {
			if r.URL.Path == "/once" && nth%2 == 0 {
				return reset(c, r, nth)
			}
			if r.URL.Path == "/always" {
				return reset(c, r, nth)
			}
			echo(name)(c, r, nth)
			return false
		}
	}
	a := newOrigin(t, once("i1"))
	cc := bare(inst("i1", a.url))
	cc.Clusters[0].Affinity.Type = "insert"
	r := newRig(t, cc)
	cl := newClient(t)
	cl.get(r.url("/")) // 1
	both := clone(cc)
	b := newOrigin(t, once("i2"))
	both.Clusters[0].Instances = append(both.Clusters[0].Instances, inst("i2", b.url))
	r.apply(both)
	if got := cl.get(r.url("/once")); got.body != "i1:" || a.hits.Load() != 3 { // 2 breaks, 3 answers
		t.Fatalf("%d %s after %d", got.StatusCode, got.body, a.hits.Load())
	}
	hits := a.hits.Load()
	if got := cl.get(r.url("/always")); got.StatusCode != 502 || a.hits.Load() != hits+2 {
		t.Fatalf("%d after %d", got.StatusCode, a.hits.Load()-hits)
	}
	if b.hits.Load() != 0 || len(r.g.moves()) != 0 {
		t.Error("the session left an instance that is available")
	}
}

func TestAssignedTriesOtherListenersFirst(t *testing.T) {
	a, twin, b := newOrigin(t, reset), newOrigin(t, echo("i1")), newOrigin(t, echo("i2"))
	cc := bare(inst("i1", twin.url))
	cc.Clusters[0].Affinity.Type = "insert"
	r := newRig(t, cc)
	cl := newClient(t)
	cl.get(r.url("/"))
	more := clone(cc)
	more.Clusters[0].Instances[0].Listeners = []string{a.url, twin.url}
	more.Clusters[0].Instances = append(more.Clusters[0].Instances, inst("i2", b.url))
	r.apply(more)
	for range 6 {
		if got := cl.get(r.url("/")); got.body != "i1:" {
			t.Fatalf("%d %s", got.StatusCode, got.body)
		}
	}
	if a.hits.Load() == 0 || b.hits.Load() != 0 || len(r.g.moves()) != 0 {
		t.Error(a.hits.Load(), b.hits.Load())
	}
}

func TestErrorStatusGoesElsewhereOnlyWhenPassive(t *testing.T) {
	busy := "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"
	for _, c := range []struct {
		name, text, method string
		passive            []string
		want               string
	}{
		{"declared bad", busy, "GET", []string{"5xx"}, "good:"},
		{"not declared", busy, "GET", []string{"connect", "reset", "timeout"}, "busy"},
		{"not idempotent", busy, "POST", []string{"5xx"}, "busy"},
		{"the application's own", strings.Replace(busy, "503", "500", 1), "GET", []string{"5xx"}, "busy"},
	} {
		bad, good := newOrigin(t, answer(c.text)), newOrigin(t, echo("good"))
		cc := bare(inst("bad", bad.url), inst("good", good.url))
		cc.Clusters[0].Health.Passive, cc.Clusters[0].Health.PassiveFails = c.passive, 10
		r := newRig(t, cc)
		if got := firstOn(t, bad, func() *http.Request { return request(t, c.method, r.url("/"), "") }); got.body != c.want {
			t.Errorf("%s: %d %q", c.name, got.StatusCode, got.body)
		}
		alone := clone(cc)
		alone.Clusters[0].Instances = alone.Clusters[0].Instances[:1]
		r.apply(alone)
		if got := newClient(t).get(r.url("/")); got.body != "busy" {
			t.Errorf("%s, alone: %d %q", c.name, got.StatusCode, got.body)
		}
	}
}

func TestTimeoutIsRepeatedWhenDeclared(t *testing.T) {
	for _, c := range []struct {
		passive  []string
		patterns []config.Pattern
		want     int
	}{{[]string{"connect"}, nil, 504}, {[]string{"timeout"}, nil, 200}, {[]string{"connect"}, []config.Pattern{{Pattern: "/", Retries: 1}}, 200}} {
		bad, good := newOrigin(t, hang), newOrigin(t, echo("good"))
		cc := bare(inst("bad", bad.url), inst("good", good.url))
		cl := &cc.Clusters[0]
		cl.Health.Passive, cl.ResponseTimeout, cl.Modules[0].Idempotent = c.passive, config.Duration(time.Second), c.patterns
		r := newRig(t, cc)
		if got := firstOn(t, bad, func() *http.Request { return request(t, "GET", r.url("/"), "") }); got.StatusCode != c.want {
			t.Errorf("%+v: %d", c, got.StatusCode)
		}
	}
}

func TestClientThatLeavesIsNobodysFault(t *testing.T) {
	a := newOrigin(t, hang)
	cc := bare(inst("i1", a.url))
	cc.Clusters[0].Health.Passive = []string{"connect", "timeout", "reset", "5xx"}
	cc.Clusters[0].ResponseTimeout = config.Duration(time.Minute)
	r := newRig(t, cc)
	for range 3 {
		hits := a.hits.Load()
		c := dialRaw(t, r)
		c.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		r.wait("the instance works on it", func() bool { return a.hits.Load() > hits })
		c.Close()
	}
	c := dialRaw(t, r)
	c.write("POST / HTTP/1.1\r\nHost: h\r\nIdempotency-Key: k\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")
	r.wait("the instance has the head", func() bool { return a.hits.Load() > 3 })
	c.write("lo\r\nno chunk\r\n")
	if got, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || got.StatusCode != 400 {
		t.Error(got, err)
	}
	r.wait("all are done", func() bool { return strings.Count(r.accessLog(), "\n") == 4 })
	if s := r.status("c1", "i1"); s.Health != "up" || s.Suspect {
		t.Errorf("%+v", s)
	}
	if n := metric(t, r, "holdfast_request_retries_total"); n != 0 || a.hits.Load() != 4 {
		t.Errorf("%v repeats, %d requests", n, a.hits.Load())
	}
}

func TestNewSessionIsRecordedWhereItsRequestWasAnswered(t *testing.T) {
	bad, good := newOrigin(t, reset), newOrigin(t, echo("good"))
	cc := bare(inst("bad", bad.url), inst("good", good.url))
	cc.Clusters[0].Affinity.Type = "insert"
	r := newRig(t, cc)
	cl := newClient(t)
	for i := 0; bad.hits.Load() == 0 && i < 4; i++ {
		cl = newClient(t)
		if got := cl.get(r.url("/")); got.StatusCode != 200 || len(got.Cookies()) != 1 {
			t.Fatal(got.StatusCode, got.Cookies())
		}
	}
	for range 3 {
		if got := cl.get(r.url("/")); got.body != "good:" {
			t.Fatal(got.StatusCode, got.body)
		}
	}
	for _, a := range r.g.sessions() {
		if a.Instance != r.g.id("c1", "good") {
			t.Error("a session is recorded for the instance that gave no answer")
		}
	}
	if bad.hits.Load() != 1 {
		t.Error(bad.hits.Load())
	}
}

func TestNoRequestFailsWhileInstancesDie(t *testing.T) { // WAS-24: kill n-1 of n
	const n = 4
	var all []*origin
	var list []config.Instance
	for _, name := range []string{"a", "b", "c", "d"} {
		o := newOrigin(t, echo(name))
		all, list = append(all, o), append(list, inst(name, o.url))
	}
	cc := bare(list...)
	cc.Clusters[0].Affinity.Type, cc.Clusters[0].Modules[0].Retries = "insert", -1
	r := newRig(t, cc)
	var clients sync.WaitGroup
	var served, failed atomic.Int64
	stop := make(chan struct{})
	for range 8 {
		cl := newClient(t)
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				resp, err := cl.Get(r.url("/"))
				if err != nil {
					failed.Add(1)
					continue
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode != 200 {
					failed.Add(1)
				}
				served.Add(1)
			}
		})
	}
	for _, o := range all[:n-1] {
		before := served.Load()
		r.wait("traffic", func() bool { return served.Load() > before+50 })
		o.stop()
	}
	before := served.Load()
	r.wait("traffic on the last one", func() bool { return served.Load() > before+100 })
	close(stop)
	clients.Wait()
	if failed.Load() != 0 {
		t.Errorf("%d of %d requests failed", failed.Load(), served.Load())
	}
	for _, s := range r.b.Instances()[:n-1] {
		if s.Health != "down" {
			t.Errorf("%+v", s)
		}
	}
}
