//go:build linux

package h1_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/lb/h1"
)

// conn gives the first connection that the director has heard of.
func (r *rig) conn() *h1.Conn {
	r.t.Helper()
	r.wait("a connection", func() bool { return len(r.d.conns) > 0 })
	return r.d.conns[len(r.d.conns)-1]
}

// TestRetire: a quiet connection ends after the quiet time, a request before that is served and its response says that it is the last; Stay takes it back.
func TestRetire(t *testing.T) {
	r := newRig(t, answers(hello))
	c := r.dial()
	c.say(get("/"))
	c.answer("GET")
	hc := r.conn()
	eventually(t, "idle", func() bool { idle, _ := hc.Idle(); return idle })
	hc.Retire(300 * time.Millisecond)
	began := time.Now()
	c.ends()
	if d := time.Since(began); d > 3*time.Second {
		t.Errorf("it took %s", d)
	}
	c.Close()
	r.wait("gone", func() bool { return r.d.gone == 1 })

	c = r.dial()
	c.say(get("/"))
	c.answer("GET")
	hc = r.conn()
	hc.Retire(time.Hour)
	hc.Stay()
	c.say(get("/"))
	if resp, _ := c.answer("GET"); resp.Close {
		t.Error("it was to stay")
	}
	hc.Retire(time.Hour)
	if !hc.Retired() {
		t.Error("not retired")
	}
	c.say(get("/"))
	if resp, _ := c.answer("GET"); !resp.Close {
		t.Error("the last response does not say so")
	}
	c.ends()
}

// TestCloseOfAConnection: in the middle of a request.
func TestCloseOfAConnection(t *testing.T) {
	asked := make(chan struct{})
	r := newRig(t, func(c *originConn) {
		if c.request() != nil {
			close(asked)
			c.r.ReadByte()
		}
	})
	c := r.dial()
	c.say(get("/"))
	<-asked
	if idle, _ := r.conn().Idle(); idle {
		t.Error("idle in the middle of a request")
	}
	r.conn().Close()
	c.ends()
	r.wait("account", func() bool { return len(r.d.done) == 1 && r.d.done[0].failure == h1.FailClosed && r.d.gone == 1 })
	r.conn().Close() // nothing
	r.conn().Retire(1)
	r.conn().LetGo()
}

// TestLetGoAndAdopt: a connection leaves between two requests, with what has been read, and comes back.
func TestLetGoAndAdopt(t *testing.T) {
	r := newRig(t, answers(hello))
	c := r.dial()
	c.say(get("/"))
	c.answer("GET")
	r.conn().LetGo()
	r.wait("away", func() bool { return len(r.d.away) == 1 })
	a := r.d.away[0]
	if a.rest != "" {
		t.Errorf("%q", a.rest)
	}
	c.say(get("/a"))
	b := make([]byte, len(get("/a")))
	if _, err := io.ReadFull(a.conn, b); err != nil {
		t.Fatal(err)
	}
	got := make(chan *h1.Conn, 1)
	if err := r.e.Adopt(h1.Adoption{FD: descriptor(t, a.conn), Rest: b, Tag: "tag", Setup: func(c *h1.Conn) { got <- c }}); err != nil {
		t.Fatal(err)
	}
	hc := <-got
	if hc.Tag != "tag" || hc.Remote.String() != c.LocalAddr().String() || hc.Local.String() != r.addr {
		t.Errorf("%v %v %v", hc.Tag, hc.Remote, hc.Local)
	}
	if _, body := c.answer("GET"); body != "hello" {
		t.Errorf("%q", body)
	}
	r.d.mu.Lock()
	r.d.conns = append(r.d.conns, hc)
	r.d.mu.Unlock()
}

// descriptor gives a copy of the connection's, without blocking.
func descriptor(t *testing.T, c net.Conn) int {
	t.Helper()
	f, err := c.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	return fd
}

// TestStopListening: after Stop nobody is accepted, and connections go on.
func TestStopListening(t *testing.T) {
	r := newRig(t, answers(hello))
	c := r.dial()
	c.say(get("/"))
	c.answer("GET")
	r.on.Stop()
	r.on.Stop()
	x := r.dial() // into the queue
	x.say(get("/"))
	c.say(get("/"))
	c.answer("GET")
	if !r.d.look(func() bool { return len(r.d.conns) == 1 }) {
		t.Error("a connection was accepted")
	}
}

// TestCloseOfTheEngine: requests under way finish, idle connections end, nothing is accepted any more.
func TestCloseOfTheEngine(t *testing.T) {
	gate := make(chan struct{})
	asked := make(chan struct{})
	r := newRig(t, func(c *originConn) {
		if c.request() != nil {
			close(asked)
			<-gate
			c.say(hello)
		}
	})
	c, idle := r.dial(), r.dial()
	c.say(get("/"))
	<-asked
	r.wait("both", func() bool { return len(r.d.conns) == 2 })
	closed := make(chan error, 1)
	go func() { closed <- r.e.Close(t.Context()) }()
	idle.ends()
	idle.Close()
	close(gate)
	if resp, body := c.answer("GET"); body != "hello" || !resp.Close {
		t.Errorf("%q %v", body, resp.Header)
	}
	c.Close()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if err := r.e.Adopt(h1.Adoption{FD: -1}); err != h1.ErrClosed {
		t.Errorf("%v", err)
	}

	r = newRig(t, func(c *originConn) { c.r.ReadByte(); c.r.ReadByte(); io.Copy(io.Discard, c.r) })
	c = r.dial()
	c.say(get("/"))
	r.wait("asked", func() bool { return r.d.asked == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.e.Close(ctx); err != context.Canceled {
		t.Errorf("%v", err)
	}
	if len(r.d.done) != 1 || r.d.done[0].failure != h1.FailClosed {
		t.Errorf("%+v", r.d.done)
	}
	c.ends()
}

// TestListenersThatAreNone: what cannot be listened to is an error that says so, and a closed engine takes no listener.
func TestListenersThatAreNone(t *testing.T) {
	r := newRig(t, answers(hello))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	for _, bad := range []net.Listener{ln, struct{ net.Listener }{ln}} {
		if on, err := r.e.Listen(bad); err == nil || on != nil {
			t.Errorf("%T: %v, %v", bad, on, err)
		}
	}
	if _, err := h1.New(h1.Options{}); err == nil {
		t.Error("an engine without a director")
	}
	if err := r.e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if on, err := r.e.Listen(ln); !errors.Is(err, h1.ErrClosed) || on != nil {
		t.Errorf("%v, %v", on, err)
	}
}

// TestCloseOfAnOrigin drops what is kept, and what is under way finishes.
func TestCloseOfAnOrigin(t *testing.T) {
	r := newRig(t, answers(hello))
	c := r.dial()
	c.say(get("/"))
	c.answer("GET")
	eventually(t, "kept", func() bool { return r.d.origin.Open() == 1 })
	r.d.origin.Close()
	eventually(t, "dropped", func() bool { return r.d.origin.Open() == 0 })
	c.say(get("/"))
	c.answer("GET")
	eventually(t, "not kept", func() bool { return r.d.origin.Open() == 0 })
}

// TestIdleConnectionsToInstancesEnd after their time.
func TestIdleConnectionsToInstancesEnd(t *testing.T) {
	r := newRig(t, answers(hello), func(o *h1.Options) { o.Limits.OriginIdle = 100 * time.Millisecond })
	c := r.dial()
	c.say(get("/"))
	c.answer("GET")
	eventually(t, "dropped", func() bool { return r.d.origin.Open() == 0 })
}
