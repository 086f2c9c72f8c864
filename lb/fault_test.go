package lb

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// Whatever an instance does, only idempotent requests are sent again, once; nobody gets a response twice or another client's.
func TestFaultsOfInstances(t *testing.T) {
	trickle := func(c *net.TCPConn, r *http.Request, _ int64) bool {
		io.Copy(io.Discard, r.Body)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for _, b := range []byte("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20)) {
			if _, err := c.Write([]byte{b}); err != nil {
				return false
			}
			<-tick.C
		}
		return false
	}
	forever := func(text string) serveFunc {
		return func(c *net.TCPConn, r *http.Request, _ int64) bool {
			io.Copy(io.Discard, r.Body)
			io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			for {
				if _, err := io.WriteString(c, text); err != nil {
					return false
				}
			}
		}
	}
	flood := func(c *net.TCPConn, r *http.Request, _ int64) bool {
		io.Copy(io.Discard, r.Body)
		for {
			if _, err := io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"); err != nil {
				return false
			}
		}
	}
	closeNow := func(c *net.TCPConn, r *http.Request, _ int64) bool { io.Copy(io.Discard, r.Body); return false }
	for _, fault := range []struct {
		name      string
		serve     serveFunc
		safe      int  // status that a GET ends with
		unsafe    int  // and a POST
		elsewhere bool // the GET is answered by the other instance
	}{
		{"RST", reset, 200, 502, true},
		{"FIN", closeNow, 200, 502, true},
		{"hang", hang, 504, 504, false},
		{"trickle", trickle, 504, 504, false},
		{"endless headers", forever("X-More: and more of it\r\n"), 502, 502, false},
		{"endless field", forever(strings.Repeat("x", 4096)), 502, 502, false},
		{"1xx flood", flood, 502, 502, false},
		{"no HTTP", answer("SSH-2.0-OpenSSH_9.6\r\n\r\n"), 502, 502, false},
		{"half a head", func(c *net.TCPConn, r *http.Request, n int64) bool {
			answer("HTTP/1.1 200 OK\r\nX-A")(c, r, n)
			return false
		}, 502, 502, false},
		{"bad length", answer("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"), 502, 502, false},
		{"error status", answer("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno"), 503, 503, false},
	} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			bad, good := newOrigin(t, fault.serve), newOrigin(t, echo("good"))
			cc := bare(inst("bad", bad.url), inst("good", good.url))
			if fault.safe == 504 {
				cc.Clusters[0].ResponseTimeout = config.Duration(150 * time.Millisecond)
			}
			r := newRig(t, cc)
			for method, want := range map[string]int{"GET": fault.safe, "POST": fault.unsafe, "PUT": fault.unsafe, "DELETE": fault.unsafe} {
				body := map[string]string{"POST": "b", "PUT": "b"}[method]
				hits := bad.hits.Load()
				got := firstOn(t, bad, func() *http.Request { return request(t, method, r.url("/"), body) })
				if got.StatusCode != want || (got.body == "good:") != (fault.elsewhere && method == "GET") {
					t.Errorf("%s: %d %.40q, want %d", method, got.StatusCode, got.body, want)
				}
				if n := bad.hits.Load() - hits; n != 1 {
					t.Errorf("%s: the instance got it %d times", method, n)
				}
			}
			if s := r.status("c1", "bad"); s.Health != "up" || s.Suspect {
				t.Errorf("passive is connect only, and yet: %+v", s)
			}
		})
	}
}

func TestBodyOfWrongLength(t *testing.T) {
	short := newOrigin(t, func(c *net.TCPConn, r *http.Request, n int64) bool {
		answer("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")(c, r, n)
		return false
	})
	good := newOrigin(t, echo("good"))
	cc := bare(inst("short", short.url), inst("good", good.url))
	cc.Clusters[0].Health.Passive = []string{"connect", "timeout", "reset", "5xx"}
	r := newRig(t, cc)
	broken := 0
	for range 4 {
		resp, err := newClient(t).Do(request(t, "GET", r.url("/"), ""))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		switch {
		case string(body) == "only this" && err != nil && resp.ContentLength == 100:
			broken++
		case string(body) != "good:" || err != nil:
			t.Errorf("%q %v", body, err)
		}
	}
	if broken != 2 || short.hits.Load() != 2 {
		t.Errorf("%d broken of %d", broken, short.hits.Load())
	}
}

// What an instance sends beyond its response must not become the answer to another client.
func TestBytesAfterTheResponseAreNobodys(t *testing.T) {
	sneaky := newOrigin(t, func(c *net.TCPConn, r *http.Request, nth int64) bool {
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n%03dHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged", nth)
		return true
	})
	r := newRig(t, bare(inst("i1", sneaky.url)))
	for i := range 50 {
		if got := newClient(t).get(r.url("/")); got.body != fmt.Sprintf("%03d", i+1) {
			t.Fatalf("request %d got %q", i+1, got.body)
		}
	}
}

// An instance that answers the first request of a connection and closes when the second comes: the race of keep-alive.
func TestKeepAliveRace(t *testing.T) {
	seen := map[net.Conn]int{}
	var mu sync.Mutex
	closer := newOrigin(t, func(c *net.TCPConn, r *http.Request, nth int64) bool {
		mu.Lock()
		seen[c]++
		again := seen[c] > 1
		mu.Unlock()
		if again {
			return false
		}
		return echo("ok")(c, r, nth)
	})
	r := newRig(t, bare(inst("i1", closer.url)))
	codes := map[string]map[int]int{"GET": {}, "POST": {}}
	for range 10 {
		for method := range codes {
			got := newClient(t).do(request(t, method, r.url("/"), map[string]string{"POST": "x"}[method]))
			codes[method][got.StatusCode]++
			if got.StatusCode == 200 && got.body != map[string]string{"GET": "ok:", "POST": "ok:x"}[method] {
				t.Errorf("%s got %q", method, got.body)
			}
		}
	}
	if codes["GET"][200] != 10 {
		t.Errorf("GET: %v", codes["GET"])
	}
	if codes["POST"][502] == 0 {
		t.Errorf("no POST met the race: %v", codes["POST"])
	}
}

