//go:build linux

package h1_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/holdfast-lb/holdfast/lb/h1"
)

// TestInstanceHearsThatTheClientEnds: whoever closes its socket, or only its side of it, is passed on to the instance as just that, once nothing more of the client's waits. An
// instance that gives up then has not failed, and nobody else gets the request.
func TestInstanceHearsThatTheClientEnds(t *testing.T) {
	hangs := func(c *originConn) {
		if c.request() != nil {
			_, _ = c.r.ReadByte() // until it hears of the end
		}
	}
	r := newRig(t, hangs)
	r.d.set(func() {
		r.d.failed = func(t *h1.Trip, kind h1.Failure, err error) h1.Verdict {
			r.t.Errorf("the instance is blamed: %v %v", kind, err)
			return h1.Refuse
		}
	})
	clear := r.dial()
	clear.say(get("/"))
	r.wait("asked", func() bool { return r.d.asked == 1 })
	clear.Close()
	early := r.dial()
	early.say(get("/"))
	early.CloseWrite() // before the request is read, perhaps
	early.ends()
	secured := r.secure(tls.VersionTLS13, fmt.Sprintf(plainGet, "x"))
	r.wait("asked", func() bool { return r.d.asked == 3 })
	secured.Close()
	body := r.dial()
	body.say("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
	body.say("3\r\nabc\r\n0\r\n\r\n")
	body.CloseWrite()
	body.ends()
	r.wait("all have ended", func() bool { return len(r.d.done) == 4 })
	for _, d := range r.d.done {
		if d.failure != h1.FailClient || d.status != 0 {
			t.Errorf("%+v", d)
		}
	}
}

// TestHalfClosedClientsGetAllResponses: those of requests that were sent ahead, the end being passed on behind the last of them alone; and no other request gets a connection on which
// it was.
func TestHalfClosedClientsGetAllResponses(t *testing.T) {
	var conns, ends counter
	r := newRig(t, func(c *originConn) {
		conns.add(1)
		for {
			q := c.request()
			if q == nil {
				return
			}
			if q.URL.Path == "/last" {
				if _, err := c.r.ReadByte(); err == io.EOF {
					ends.add(1)
				}
			}
			c.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
		}
	}, func(o *h1.Options) { o.Loops = 1 })
	for i := range 3 {
		c := r.dial()
		c.say(get("/first") + get("/second") + get("/last"))
		c.CloseWrite()
		for range 3 {
			if resp, body := c.answer("GET"); resp.StatusCode != 200 || body != "hello" {
				t.Errorf("%d %q", resp.StatusCode, body)
			}
		}
		c.ends()
		if conns.get() != i+1 || ends.get() != i+1 {
			t.Errorf("%d connections to the instance, which heard %d ends; want %d of both", conns.get(), ends.get(), i+1)
		}
	}
	// An end of the stream in the middle of the response changes nothing.
	more := make(chan struct{})
	r = newRig(t, func(c *originConn) {
		if c.request() != nil {
			c.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
			<-more
			_, _ = c.r.ReadByte()
			c.say("world")
		}
	})
	c := r.dial()
	c.say(get("/"))
	if b := make([]byte, 1); true {
		if _, err := io.ReadFull(c.TCPConn, b); err != nil {
			t.Fatal(err)
		}
	}
	c.CloseWrite()
	close(more)
	if all := c.raw(); len(all) < 10 || all[len(all)-10:] != "helloworld" {
		t.Errorf("%q", all)
	}
	// One that breaks off then is no whole response: HTTP/1.0 has nothing but a reset to say so.
	r = newRig(t, func(c *originConn) {
		if c.request() != nil {
			c.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
			_, _ = c.r.ReadByte()
		}
	})
	c = r.dial()
	c.say("GET / HTTP/1.0\r\nHost: h\r\n\r\n")
	c.CloseWrite()
	if b, err := io.ReadAll(c.r); err == nil {
		t.Errorf("a whole response: %q", b)
	} else if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		t.Error(err)
	}
}

// TestHalfClosedClientsAreSentAgain: an instance that was closing a kept connection for idleness when the request came has not given up because of the client, who gets what any other
// does.
func TestHalfClosedClientsAreSentAgain(t *testing.T) {
	second := make(chan *originConn, 1)
	r := newRig(t, func(o *originConn) {
		for n := 0; o.request() != nil; n++ {
			if n == 0 {
				o.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
			} else {
				second <- o
			}
		}
	}, func(o *h1.Options) { o.Loops = 1 })
	c, other := r.dial(), r.dial()
	other.say(get("/"))
	other.answer("GET")
	c.say(get("/"))
	o := <-second
	var failed counter
	r.d.set(func() {
		r.d.direct = func(*h1.Trip) h1.Verdict { // the loop is here, and hears of both ends at once, the client's first
			c.CloseWrite()
			o.Conn.(*net.TCPConn).CloseWrite()
			return h1.Refuse
		}
		r.d.failed = func(t *h1.Trip, kind h1.Failure, err error) h1.Verdict {
			failed.add(1)
			if kind != h1.FailReset || !t.Reused || t.Heard {
				r.t.Errorf("%v %v", kind, err)
			}
			return h1.Forward
		}
	})
	other.say(get("/"))
	other.answer("GET")
	if resp, body := c.answer("GET"); resp.StatusCode != 200 || body != "hello" || failed.get() != 1 {
		t.Errorf("%d %q after %d failures", resp.StatusCode, body, failed.get())
	}
	c.ends()
}
