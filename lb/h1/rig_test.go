//go:build linux

package h1_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/lb/h1"
	"github.com/holdfast-lb/holdfast/lb/wire"
)

// patience bounds every wait of a test.
const patience = 10 * time.Second

// director is one whose decisions a test can replace. Without that it sends everything to the rig's origin and refuses what fails.
type director struct {
	origin *h1.Origin
	accept func(*h1.Conn) bool
	direct func(*h1.Trip) h1.Verdict
	answer func(*h1.Trip) h1.Verdict
	failed func(*h1.Trip, h1.Failure, error) h1.Verdict
	takes  func(*h1.Secured) // TLS of a connection that goes away
	bridge func(net.Conn)    // has the other engine's end; without it nobody speaks HTTP/2

	mu    sync.Mutex
	conns []*h1.Conn
	asked int
	done  []done
	away  []away
	gone  int
}

type done struct {
	status   int
	sent     int64
	received int64
	failure  h1.Failure
	attempts int
}

type away struct {
	conn net.Conn
	rest string
}

func (d *director) Accept(c *h1.Conn, _ net.Listener) bool {
	d.mu.Lock()
	d.conns = append(d.conns, c)
	accept := d.accept
	d.mu.Unlock()
	return accept == nil || accept(c)
}

func (d *director) Direct(t *h1.Trip) h1.Verdict {
	d.mu.Lock()
	d.asked++
	direct := d.direct
	d.mu.Unlock()
	t.To, t.Timeout, t.Repeatable = d.origin, patience, true
	if direct != nil {
		return direct(t)
	}
	return h1.Forward
}

func (d *director) Interim(_ *h1.Trip, e *h1.Edits, fields []wire.Field, b []byte) {
	for i, f := range fields {
		if strings.EqualFold(string(f.Name.Of(b)), "X-Edit") {
			e.Set(i, append([]byte("edited "), f.Value.Of(b)...))
		}
	}
}

func (d *director) Answer(t *h1.Trip) h1.Verdict {
	d.mu.Lock()
	answer := d.answer
	d.mu.Unlock()
	if answer != nil {
		return answer(t)
	}
	return h1.Forward
}

func (d *director) Failed(t *h1.Trip, kind h1.Failure, err error) h1.Verdict {
	d.mu.Lock()
	failed := d.failed
	d.mu.Unlock()
	if failed != nil {
		return failed(t, kind, err)
	}
	t.Page = []byte(kind.String())
	return h1.Refuse
}

func (d *director) Done(t *h1.Trip) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.done = append(d.done, done{t.Status, t.Sent, t.Received, t.Failure, t.Attempts})
}

func (d *director) Mux(*h1.Conn) bool { return d.look(func() bool { return d.bridge != nil }) }

func (d *director) Stream(_, _ *h1.Conn) {}

func (d *director) Bridge(_ *h1.Conn, fd int) { d.bridge(adopted(fd)) }

func (d *director) Detour(*h1.Conn, uint32) bool { return false }

func (d *director) Away(c *h1.Conn, fd int, rest []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.away = append(d.away, away{adopted(fd), string(rest)})
	if d.takes != nil {
		d.takes(c.TLS())
	}
}

func (d *director) Gone(*h1.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gone++
}

// set changes decisions while the engine runs.
func (d *director) set(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

// look reads what the director keeps.
func (d *director) look(f func() bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return f()
}

// rig is an engine between a test's clients and its origin.
type rig struct {
	t      *testing.T
	d      *director
	e      *h1.Engine
	addr   string
	on     *h1.Listener
	origin *origin
}

func newRig(t *testing.T, serve func(*originConn), change ...func(*h1.Options)) *rig {
	t.Helper()
	r := &rig{t: t, origin: newOrigin(t, serve)}
	r.d = &director{origin: h1.NewOrigin(r.origin.addr)}
	o := h1.Options{Director: r.d, Loops: 2}
	for _, f := range change {
		f(&o)
	}
	e, err := h1.New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.e = e
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if r.on, err = e.Listen(ln); err != nil {
		t.Fatal(err)
	}
	r.addr = ln.Addr().String()
	t.Cleanup(func() {
		r.on.Stop()
		ln.Close()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = e.Close(ctx) // ends what a test left open
		d := r.d
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, a := range d.away {
			a.conn.Close()
		}
		if d.gone+len(d.away) != len(d.conns) {
			t.Errorf("%d connections came, %d ended and %d went away", len(d.conns), d.gone, len(d.away))
		}
	})
	return r
}

// origin is an instance that serves each connection by a function.
type origin struct {
	addr netip.AddrPort
	ln   net.Listener
	wg   sync.WaitGroup
}

// originConn is a connection as the origin has it.
type originConn struct {
	net.Conn
	r *bufio.Reader
}

func newOrigin(t testing.TB, serve func(*originConn)) *origin {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &origin{addr: ln.Addr().(*net.TCPAddr).AddrPort(), ln: ln}
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	o.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			o.wg.Go(func() {
				defer c.Close()
				serve(&originConn{c, bufio.NewReader(c)})
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		o.wg.Wait()
	})
	return o
}

// request reads a request with its body; nil at the end.
func (c *originConn) request() *http.Request {
	req, err := http.ReadRequest(c.r)
	if err != nil {
		return nil
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil
	}
	req.Body = io.NopCloser(strings.NewReader(string(body)))
	return req
}

func (c *originConn) say(s string) { _, _ = io.WriteString(c.Conn, s) }

// answers serves every request with the same bytes.
func answers(s string) func(*originConn) {
	return func(c *originConn) {
		for c.request() != nil {
			c.say(s)
		}
	}
}

// client is a connection to the engine.
type client struct {
	*net.TCPConn
	t *testing.T
	r *bufio.Reader
}

func (r *rig) dial() *client {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		r.t.Fatal(err)
	}
	return &client{c.(*net.TCPConn), r.t, bufio.NewReader(c)}
}

func (c *client) say(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.TCPConn, s); err != nil {
		c.t.Fatal(err)
	}
}

// answer reads a response with its body.
func (c *client) answer(method string) (*http.Response, string) {
	c.t.Helper()
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("response: %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatalf("body after %d bytes: %v", len(body), err)
	}
	return resp, string(body)
}

// raw reads up to the end of the stream.
func (c *client) raw() string {
	c.t.Helper()
	b, err := io.ReadAll(c.r)
	if err != nil {
		c.t.Fatalf("after %q: %v", b, err)
	}
	return string(b)
}

// ends wants the end of the stream, or a reset, and nothing before it.
func (c *client) ends() {
	c.t.Helper()
	if b, err := io.ReadAll(c.r); len(b) > 0 || err != nil && strings.Contains(err.Error(), "timeout") {
		c.t.Fatalf("got %q, %v, want the end", b, err)
	}
}

func (r *rig) wait(what string, f func() bool) {
	r.t.Helper()
	eventually(r.t, what, func() bool { return r.d.look(f) })
}

func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		<-tick.C
	}
}

func adopted(fd int) net.Conn {
	f := os.NewFile(uintptr(fd), "away")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		panic(err)
	}
	return c
}

// counter is a number that several goroutines use.
type counter struct{ n atomic.Int64 }

func (c *counter) add(n int) { c.n.Add(int64(n)) }
func (c *counter) set(n int) { c.n.Store(int64(n)) }
func (c *counter) get() int  { return int(c.n.Load()) }
