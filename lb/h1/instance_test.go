//go:build linux

package h1_test

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/lb/h1"
)

// hard ends a connection with a reset.
func (c *originConn) hard() {
	c.Conn.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// TestInstancesThatMisbehave before a whole head has come: the client gets one complete 502 or 504, and its connection goes on.
func TestInstancesThatMisbehave(t *testing.T) {
	long := strings.Repeat("x", 70_000)
	for _, c := range []struct {
		name   string
		serve  func(*originConn)
		kind   string
		status int
	}{
		{"ends at once", func(c *originConn) {}, "reset", 502},
		{"resets at once", func(c *originConn) { c.hard() }, "reset", 502},
		{"ends after the request", func(c *originConn) { c.request() }, "reset", 502},
		{"resets after the request", func(c *originConn) { c.request(); c.hard() }, "reset", 502},
		{"ends within the head", func(c *originConn) { c.request(); c.say("HTTP/1.1 200 OK\r\nX: y\r\n") }, "reset", 502},
		{"says nothing", func(c *originConn) { c.request(); c.r.ReadByte() }, "timeout", 504},
		{"stalls in the head", func(c *originConn) { c.request(); c.say("HTTP/1.1 200 OK\r\nX:"); c.r.ReadByte() }, "timeout", 504},
		{"says something else", func(c *originConn) { c.request(); c.say("SSH-2.0-x\r\n"); c.r.ReadByte() }, "bad", 502},
		{"sends zeros", func(c *originConn) { c.request(); c.say(string(make([]byte, 100))); c.r.ReadByte() }, "bad", 502},
		{"speaks HTTP/2", func(c *originConn) { c.request(); c.say("HTTP/2.0 200 OK\r\n\r\n"); c.r.ReadByte() }, "bad", 502},
		{"an endless line", func(c *originConn) { c.request(); c.say("HTTP/1.1 200 " + long); c.r.ReadByte() }, "bad", 502},
		{"an endless head", func(c *originConn) {
			c.request()
			c.say("HTTP/1.1 200 OK\r\n")
			for i := 0; i < 10_000; i++ {
				if _, err := c.Write([]byte("X-Y: " + long[:1000] + "\r\n")); err != nil {
					return
				}
			}
		}, "bad", 502},
		{"a thousand fields", func(c *originConn) {
			c.request()
			c.say("HTTP/1.1 200 OK\r\n" + strings.Repeat("X:y\r\n", 1000))
			c.r.ReadByte()
		}, "bad", 502},
		{"switches without having been asked", func(c *originConn) {
			c.request()
			c.say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n")
			c.r.ReadByte()
		}, "bad", 502},
		{"two lengths", func(c *originConn) {
			c.request()
			c.say("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab")
			c.r.ReadByte()
		}, "bad", 502},
		{"length and coding", func(c *originConn) {
			c.request()
			c.say("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
			c.r.ReadByte()
		}, "bad", 502},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, c.serve)
			if c.kind == "timeout" {
				r.d.set(func() {
					r.d.direct = func(t *h1.Trip) h1.Verdict { t.Timeout = 200 * time.Millisecond; return h1.Forward }
				})
			}
			cl := r.dial()
			fits := func(kind string) bool { // a reset may come before the engine has seen that there was a connection
				return kind == c.kind || c.name == "resets at once" && kind == "connect"
			}
			for range 2 {
				cl.say(get("/"))
				if resp, body := cl.answer("GET"); resp.StatusCode != c.status || !fits(body) || resp.Close {
					t.Errorf("%d %q %v", resp.StatusCode, body, resp.Header)
				}
			}
			r.wait("accounts", func() bool { return len(r.d.done) == 2 && fits(r.d.done[0].failure.String()) })
			eventually(t, "no connection to the instance stays", func() bool { return r.d.origin.Open() == 0 })
		})
	}
}

