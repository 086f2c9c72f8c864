package h1

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// refuse answers the request by what the director has set.
func (l *loop) refuse(c *Conn) {
	x := c.x
	if x.Status < 200 || x.Status > 599 {
		x.Status = 502
	}
	x.last = x.last || !x.Whole || !x.Head.KeepAlive || c.Retired()
	l.dropOf(x)
	x.response.begin(wire.FramingNone, 0, false)
	if !x.parser.IsHead() {
		x.response.moved = int64(len(x.Page))
	}
	if c.stream != nil {
		l.refuseTrip(c)
		return
	}
	l.sendLast(c, x.appendRefusal(l.head[:0], l.date.line(l.now)))
}

// refuseHead answers a head that is no acceptable one: nothing after it can be read.
func (l *loop) refuseHead(c *Conn, bad *wire.Error) {
	if c.x == nil {
		c.x = l.exchange()
		c.x.ready(c)
	}
	x := c.x
	l.e.stats.Violation(bad)
	x.last = true
	x.request.done = true
	c.start = len(c.in)
	x.used = 0
	x.response.begin(wire.FramingNone, 0, false)
	l.sendLast(c, wire.Refusal(bad, x.parser.IsHead(), time.Now()))
}

// refuseBody answers a request whose body breaks its framing, or does not come, unless the response is on its way already.
func (l *loop) refuseBody(c *Conn, bad *wire.Error) {
	x := c.x
	x.Failure, x.Err = FailClient, bad
	if bad == wire.BodyTimeout && !x.replied && x.Status == 0 && l.e.director.Failed(&x.Trip, FailClient, bad) == Refuse && x.Status != 0 {
		l.refuse(c)
		return
	}
	if c.stream != nil && !x.replied {
		l.dropOf(x)
		x.Status = bad.Status
		l.refuseStream(c, bad, x.parser.IsHead())
		return
	}
	if bad != wire.BodyTimeout { // a bound of the configuration
		l.e.stats.Violation(bad)
	}
	if x.replied {
		l.fail(c, FailClient, bad)
		return
	}
	l.dropOf(x)
	x.last, x.Status = true, bad.Status
	x.response.begin(wire.FramingNone, 0, false)
	l.sendLast(c, wire.Refusal(bad, x.parser.IsHead(), time.Now()))
}

// sendLast sends a response that is complete.
func (l *loop) sendLast(c *Conn, b []byte) {
	l.parts = append(l.parts[:0], b)
	c.phase = phaseFlush
	c.x.progress = l.now
	if e := l.send(&c.sock); e != 0 {
		l.fail(c, FailClient, e)
		return
	}
	l.finishOut(c)
}

// finishOut sends what the client has not taken, and then ends the request.
func (l *loop) finishOut(c *Conn) {
	x := c.x
	before := c.at
	state, e, _ := l.pump(&x.response, nil, &c.sock, nil)
	if c.at != before {
		x.progress = l.now
	}
	switch state {
	case pumpDone:
		if !x.last || l.farewell(c) {
			l.complete(c)
		}
	case pumpTargetFailed:
		l.fail(c, FailClient, e)
	}
}

// complete ends a request whose response has been taken.
func (l *loop) complete(c *Conn) {
	if c.stream != nil {
		l.completeStream(c)
		return
	}
	x := c.x
	l.account(c)
	c.served = true
	c.working.Store(false)
	c.since.Store(int64(l.now))
	if x.last {
		l.linger(c)
		return
	}
	c.start += x.used
	if c.ahead != nil {
		l.bufs.put(c.in)
		c.in, c.start, c.ahead = c.ahead, 0, nil
	}
	if c.start == len(c.in) {
		l.rest(c)
		return
	}
	c.phase = phaseIdle // readHead makes a head of what is there
}

// fail ends a connection in the middle of something.
func (l *loop) fail(c *Conn, kind Failure, err error) {
	if c.stream != nil {
		l.failStream(c, kind, err)
		return
	}
	if c.mux != nil {
		l.dropMux(c.mux, kind, err)
	}
	if x := c.x; x != nil {
		l.dropOf(x)
		x.Failure, x.Err = kind, err
		if x.replied && kind != FailClient && !x.response.chunk && x.response.framing != wire.FramingLength {
			resetOnClose(c.fd) // an end of the stream could look like the end of the body
		}
	}
	l.end(c)
}

// linger closes the connection for writing and drops what the client still sends until it closes too, the time is up or it has sent too much: closing with
// unread data would reset the connection, and a reset can take the response from the client's buffer (RFC 9112 section 9.6).
func (l *loop) linger(c *Conn) {
	l.farewell(c)
	if c.limits.Wire.Linger < 0 || rawShutdown(c.fd) != 0 {
		l.end(c)
		return
	}
	if c.mux != nil {
		l.dropMux(c.mux, FailClient, errGone)
		c.mux = nil
	}
	l.rest(c)
	l.bufs.put(c.ahead)
	c.ahead = nil
	c.phase, c.begun = phaseLinger, l.now
	c.ready |= canRead
	l.lingerOn(c)
}

func (l *loop) lingerOn(c *Conn) {
	for c.is(canRead) {
		n, e := c.read(l.scratch)
		if e == unix.EAGAIN {
			return
		}
		c.dropped += n
		if n == 0 || c.dropped > c.limits.Wire.LingerBytes {
			l.end(c)
			return
		}
	}
}

// end closes the connection and tells the director.
func (l *loop) end(c *Conn) {
	if c.phase <= phaseHead && !c.is(broken) {
		l.farewell(c)
	}
	if !l.takeOut(c) {
		return
	}
	rawClose(c.fd)
	l.e.director.Gone(c)
}

// takeOut takes c out of the loop, with everything that it had.
func (l *loop) takeOut(c *Conn) bool {
	if c.phase == phaseOver {
		return false
	}
	if c.mux != nil {
		l.dropMux(c.mux, FailClient, errGone)
		c.mux = nil
	}
	if x := c.x; x != nil {
		l.dropOf(x)
		l.account(c)
		l.returnPipe(&x.response)
	}
	l.dropOut(&c.sock)
	l.rest(c)
	l.bufs.put(c.ahead)
	c.ahead = nil
	c.phase = phaseOver
	c.working.Store(false)
	l.wheel.cancel(&c.timer)
	l.giveBack(c.slot)
	l.uncount()
	return true
}

// goAway gives the connection to the other engine, with everything that has been read and not answered.
func (l *loop) goAway(c *Conn) {
	if c.stream != nil {
		l.goFar(c)
		return
	}
	if c.blocked() { // an answer of TLS's own that the client does not take: without it what follows could not be read
		if flushed, e := l.flush(&c.sock); !flushed || e != 0 {
			l.end(c)
			return
		}
	}
	rest := append([]byte(nil), c.in[c.start:]...)
	l.unregister(c.fd)
	if l.takeOut(c) {
		l.e.director.Away(c, c.fd, rest)
	}
}
