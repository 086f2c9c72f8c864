package h1

import (
	"net/netip"
	"sync/atomic"
	"time"
)

// Conn is the connection of a client while a loop has it. Its methods may be called from any goroutine, at any time: after it has ended or gone away they do
// nothing.
type Conn struct {
	Tag           any            // the director's; set by Accept or Adopt, then of the loop's goroutine
	Local, Remote netip.AddrPort // IPv4 as such; fixed

	quiet   atomic.Int64 // Retire: nanoseconds; 0: the connection stays
	since   atomic.Int64 // Now of the last byte that came or went
	working atomic.Bool  // a request is under way

	loopConn // what the loop keeps
}

// Retire has the connection end in an orderly way: the next response says that it is the last, and between two requests it ends when nothing has
// come for quiet, what has passed already included. A request that comes before is served as any other. What has been sent is not lost: the end
// of the stream goes first, and what the client still sends is dropped for Limits.Wire.Linger. quiet must be more than 0.
func (c *Conn) Retire(quiet time.Duration) {
	c.quiet.Store(max(int64(quiet), 1))
	c.wake()
}

// Stay takes Retire back, unless the connection has ended or a response has said that it is the last.
func (c *Conn) Stay() {
	if c.quiet.Swap(0) != 0 {
		c.wake()
	}
}

// Retired reports whether the next response says that it is the last.
func (c *Conn) Retired() bool { return c.quiet.Load() != 0 }

// Idle says whether no request is under way, and for how long nothing has come or gone.
func (c *Conn) Idle() (bool, time.Duration) {
	return !c.working.Load(), Now() - time.Duration(c.since.Load())
}

// Use gives the connection other limits than Options.Limits, from the next request on, and where Options.Latest says no others; l comes from Limits.Complete and must not change. Only the director may
// call it, in Accept, Direct or Done. OriginIdle and OriginsKept are those of the engine in any case.
func (c *Conn) Use(l *Limits) { c.use(l) }

// Resume has the director asked again about the request that waits (see Wait). It may come at any time, also when the request is over or another one is under way: then
// nothing happens, or the director is asked too early and says Wait again.
func (c *Conn) Resume() { c.order(orderResume) }

// Close ends the connection at once, whatever goes on on it.
func (c *Conn) Close() { c.order(orderClose) }

// LetGo has the loop give the connection to Director.Away as soon as no request is under way; nothing happens when it ends before.
func (c *Conn) LetGo() { c.order(orderLetGo) }
