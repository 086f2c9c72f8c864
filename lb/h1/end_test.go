//go:build linux

package h1_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/holdfast-lb/holdfast/lb/h1"
)

// chosenBy picks the requests whose target has that prefix.
func chosenBy(prefix string) func(*h1.Trip) bool {
	return func(t *h1.Trip) bool { return strings.HasPrefix(string(t.Head.Target.Of(t.Buf)), prefix) }
}

// TestEnd: each request that is chosen ends, whatever it is at, with a proper answer when none has begun; all others go on.
func TestEnd(t *testing.T) {
	release := make(chan struct{})
	var had atomic.Int32
	r := newRig(t, func(c *originConn) {
		for {
			req := c.request()
			if req == nil {
				return
			}
			if strings.HasSuffix(req.URL.Path, "/begun") {
				c.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
			}
			had.Add(1)
			<-release
			if strings.HasSuffix(req.URL.Path, "/begun") {
				c.say("defghij")
				continue
			}
			c.say(hello)
		}
	})
	var failed []h1.Failure
	r.d.set(func() {
		r.d.failed = func(t *h1.Trip, kind h1.Failure, err error) h1.Verdict {
			failed = append(failed, kind)
			t.Status, t.Page = 503, []byte("ended")
			return h1.Forward // has no say
		}
	})
	paths := []string{"/end/silent", "/end/begun", "/end/next", "/stay/silent", "/stay/begun"}
	clients := map[string]*client{}
	for _, p := range paths {
		c := r.dial()
		clients[p] = c
		c.say(get(p))
		if strings.HasSuffix(p, "/next") {
			c.say(get("/end/pipelined"))
		}
		if strings.HasSuffix(p, "/begun") {
			head := make([]byte, 15)
			if _, err := io.ReadFull(c.r, head); err != nil || string(head) != "HTTP/1.1 200 OK" {
				t.Fatalf("%q, %v", head, err)
			}
		}
	}
	eventually(t, "all are with the instance", func() bool { return had.Load() == int32(len(paths)) })
	n, err := r.e.End(chosenBy("/end/"))
	if n != 3 || err != nil {
		t.Errorf("%d ended, %v", n, err)
	}
	for _, p := range []string{"/end/silent", "/end/next"} {
		resp, body := clients[p].answer("GET")
		if resp.StatusCode != 503 || body != "ended" || !resp.Close {
			t.Errorf("%s: %d %q, last: %v", p, resp.StatusCode, body, resp.Close)
		}
		clients[p].ends()
	}
	if b, err := io.ReadAll(clients["/end/begun"].r); strings.Contains(string(b), "defghij") || !strings.HasSuffix(string(b), "abc") {
		t.Errorf("%q, %v", b, err)
	}
	close(release)
	for _, p := range []string{"/stay/silent", "/stay/begun"} {
		c := clients[p]
		b := make([]byte, 4)
		if p == "/stay/silent" {
			if resp, _ := c.answer("GET"); resp.StatusCode != 200 {
				t.Errorf("%s: %d", p, resp.StatusCode)
			}
			continue
		}
		for !strings.HasSuffix(string(b), "defghij") {
			one, err := c.r.ReadByte()
			if err != nil {
				t.Fatalf("%s: %q, %v", p, b, err)
			}
			b = append(b, one)
		}
	}
	r.wait("accounts", func() bool { return len(r.d.done) == len(paths) })
	kinds := map[h1.Failure]int{}
	for _, d := range r.d.done {
		kinds[d.failure]++
	}
	if kinds[h1.FailEnded] != 3 || kinds[h1.FailNone] != 2 || fmt.Sprint(failed) != "[ended ended]" {
		t.Errorf("%v, Failed heard %v", kinds, failed)
	}
	eventually(t, "the connections of ended requests are closed", func() bool { return r.d.origin.Open() == 2 })
}

// TestEndOfTripsThatWait: one that waits in Answer ends, one in Direct is not the instance's yet and is left alone.
func TestEndOfTripsThatWait(t *testing.T) {
	for where, want := range map[string]int{"direct": 0, "answer": 1} {
		t.Run(where, func(t *testing.T) {
			r := newRig(t, answers(hello))
			w := &waits{}
			r.d.set(func() {
				if where == "direct" {
					r.d.direct = w.ask
				} else {
					r.d.answer = w.ask
				}
			})
			c := r.dial()
			c.say(get("/"))
			eventually(t, "asked", func() bool { return w.times.Load() == 1 })
			if n, err := r.e.End(chosenBy("/")); n != want || err != nil {
				t.Fatalf("%d ended, %v", n, err)
			}
			w.let(h1.Forward)
			r.conn().Resume()
			status := map[string]int{"direct": 200, "answer": 503}[where]
			if resp, _ := c.answer("GET"); resp.StatusCode != status {
				t.Errorf("%d", resp.StatusCode)
			}
			r.wait("account", func() bool { return len(r.d.done) == 1 })
		})
	}
}

// TestEndOfUploads: a request whose body is on its way gets its answer, and nothing is kept for another.
func TestEndOfUploads(t *testing.T) {
	r := newRig(t, func(c *originConn) { _, _ = io.Copy(io.Discard, c.r) })
	c := r.dial()
	c.say("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + string(pattern(1000)))
	eventually(t, "it is with the instance", func() bool { return r.d.origin.Open() == 1 })
	var n int
	eventually(t, "it is ended", func() bool {
		more, err := r.e.End(chosenBy("/up"))
		if err != nil {
			t.Fatal(err)
		}
		n += more
		return n == 1
	})
	if resp, body := c.answer("POST"); resp.StatusCode != 503 || body != "ended" || !resp.Close {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
	eventually(t, "nothing is kept", func() bool { return r.d.origin.Open() == 0 })
}

// TestEndOfNothing, and of a closed engine.
func TestEndOfNothing(t *testing.T) {
	r := newRig(t, answers(hello))
	c := r.dial()
	c.say(get("/"))
	c.answer("GET")
	if n, err := r.e.End(func(*h1.Trip) bool { t.Error("nothing is under way"); return true }); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	c.say(get("/"))
	c.answer("GET")
	c.Close()
	if err := r.e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.e.End(chosenBy("/")); !errors.Is(err, h1.ErrClosed) {
		t.Errorf("%v", err)
	}
}
