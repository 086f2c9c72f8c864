package h1

import (
	"errors"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"
)

// looseLoop is a loop that nobody runs.
func looseLoop(t *testing.T) *loop {
	t.Helper()
	l, err := newLoop(&core{limits: (&Limits{}).Complete()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.free)
	return l
}

// keptBy gives a connection that l keeps, and the instance's end of it.
func keptBy(t *testing.T, l *loop) (*upstream, *Origin, net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	o := NewOrigin(netip.MustParseAddrPort(ln.Addr().String()))
	u, err := l.connection(o, false)
	if err != nil {
		t.Fatal(err)
	}
	peer, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	u.connecting = false
	x := &exchange{up: u}
	x.request.done, x.answer.Answer.KeepAlive = true, true
	l.release(x)
	if x.up != nil || l.pools[o].n != 1 {
		t.Fatal("it is not kept")
	}
	return u, o, peer
}

// TestKeptConnectionsAreLookedAt: one on which something has come since the last response is not used again, nor one that has ended, whatever the events have told.
func TestKeptConnectionsAreLookedAt(t *testing.T) {
	for name, do := range map[string]func(net.Conn) error{
		"a second answer": func(c net.Conn) error { _, err := c.Write([]byte("HTTP/1.1 200 OK\r\n\r\n")); return err },
		"one byte":        func(c net.Conn) error { _, err := c.Write([]byte{0}); return err },
		"its end":         net.Conn.Close,
		"a reset":         func(c net.Conn) error { return errors.Join(c.(*net.TCPConn).SetLinger(0), c.Close()) },
		"nothing":         func(net.Conn) error { return nil },
	} {
		l := looseLoop(t)
		u, o, peer := keptBy(t, l)
		if err := do(peer); err != nil {
			t.Fatal(err)
		}
		for name != "nothing" && rawNothing(u.fd) { // it is on its way
			runtime.Gosched()
		}
		again, err := l.connection(o, false)
		if err != nil {
			t.Fatal(err)
		}
		if taken := again == u; taken != (name == "nothing") {
			t.Errorf("%s: taken: %v", name, taken)
		}
		if n := l.pools[o].n; n != 0 || o.Open() != 1 {
			t.Errorf("%s: %d are kept, %d are open", name, n, o.Open())
		}
	}
}

// TestOnlyThePastIsDisowned: what was idle when the broken connection got its request goes, what was released since stays.
func TestOnlyThePastIsDisowned(t *testing.T) {
	l := looseLoop(t)
	keep := func(u *upstream, at time.Duration) {
		l.now = at
		x := &exchange{up: u}
		x.request.done, x.answer.Answer.KeepAlive = true, true
		l.release(x)
	}
	u, o, _ := keptBy(t, l)
	begin := l.now
	conns := []*upstream{u}
	for range 4 {
		u, err := l.connection(o, true)
		if err != nil {
			t.Fatal(err)
		}
		u.ready = 0
		conns = append(conns, u)
	}
	broken := conns[4]
	for i, u := range conns[1:4] {
		keep(u, begin+time.Duration(i+1))
	}
	broken.since = begin + 2
	l.disown(broken)
	if n := l.pools[o].n; n != 1 || l.pools[o].ring.next != conns[3] || l.pools[o].ring.prev != conns[3] || o.Open() != 2 {
		t.Errorf("%d are kept, %d are open", n, o.Open())
	}
	if fresh, err := l.connection(o, true); err != nil || fresh == conns[3] || l.pools[o].n != 1 {
		t.Errorf("%v, %v: %d are kept", fresh == conns[3], err, l.pools[o].n)
	}
	l.disown(&upstream{origin: NewOrigin(o.addr)}) // nothing is kept of it
}

// TestReleasedConnectionsAreCounted: what is kept is bounded, is used again, and goes with its origin.
func TestReleasedConnectionsAreCounted(t *testing.T) {
	l := looseLoop(t)
	u, o, _ := keptBy(t, l)
	if again, err := l.connection(o, false); err != nil || again != u || l.pools[o].n != 0 {
		t.Fatalf("%v, %v: %d are kept", again == u, err, l.pools[o].n)
	}
	x := &exchange{up: u}
	x.request.done, x.answer.Answer.KeepAlive = true, true
	l.release(x)
	l.forget(o)
	if o.Open() != 0 || l.pools[o] != nil {
		t.Errorf("%d are open", o.Open())
	}

	u, o, _ = keptBy(t, l)
	l.expired(&u.timer)
	if o.Open() != 0 || l.pools[o].n != 0 {
		t.Errorf("%d are open, %d are kept", o.Open(), l.pools[o].n)
	}
	l.e.limits.OriginsKept = 1
	_, o, _ = keptBy(t, l)
	more, err := connectTo(o.addr)
	if err != nil {
		t.Fatal(err)
	}
	second := &upstream{origin: o}
	second.fd, second.slot = more, l.take(slotUp)
	l.slots[second.slot].up = second
	o.open.Add(1)
	y := &exchange{up: second}
	y.request.done, y.answer.Answer.KeepAlive = true, true
	l.release(y)
	if o.Open() != 1 || l.pools[o].n != 1 {
		t.Errorf("%d are open, %d are kept", o.Open(), l.pools[o].n)
	}
}