// An early answer while the body is still coming is passed on, and the request is not repeated.
func TestEarlyErrorIsNotRepeated(t *testing.T) {
	early := newOrigin(t, func(c *net.TCPConn, r *http.Request, _ int64) bool {
		io.WriteString(c, "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy")
		c.CloseWrite()
		io.Copy(io.Discard, c)
		return false
	})
	good := newOrigin(t, echo("good"))
	cc := bare(inst("early", early.url), inst("good", good.url))
	cc.Clusters[0].Health.Passive, cc.Clusters[0].Health.PassiveFails = []string{"5xx"}, 100
	r := newRig(t, cc)
	for i := range 4 {
		hits := early.hits.Load()
		c := dialRaw(t, r)
		c.write("POST / HTTP/1.1\r\nHost: h\r\nIdempotency-Key: k\r\nContent-Length: 10\r\n\r\nhello")
		if early.hits.Load() == hits {
			r.wait("the request has arrived", func() bool { return early.hits.Load() > hits || good.hits.Load() > int64(0) })
		}
		if early.hits.Load() == hits {
			c.write("world")
			c.response()
			continue
		}
		if resp := c.response(); resp.StatusCode != 503 {
			t.Fatalf("request %d: %d", i, resp.StatusCode)
		}
		return
	}
	t.Fatal("never got there")
}

// A kept connection that breaks under a request whose body is too long to be sent again: http.Transport cannot repeat it either.
func TestLongBodyOnABrokenKeptConnection(t *testing.T) {
	seen := map[net.Conn]int{}
	var mu sync.Mutex
	o := newOrigin(t, func(c *net.TCPConn, r *http.Request, nth int64) bool {
		mu.Lock()
		seen[c]++
		again := seen[c] > 1
		mu.Unlock()
		if again {
			return reset(c, r, nth)
		}
		return echo("ok")(c, r, nth)
	})
	cc := bare(inst("i1", o.url))
	cc.Clusters[0].Health.Passive = []string{"reset"}
	cc.Clusters[0].Health.RetryInterval = config.Duration(time.Hour)
	r := newRig(t, cc)
	newClient(t).get(r.url("/%61")) // by net/http, as the request that follows
	got := newClient(t).do(request(t, "POST", r.url("/"), strings.Repeat("x", 100_000), "Idempotency-Key: k"))
	if s := r.status("c1", "i1"); got.StatusCode != 502 || s.Health != "down" || o.hits.Load() != 2 {
		t.Errorf("%d %+v after %d", got.StatusCode, s, o.hits.Load())
	}
}

// The only instance that fails is the answer, not a lack of instances.
func TestFailureOfTheOnlyInstance(t *testing.T) {
	for _, c := range []struct {
		serve serveFunc
		want  int
	}{{reset, 502}, {hang, 504}} {
		o := newOrigin(t, c.serve)
		cc := bare(inst("i1", o.url))
		cl := &cc.Clusters[0]
		cl.Health.Passive, cl.Modules[0].Retries = []string{"timeout", "reset"}, -1
		if c.want == 504 {
			cl.ResponseTimeout = config.Duration(50 * time.Millisecond)
		}
		r := newRig(t, cc)
		if got := newClient(t).get(r.url("/")); got.StatusCode != c.want || o.hits.Load() != 1 {
			t.Errorf("%d, want %d; %d requests", got.StatusCode, c.want, o.hits.Load())
		}
		if n := metric(t, r, "holdfast_request_retries_total"); n != 0 {
			t.Errorf("%v repeats", n)
		}
	}
}

// A request that a pattern takes out of repeating is not repeated by net/http either, when a kept connection breaks after it was sent.
func TestKeptConnectionRepeatsNothingThatMustNotBe(t *testing.T) {
	var mu sync.Mutex
	seen := map[net.Conn]int{}
	closer := newOrigin(t, func(c *net.TCPConn, r *http.Request, nth int64) bool {
		mu.Lock()
		seen[c]++
		again := seen[c] > 1
		mu.Unlock()
		return !again && echo("ok")(c, r, nth)
	})
	cc := bare(inst("i1", closer.url))
	cc.Clusters[0].Modules[0].Idempotent = []config.Pattern{{Pattern: "/never", Retries: 0}}
	r := newRig(t, cc)
	for _, c := range []struct {
		method, path string
		code         int
		sends        int64
	}{{"GET", "/never", 200, 1}, {"GET", "/never", 502, 1}, {"GET", "/never", 200, 1}, {"POST", "/never", 502, 1}, {"GET", "/", 200, 1}, {"GET", "/", 200, 2}} {
		before := closer.hits.Load()
		got := newClient(t).do(request(t, c.method, r.url(c.path), "", "Idempotency-Key: k"))
		if sends := closer.hits.Load() - before; got.StatusCode != c.code || sends != c.sends {
			t.Errorf("%s %s: %d, sent %d times, want %d and %d", c.method, c.path, got.StatusCode, sends, c.code, c.sends)
		}
	}
}
