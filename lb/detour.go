package lb

import (
	"net"
	"net/http"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/lb/h1"
)

// A connection begins on the loop. A request that the loop does not take goes away to net/http with its connection, and when that has answered, the connection
// comes back. Both ways cost some system calls; a client whose requests all go away is spared the way back for longer and longer.

// maxDetour is how many requests net/http has in a row at most, as a power of two, before it tries whether the loop takes the next one.
const maxDetour = 6

// detour is how often a connection has changed its engine for nothing. It belongs to the engine that has the connection.
type detour struct {
	vain uint8 // times in a row that the loop had not one request for itself
	left uint8 // requests that net/http still has before the connection goes back
}

// begin is called when the loop lets go.
func (d *detour) begin() {
	d.left = 1 << d.vain
	d.vain = min(d.vain+1, maxDetour)
}

// paid notes that the loop has had a request for itself.
func (d *detour) paid() { d.vain = 0 }

// over counts one request of net/http's and reports whether the connection goes back.
func (d *detour) over() bool {
	if d.left > 1 {
		d.left--
		return false
	}
	return true
}

// wayBack is the way of a connection from net/http to the loop.
type wayBack struct {
	fit   bool // the last request was one of a kind that the loop takes
	going atomic.Bool
	rest  []byte // of the request that has begun to arrive
}

// stateChanged is told by net/http what happens on a connection. Between two requests, when nothing of the next one has been given to net/http, the connection
// may leave: net/http finds the end of the stream, and closes it.
func (f *front) stateChanged(conn net.Conn, state http.ConnState) {
	c, ok := conn.(*clientConn)
	if !ok || state != http.StateIdle || !c.back.fit || f.b.loops() == nil || !f.edge.Load().plain || c.ended.Load() || c.socket.client.IsValid() || !c.socket.who.detour.over() {
		return
	}
	if rest, ok := c.guard.Detach(); ok {
		c.back.rest = rest
		c.back.going.Store(true)
	}
}

// goBack gives the connection to the loop; false when it is to be closed.
func (c *clientConn) goBack() bool {
	if !c.back.going.Swap(false) || c.ended.Load() {
		return false
	}
	s := c.socket
	fd, err := duplicate(s)
	if err != nil {
		return false
	}
	if !c.letsGo() || s.closed.Swap(true) { // it has been cut meanwhile
		unix.Close(fd)
		return true
	}
	s.who.front.b.conns.leave(s.who)
	s.Conn.Close()
	if s.who.tls != nil {
		s.who.tls.served = true // by net/http
	}
	s.who.toLoop(fd, append(c.back.rest, c.unread()...))
	return true
}

// toLoop gives a connection that has been taken in, and that no engine has, to a loop. rest is content that has been read of it.
func (who *caller) toLoop(fd int, rest []byte) {
	b := who.front.b
	a := h1.Adoption{FD: fd, Rest: rest, Tag: who, Setup: func(on *h1.Conn) {
		on.Use(who.front.edge.Load().loops)
		b.conns.arrive(who, (*onLoop)(on))
	}}
	if who.tls != nil {
		a.TLS, a.Fresh, a.HTTP2 = &who.tls.Secured, !who.tls.served, who.tls.http2
		who.tls.served = true
	}
	if b.loops().Adopt(a) != nil {
		b.conns.remove(who) // the loops have ended
	}
}

// duplicate gives another descriptor of the socket.
func duplicate(s *clientSocket) (int, error) {
	raw, err := s.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	failed := raw.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	if failed != nil {
		return -1, failed
	}
	return fd, err
}

// onLoop is a connection while a loop has it.
type onLoop h1.Conn

func (c *onLoop) retire()      { (*h1.Conn)(c).Retire(quietTime) }
func (c *onLoop) stay()        { (*h1.Conn)(c).Stay() }
func (c *onLoop) Close() error { (*h1.Conn)(c).Close(); return nil }

// served notes whether the request was of a kind that the loop takes.
func (c *clientConn) served(fit bool) {
	if c != nil {
		c.back.fit = fit
		if c.socket != nil {
			c.socket.tell()
		}
	}
}

// fitsLoop reports whether another request like this one, of the session that it has now, is one for the loop.
func (x *exchange) fitsLoop() bool {
	if x.in == nil || len(x.deliver.listeners) == 0 {
		return false
	}
	return x.deliver.listeners[len(x.deliver.listeners)-1].forLoops() != nil
}

// takeFound takes what a loop has found out about the request, if one has had it. It comes first of all: whatever becomes of the request, the next one of the connection
// must not go on from there.
func (x *exchange) takeFound() {
	if x.conn != nil && x.conn.socket != nil {
		x.found, x.conn.socket.who.after = x.conn.socket.who.after, nil
	} else if of := x.handed(); of != nil {
		x.found, of.after = of.after, nil
	}
}

// leavesFound takes back the new session of what a loop has found out and nobody goes on from.
func (x *exchange) leavesFound() {
	if a := x.found; a != nil && a.commit != nil {
		x.b.abandon(a.commit, a.s, a.mod)
	}
	x.found = nil
}

// goesOn takes over what a loop has found out about the request.
func (x *exchange) goesOn() (bool, error) {
	a := x.found
	if x.found = nil; a == nil {
		return false, nil
	}
	x.after = a
	x.rt, x.mod, x.in, x.s, x.assigned, x.rejected = a.rt, a.mod, a.in, a.s, a.assigned, a.rejected
	if x.commit = a.commit; x.commit == nil && !x.s.recorded {
		return true, x.mod.affinity.open(x)
	}
	return true, nil
}
