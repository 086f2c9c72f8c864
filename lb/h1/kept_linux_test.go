package h1

import (
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

// keptBy gives a connection that l keeps, released in this turn, and the instance's end of it.
func keptBy(t *testing.T, l *loop) (*upstream, *Origin, net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	o := NewOrigin(netip.MustParseAddrPort(ln.Addr().String()))
	u, err := l.connection(o, l.now)
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
	if x.up != nil || !u.resting || l.pools[o].n != 1 {
		t.Fatal("it is not kept")
	}
	return u, o, peer
}

// TestKeptConnectionsAreLookedAt: one on which something has come since the last response is not used again, unless that came a moment ago.
func TestKeptConnectionsAreLookedAt(t *testing.T) {
	for name, c := range map[string]struct {
		turn  func(l *loop) (now time.Duration)
		taken bool
	}{
		"in the turn of its release": {func(l *loop) time.Duration { l.all = true; return l.now }, false},
		"late in a later turn":       {func(l *loop) time.Duration { l.endRest(); l.all = true; return l.now + lookAfter }, false},
		"by a request of before":     {func(l *loop) time.Duration { l.endRest(); l.all = true; return l.now - 1 }, false},
		"not all events were told":   {func(l *loop) time.Duration { l.endRest(); return l.now }, false},
		"long after the look": {func(l *loop) time.Duration { // there was no processor until the turn began
			l.endRest()
			l.all, l.looked = true, l.now-lookAfter
			return l.now
		}, false},
		"early in a later turn": {func(l *loop) time.Duration { l.endRest(); l.all = true; return l.now + lookAfter - 1 }, true},
	} {
		l := looseLoop(t)
		l.looked = l.now
		u, o, peer := keptBy(t, l)
		if _, err := peer.Write([]byte("HTTP/1.1 200 OK\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		for rawNothing(u.fd) { // it is on its way
			runtime.Gosched()
		}
		again, err := l.connection(o, c.turn(l))
		if err != nil {
			t.Fatal(err)
		}
		if (again == u) != c.taken {
			t.Errorf("%s: taken: %v", name, again == u)
		}
		if n := l.pools[o].n; n != 0 || len(l.resting) != 0 || o.Open() != 1 {
			t.Errorf("%s: %d are kept, %d rest, %d are open", name, n, len(l.resting), o.Open())
		}
	}
}

// TestLookHasItsTime: it counts from a moment before the kernel was asked, however long that took.
func TestLookHasItsTime(t *testing.T) {
	l := looseLoop(t)
	for _, last := range []int{0, busyEvents} {
		before := Now()
		l.post(command{kind: cmdForget})
		if n := l.wait(last); n != 1 || l.looked < before || l.looked > Now() {
			t.Errorf("after %d events: %d events, looked %v after the beginning", last, n, l.looked-before)
		}
		l.takeInbox()
	}
}

// TestReleasedConnectionsAreCounted wherever they are: what is kept is bounded, is used again, and goes with its origin.
func TestReleasedConnectionsAreCounted(t *testing.T) {
	l := looseLoop(t)
	u, o, _ := keptBy(t, l)
	if again, err := l.connection(o, l.now); err != nil || again != u || u.resting || l.pools[o].n != 0 || len(l.resting) != 0 {
		t.Fatalf("%v, %v: %d are kept, %d rest", again == u, err, l.pools[o].n, len(l.resting))
	}
	x := &exchange{up: u}
	x.request.done, x.answer.Answer.KeepAlive = true, true
	l.release(x)
	l.forget(o)
	if o.Open() != 0 || len(l.resting) != 0 || l.pools[o] != nil {
		t.Errorf("%d are open, %d rest", o.Open(), len(l.resting))
	}
	l.endRest()

	u, o, _ = keptBy(t, l)
	l.expired(&u.timer) // in the same turn
	l.endRest()
	if o.Open() != 0 || l.pools[o].n != 0 {
		t.Errorf("%d are open, %d are kept", o.Open(), l.pools[o].n)
	}
	l.e.limits.OriginsKept = 1
	u, o, _ = keptBy(t, l)
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
	if o.Open() != 1 || l.pools[o].n != 1 || !u.resting {
		t.Errorf("%d are open, %d are kept", o.Open(), l.pools[o].n)
	}
}
