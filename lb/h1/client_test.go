//go:build linux

package h1_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/lb/h1"
	"github.com/holdfast-lb/holdfast/lb/wire"
)

// TestSlowHeads: a head that does not end gets 408 after its time, however many bytes come; nothing at all is closed without a word.
func TestSlowHeads(t *testing.T) {
	r := newRig(t, answers(hello), func(o *h1.Options) {
		o.Limits.Wire.HeadTimeout, o.Limits.Wire.Idle = 400*time.Millisecond, 700*time.Millisecond
	})
	c := r.dial()
	began := time.Now()
	stop := make(chan struct{})
	stopped := make(chan struct{})
	go func() { // a byte now and then does not help
		defer close(stopped)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		io.WriteString(c.TCPConn, "GET / HTTP/1.1\r\nHost: a\r\nX: ")
		for {
			select {
			case <-tick.C:
				if _, err := io.WriteString(c.TCPConn, "x"); err != nil {
					return
				}
			case <-stop:
				return
			}
		}
	}()
	resp, _ := c.answer("GET")
	if d := time.Since(began); resp.StatusCode != 408 || !resp.Close || d < 350*time.Millisecond || d > 3*time.Second {
		t.Errorf("%d after %s", resp.StatusCode, d)
	}
	close(stop)
	<-stopped
	c = r.dial()
	c.ends()
	c = r.dial()
	c.say(get("/") + "\r\n") // an empty line begins nothing
	c.answer("GET")
	c.ends()
	c = r.dial()
	c.say("GET / HT")
	c.CloseWrite()
	if resp, _ := c.answer("GET"); resp.StatusCode != 400 {
		t.Errorf("%d", resp.StatusCode)
	}
	c.ends()
	if !r.d.look(func() bool { return r.d.asked == 1 }) {
		t.Error("a request that was not whole was passed on")
	}
}

// TestBadHeads are refused after the responses to what came before, and nothing behind them is read.
func TestBadHeads(t *testing.T) {
	r := newRig(t, answers(hello))
	for _, bad := range []struct {
		text   string
		status int
	}{
		{"GET / HTTP/1.1\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
		{"GET / HTTP/1.1\nHost: a\n\n", 400},
		{"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", 400},
		{"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
		{"GET /" + strings.Repeat("x", 9000) + " HTTP/1.1\r\n", 414},
		{"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 40_000), 431},
		{strings.Repeat("x", 200_000), 501},
		{"\x16\x03\x01\x02\x00", 400},
	} {
		c := r.dial()
		go io.WriteString(c.TCPConn, get("/1")+get("/2")+bad.text+get("/3"))
		for range 2 {
			if _, body := c.answer("GET"); body != "hello" {
				t.Errorf("%q", body)
			}
		}
		if resp, _ := c.answer("GET"); resp.StatusCode != bad.status || !resp.Close {
			t.Errorf("%.40q: %d", bad.text, resp.StatusCode)
		}
		c.ends()
	}
	r.wait("accounts", func() bool { return len(r.d.done) == 18 })
	if !r.d.look(func() bool { return r.d.asked == 18 }) {
		t.Error("something behind a refused head was passed on")
	}
}

// TestClientsThatVanish: the instance's connection does not stay with a request that nobody waits for.
func TestClientsThatVanish(t *testing.T) {
	seen := make(chan struct{}, 1)
	r := newRig(t, func(c *originConn) {
		if c.request() == nil {
			return
		}
		c.say("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc")
		c.r.ReadByte() // until the engine closes
		seen <- struct{}{}
	})
	c := r.dial()
	c.say(get("/"))
	if _, err := c.r.ReadByte(); err != nil {
		t.Fatal(err)
	}
	c.SetLinger(0)
	c.Close()
	<-seen
	r.wait("account", func() bool { return len(r.d.done) == 1 && r.d.done[0].failure == h1.FailClient && r.d.gone == 1 })
}

// TestMoreConnectionsThanTheDirectorTakes: those are closed at once, and the others go on.
func TestMoreConnectionsThanTheDirectorTakes(t *testing.T) {
	r := newRig(t, answers(hello))
	c := r.dial()
	c.say(get("/"))
	c.answer("GET")
	r.d.set(func() { r.d.accept = func(*h1.Conn) bool { return false } })
	for range 200 {
		x, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		x.SetReadDeadline(time.Now().Add(patience))
		if n, err := x.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Fatal("a byte came")
		}
		x.Close()
	}
	c.say(get("/"))
	c.answer("GET")
	c.Close()
	r.wait("the one that was taken is gone", func() bool { return r.d.gone == 1 })
	r.d.mu.Lock()
	r.d.conns = r.d.conns[:1]
	r.d.mu.Unlock()
}

// TestOthersGoOn while many clients are slow in each phase: half a head, half a body, and a response that is not taken.
func TestOthersGoOn(t *testing.T) {
	large := "HTTP/1.1 200 OK\r\nContent-Length: 30000000\r\n\r\n" + string(make([]byte, 30_000_000))
	r := newRig(t, func(c *originConn) {
		for req := c.request(); req != nil; req = c.request() {
			if req.URL.Path == "/large" {
				c.say(large)
			} else {
				c.say(hello)
			}
		}
	})
	for i := range 300 {
		c := r.dial()
		switch i % 3 {
		case 0:
			c.say("GET / HTTP/1.1\r\nHost: a\r\nX: ")
		case 1:
			c.say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
		default:
			if i < 30 { // each keeps an instance busy
				c.say(get("/large"))
			}
		}
	}
	c := r.dial()
	var worst time.Duration
	for range 200 {
		began := time.Now()
		c.say(get("/"))
		if _, body := c.answer("GET"); body != "hello" {
			t.Fatalf("%q", body)
		}
		worst = max(worst, time.Since(began))
	}
	if worst > patience/2 {
		t.Errorf("a request took %s", worst)
	}
}

// TestOtherLimits: a connection may have its own.
func TestOtherLimits(t *testing.T) {
	r := newRig(t, answers(hello))
	short := h1.Limits{Wire: wire.Limits{Head: 200, Idle: 300 * time.Millisecond}}.Complete()
	r.d.set(func() { r.d.accept = func(c *h1.Conn) bool { c.Use(short); return true } })
	c := r.dial()
	c.say(get("/"))
	c.answer("GET")
	c.say("GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 200))
	if resp, _ := c.answer("GET"); resp.StatusCode != 431 {
		t.Errorf("%d", resp.StatusCode)
	}
	began := time.Now()
	c = r.dial()
	c.ends()
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("it took %s", d)
	}
}
