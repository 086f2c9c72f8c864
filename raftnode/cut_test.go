package raftnode

import (
	"context"
	"net"
	"sync"
	"testing"
)

// wires are the ways between the nodes of a test group, which can be cut in each direction: what is sent waits until the cut is healed, as with TCP when
// packets are lost.
type wires struct {
	mu  sync.Mutex
	cut map[[2]string]bool // from, to
	ch  broadcast
}

// set cuts or heals what goes from one node to another.
func (w *wires) set(cut bool, from, to string) {
	w.mu.Lock()
	w.cut[[2]string{from, to}] = cut
	w.mu.Unlock()
	w.ch.signal()
}

// isolate cuts a node off from all, or heals that.
func (w *wires) isolate(g group, m *member, cut bool) {
	for _, o := range g {
		if o != m {
			w.set(cut, m.opt.Name, o.opt.Name)
			w.set(cut, o.opt.Name, m.opt.Name)
		}
	}
}

func (w *wires) heal() {
	w.mu.Lock()
	clear(w.cut)
	w.mu.Unlock()
	w.ch.signal()
}

// pass waits while the way is cut, at most until done.
func (w *wires) pass(from, to string, done <-chan struct{}) {
	for {
		ch := w.ch.wait()
		w.mu.Lock()
		cut := w.cut[[2]string{from, to}]
		w.mu.Unlock()
		if !cut {
			return
		}
		select {
		case <-ch:
		case <-done:
			return
		}
	}
}

// wire has all connections between the open nodes of g go by w.
func wire(g group) *wires {
	w := &wires{cut: map[[2]string]bool{}}
	names := map[string]string{}
	for _, m := range g {
		names[m.node.Addr()] = m.opt.Name
	}
	for _, m := range g {
		wrap := func(c net.Conn, addr string) net.Conn {
			wc := &wireConn{Conn: c, w: w, from: m.opt.Name, to: names[addr], done: make(chan struct{}), out: make(chan []byte, 1024)}
			go wc.send()
			return wc
		}
		stream, pool := m.node.stream.dial, m.node.pool.dial
		m.node.stream.dial = func(ctx context.Context, addr string) (net.Conn, error) {
			w.pass(m.opt.Name, names[addr], ctx.Done())
			c, err := stream(ctx, addr)
			if err != nil {
				return nil, err
			}
			return wrap(c, addr), nil
		}
		m.node.pool.dial = func(ctx context.Context, addr, name string) (net.Conn, error) {
			w.pass(m.opt.Name, names[addr], ctx.Done())
			c, err := pool(ctx, addr, name)
			if err != nil {
				return nil, err
			}
			return wrap(c, addr), nil
		}
	}
	return w
}

type wireConn struct {
	net.Conn
	w        *wires
	from, to string
	once     sync.Once
	done     chan struct{}
	out      chan []byte
}

func (c *wireConn) send() {
	for {
		select {
		case b := <-c.out:
			c.w.pass(c.from, c.to, c.done)
			if _, err := c.Conn.Write(b); err != nil {
				_ = c.Close()
			}
		case <-c.done:
			return
		}
	}
}

func (c *wireConn) Write(b []byte) (int, error) {
	select {
	case c.out <- append([]byte(nil), b...):
		return len(b), nil
	case <-c.done:
		return 0, net.ErrClosed
	}
}

func (c *wireConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.w.pass(c.to, c.from, c.done)
	return n, err
}

func (c *wireConn) Close() error {
	c.once.Do(func() { close(c.done) })
	return c.Conn.Close()
}

func TestWiresHoldWhatIsCut(t *testing.T) {
	g := startGroup(t, 1)
	w := wire(g)
	w.set(true, "a", "b")
	done := make(chan struct{})
	passed := make(chan struct{})
	go func() { w.pass("a", "b", done); close(passed) }()
	w.pass("b", "a", nil)
	select {
	case <-passed:
		t.Error("a cut way passes")
	default:
	}
	w.heal()
	<-passed
}
