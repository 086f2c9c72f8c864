package wire

import (
	"syscall"
	"time"
)

// retirement says when a connection that is to end may do so without failing a
// request.
type retirement struct {
	quiet time.Duration // how long nothing must have come while a request is waited for
	first time.Time     // when the wait that is under way ends
}

// Retire has the connection end in an orderly way. From now on a wait for a
// request gives io.EOF to the server when nothing has come for quiet; the one
// that is under way counts silent, the time for which nothing has come already.
// A request that comes before is served as any other, and its handler asks
// Retired. Close then sends the end of the stream and goes on reading, without
// its caller, until the client has closed too or Limits.Linger is over: a
// request that has crossed the end of the stream is dropped, but no reset
// destroys the response before it. Upgraded connections go on, and Close ends
// them at once. Any goroutine may call it; a second call changes nothing.
//
// What remains possible in HTTP/1.1: a client that sends a request in the very
// time that the end of the stream takes to reach it gets an end of stream in
// place of a response, and may repeat what is idempotent (RFC 9112 section
// 9.3.1 and 9.5).
func (c *Conn) Retire(quiet, silent time.Duration) {
	r := &retirement{quiet: quiet, first: time.Now().Add(max(quiet-silent, 0))}
	if c.retired.CompareAndSwap(nil, r) {
		c.nudge()
	}
}

// Stay takes Retire back, unless the connection has ended.
func (c *Conn) Stay() {
	if c.retired.Swap(nil) != nil {
		c.nudge()
	}
}

// Retired reports whether the next response should say that it is the last.
func (c *Conn) Retired() bool { return c.retired.Load() != nil }

// nudge has a Read that is blocked look at its deadlines again.
func (c *Conn) nudge() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lingers {
		return
	}
	c.nudged.Store(true)
	_ = c.under.SetReadDeadline(time.Unix(1, 0)) // fails when closed: nobody reads then
}

// look sets the deadlines again after a nudge.
func (c *Conn) look() error {
	if !c.idle {
		return c.setGuard(c.guard)
	}
	if r := c.retired.Load(); r != nil {
		return c.setGuard(earlier(c.base, r.first))
	}
	return c.setGuard(c.base)
}

// armRetired bounds a wait for a request that begins. It comes after the other
// deadlines are set, so that a nudge of a Retire that it does not see yet is
// not lost.
func (c *Conn) armRetired() error {
	r := c.retired.Load()
	if r == nil {
		return nil
	}
	return c.setGuard(earlier(c.guard, time.Now().Add(r.quiet)))
}

// lastLook reads what has come by now although the deadline has passed: the
// runtime's deadlines end a read also when there is something to read.
func (c *Conn) lastLook(p []byte) (n int) {
	if !c.idle || !c.Retired() {
		return 0
	}
	s, ok := c.under.(syscall.Conn)
	if !ok || c.under.SetReadDeadline(time.Time{}) != nil {
		return 0
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return 0
	}
	err = raw.Read(func(fd uintptr) bool {
		n, err = syscall.Read(int(fd), p)
		if err != nil {
			n = 0 // nothing there, or an error that Close finds again
		}
		return true // once, without waiting
	})
	if err != nil {
		return 0
	}
	return n
}