// TestResponsesThatBreakOff: the client sees that the response is not whole.
func TestResponsesThatBreakOff(t *testing.T) {
	for _, c := range []struct {
		name, say string
		old, hard bool
	}{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", false, false},
		{"length, to an old client", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", true, false},
		{"large length", "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nabc" + strings.Repeat("x", 200_000), false, false},
		{"chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", false, false},
		{"between chunks, to an old client", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", true, false},
		{"bad chunk, to an old client", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n", true, false},
		{"bad chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n", false, false},
		{"reset instead of an end", "HTTP/1.1 200 OK\r\n\r\nabc", false, true},
		{"reset instead of an end, to an old client", "HTTP/1.1 200 OK\r\n\r\nabc", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			gate := make(chan struct{})
			r := newRig(t, func(o *originConn) {
				o.request()
				o.say(c.say)
				if <-gate; c.hard {
					o.hard()
				}
			})
			cl := r.dial()
			text := get("/")
			if c.old {
				text = strings.Replace(text, "1.1", "1.0", 1)
			}
			cl.say(text)
			_, err := cl.r.Peek(1)
			close(gate)
			if err == nil {
				var resp *http.Response
				if resp, err = http.ReadResponse(cl.r, nil); err == nil {
					_, err = io.ReadAll(resp.Body)
				}
			}
			if err == nil {
				t.Error("the response looks whole")
			}
			r.wait("accounts", func() bool { return len(r.d.done) == 1 && r.d.done[0].failure == h1.FailCut })
			eventually(t, "no connection to the instance stays", func() bool { return r.d.origin.Open() == 0 })
		})
	}
}

// TestWhatComesBehindAResponseIsNoResponse: an instance that answers twice, or before it is asked, cannot answer another client's request.
func TestWhatComesBehindAResponseIsNoResponse(t *testing.T) {
	forged := "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
	for name, late := range map[string]bool{"in one piece": false, "later": true} {
		r := newRig(t, func(c *originConn) {
			for n := 0; c.request() != nil; n++ {
				if n > 0 {
					c.say(forged)
					continue
				}
				if late {
					c.say(hello)
					c.say(forged)
				} else {
					c.say(hello + forged)
				}
			}
		})
		cl := r.dial()
		for i := range 20 {
			cl.say(get("/"))
			if _, body := cl.answer("GET"); body != "hello" {
				t.Fatalf("%s, request %d: %q", name, i, body)
			}
			if late { // it has to be noticed before the next request
				eventually(t, "the connection is dropped", func() bool { return r.d.origin.Open() == 0 })
			}
		}
	}
	for name, say := range map[string]string{"long": strings.Repeat("x", 100), "a head": forged} {
		r := newRig(t, func(c *originConn) {
			for c.request() != nil {
				c.say("HTTP/1.1 204 No Content\r\n\r\n" + say)
			}
		})
		cl := r.dial()
		for range 5 {
			cl.say(get("/"))
			if resp, _ := cl.answer("GET"); resp.StatusCode != 204 {
				t.Fatalf("%s: %d", name, resp.StatusCode)
			}
		}
		if dialled, _ := r.d.origin.Used(); dialled != 5 {
			t.Errorf("%s: %d connections", name, dialled)
		}
	}
}

// TestSecondAnswersThatComeLate: one that comes 0.2 to 0.8 ms behind the first, when the loop has looked at its events and the next client's request is among them, is not that
// client's.
func TestSecondAnswersThatComeLate(t *testing.T) {
	wait := func(c chan bool) bool {
		select {
		case v := <-c:
			return v
		case <-t.Context().Done():
			return false
		}
	}
	tell := func(c chan bool, v bool) {
		select {
		case c <- v:
		case <-t.Context().Done():
		}
	}
	again, said, answered, asked := make(chan bool), make(chan bool), make(chan bool), make(chan bool)
	r := newRig(t, func(c *originConn) {
		for c.request() != nil {
			at := time.Now()
			c.say(hello)
			if wait(again) {
				for late := time.Duration(200+at.Nanosecond()%600) * time.Microsecond; time.Since(at) < late; { // a sleep takes a millisecond
				}
				c.say("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
				tell(said, true)
			}
		}
	}, func(o *h1.Options) { o.Loops = 1 })
	held := true // of the loop
	r.d.set(func() {
		r.d.answer = func(*h1.Trip) h1.Verdict {
			if held { // until both requests are there, so that one look tells of both
				tell(answered, true)
				wait(asked)
			}
			held = !held
			return h1.Forward
		}
		r.d.direct = func(trip *h1.Trip) h1.Verdict {
			if strings.HasPrefix(string(trip.Buf), "GET /turn ") {
				tell(again, true)
				wait(said)
				return h1.Refuse
			}
			return h1.Forward
		}
	})
	a, turn, b := r.dial(), r.dial(), r.dial()
	r.wait("all are there", func() bool { return len(r.d.conns) == 3 })
	for i := range 20 {
		a.say(get("/"))
		wait(answered)
		turn.say(get("/turn"))
		b.say(get("/"))
		tell(asked, true)
		if _, body := a.answer("GET"); body != "hello" {
			t.Errorf("%d: the first client got %q", i, body)
		}
		turn.answer("GET")
		tell(again, false)
		if _, body := b.answer("GET"); body != "hello" {
			t.Errorf("%d: another client got %q", i, body)
		}
	}
}

// TestConnectionsThatInstancesClose: none that has ended is used while that is known, and what runs into an end is told to the director as such.
func TestConnectionsThatInstancesClose(t *testing.T) {
	end := make(chan struct{})
	r := newRig(t, func(c *originConn) {
		for c.request() != nil {
			c.say(hello)
			<-end
			return
		}
	})
	cl := r.dial()
	for range 3 {
		cl.say(get("/"))
		cl.answer("GET")
		end <- struct{}{}
		eventually(t, "the end is noticed", func() bool { return r.d.origin.Open() == 0 })
	}
	// The end comes together with the request: the director hears that the connection was kept and nothing of an answer has come.
	var failed []bool
	r = newRig(t, func(c *originConn) {
		if c.request() != nil {
			c.say(hello)
		}
		if c.request() != nil {
			c.hard()
		}
	})
	r.d.set(func() {
		r.d.failed = func(t *h1.Trip, kind h1.Failure, err error) h1.Verdict {
			r.d.mu.Lock()
			defer r.d.mu.Unlock()
			failed = append(failed, kind == h1.FailReset && t.Reused && t.Left && !t.Heard && t.Whole)
			return h1.Forward
		}
	})
	cl = r.dial()
	for range 6 {
		cl.say(get("/"))
		if _, body := cl.answer("GET"); body != "hello" {
			t.Errorf("%q", body)
		}
	}
	r.wait("accounts", func() bool { return len(r.d.done) == 6 && r.d.done[5].attempts == 2 })
	if len(failed) != 5 || !failed[0] || !failed[4] {
		t.Errorf("the director was told %v", failed)
	}
}

// TestKeptConnectionsOfADeadPast: when each of 100 kept connections would be reset, a request that may be sent again gets its answer by its second attempt, and of those that may
// not only the first fails.
func TestKeptConnectionsOfADeadPast(t *testing.T) {
	const kept = 100
	for name, c := range map[string]struct {
		method   string
		statuses []int
		attempts []int
		hard     bool
	}{
		"GET, reset":  {"GET", []int{200, 200}, []int{2, 1}, true},
		"GET, ended":  {"GET", []int{200, 200}, []int{2, 1}, false},
		"POST, reset": {"POST", []int{502, 200, 200}, []int{1, 1, 1}, true},
	} {
		t.Run(name, func(t *testing.T) {
			var arrived counter
			var past atomic.Bool
			all := make(chan struct{})
			r := newRig(t, func(o *originConn) {
				for old := !past.Load(); o.request() != nil; {
					switch arrived.add(1); {
					case !old:
					case !past.Load():
						select {
						case <-all:
						case <-t.Context().Done():
						}
					case c.hard:
						o.hard()
						return
					default:
						return
					}
					o.say(hello)
				}
			}, func(o *h1.Options) { o.Loops = 1 })
			r.d.set(func() {
				r.d.failed = func(trip *h1.Trip, kind h1.Failure, err error) h1.Verdict {
					if kind == h1.FailReset && trip.Reused && !trip.Heard && trip.Whole && c.method == "GET" {
						return h1.Forward
					}
					return h1.Refuse
				}
			})
			clients := make([]*client, kept)
			for i := range clients {
				clients[i] = r.dial()
				clients[i].say(get("/"))
			}
			eventually(t, "all are with the instance", func() bool { return arrived.get() == kept })
			close(all)
			for _, cl := range clients {
				cl.answer("GET")
			}
			r.wait("all are answered", func() bool { return len(r.d.done) == kept })
			past.Store(true)
			text := c.method + " / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
			for i, want := range c.statuses {
				clients[0].say(text)
				if resp, _ := clients[0].answer(c.method); resp.StatusCode != want {
					t.Errorf("request %d: %d, want %d", i, resp.StatusCode, want)
				}
				n := 0
				r.wait("it is over", func() bool {
					if len(r.d.done) != kept+i+1 {
						return false
					}
					n = r.d.done[kept+i].attempts
					return true
				})
				if n != c.attempts[i] {
					t.Errorf("request %d: %d attempts, want %d", i, n, c.attempts[i])
				}
			}
			if dialled, _ := r.d.origin.Used(); dialled != kept+1 || r.d.origin.Open() != 1 {
				t.Errorf("%d connections were made, %d are open", dialled, r.d.origin.Open())
			}
		})
	}
}

// TestNobodyListens: connect failures reach the director, which may choose another origin or the other engine.
func TestNobodyListens(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := h1.NewOrigin(netip.MustParseAddrPort(ln.Addr().String()))
	ln.Close()
	r := newRig(t, digests)
	var away atomic.Bool
	r.d.set(func() { r.d.direct = func(t *h1.Trip) h1.Verdict { t.To = dead; return h1.Forward } })
	r.d.set(func() {
		r.d.failed = func(t *h1.Trip, kind h1.Failure, err error) h1.Verdict {
			if kind != h1.FailConnect || err == nil || t.Left {
				t.Page = []byte("wrong")
				return h1.Refuse
			}
			t.To = r.d.origin
			if away.Load() {
				return h1.Away
			}
			return h1.Forward
		}
	})
	c := r.dial()
	post := "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
	c.say(post)
	if _, body := c.answer("POST"); body != digest([]byte("abc"), "[]", "map[]", 3) {
		t.Errorf("%q", body)
	}
	away.Store(true)
	c.say(post + "GE")
	r.wait("away", func() bool { return len(r.d.away) == 1 })
	if a := r.d.away[0]; a.rest != post+"GE" {
		t.Errorf("%q", a.rest)
	}
	if len(r.d.done) != 2 || r.d.done[1].status != 0 {
		t.Errorf("%+v", r.d.done)
	}
	// A director that never gives up does not hold a loop for ever.
	r.d.set(func() { r.d.failed = func(t *h1.Trip, kind h1.Failure, err error) h1.Verdict { return h1.Forward } })
	c = r.dial()
	c.say(get("/"))
	if resp, _ := c.answer("GET"); resp.StatusCode != 502 {
		t.Errorf("%d", resp.StatusCode)
	}
}

// TestAnswerMayGoAway: a response that only the other engine can deal with is dropped, and the request goes there whole.
func TestAnswerMayGoAway(t *testing.T) {
	r := newRig(t, answers(hello))
	r.d.set(func() {
		r.d.answer = func(t *h1.Trip) h1.Verdict {
			if t.Answer.Status != 200 || string(t.Answer.Fields()[1].Value.Of(t.AnswerBuf)) != "x" {
				return h1.Refuse
			}
			return h1.Away
		}
	})
	c := r.dial()
	text := "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + get("/next")
	c.say(text)
	r.wait("away", func() bool { return len(r.d.away) == 1 && len(r.d.done) == 1 })
	if r.d.away[0].rest != text || r.d.done[0].status != 0 {
		t.Errorf("%q %+v", r.d.away[0].rest, r.d.done)
	}
	eventually(t, "the instance's connection is dropped", func() bool { return r.d.origin.Open() == 0 })
	r.d.set(func() {
		r.d.answer = func(t *h1.Trip) h1.Verdict {
			t.Status, t.Page, t.PageType = 503, []byte("{}"), "application/json"
			t.Reply.AddString("Retry-After", "1")
			return h1.Refuse
		}
	})
	c = r.dial()
	c.say(get("/"))
	if resp, body := c.answer("GET"); resp.StatusCode != 503 || body != "{}" || resp.Header.Get("Retry-After") != "1" || resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%d %q %v", resp.StatusCode, body, resp.Header)
	}
}
