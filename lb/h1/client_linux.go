package h1

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// loopConn is what a loop keeps of a client's connection: no buffer and no exchange while it is idle.
type loopConn struct {
	sock
	l      *loop
	limits *Limits
	timer  timer
	x      *exchange
	in     []byte // in[start:] has been read and belongs to requests without an answer
	start  int
	ahead  []byte // what was read behind a streamed body
	mux    *mux   // HTTP/2 is spoken on it; nil while it is not

	phase   phase
	queued  bool // it is among loop.again
	letGo   bool
	served  bool          // it has had a request, here or elsewhere
	headDue time.Duration // by when the head in work must be complete
	begun   time.Duration // when the phase began
	dropped int           // bytes, while it lingers

	orders atomic.Uint32 // 1<<order: what has been ordered and not been carried out
}

type phase uint8

const (
	phaseIdle   phase = iota // no byte of a request is there
	phaseHead                // part of a head
	phaseMux                 // it speaks HTTP/2: its requests are Conns of their own
	phaseFar                 // a stream of HTTP/2 that the other engine has
	phaseTrip                // the request is under way
	phaseFlush               // everything for the client has been read, it has not taken all of it
	phaseLinger              // the last response has been sent: what still comes is dropped
	phaseOver
)

// headsAtOnce is how many requests of one connection are dealt with in a turn when each is answered at once.
const headsAtOnce = 32

// clientEvent is told that something about c has changed.
func (l *loop) clientEvent(c *Conn) {
	switch c.phase {
	case phaseTrip, phaseFlush:
		if c.is(broken) {
			l.fail(c, FailClient, errGone)
			return
		}
		l.goOn(c)
	case phaseLinger:
		l.lingerOn(c)
	case phaseMux:
		if c.mux.block.since == 0 {
			l.refresh(c)
		}
		l.muxEvent(c)
	}
}

// refresh has c keep to the limits that are in force now.
func (l *loop) refresh(c *Conn) {
	if l.e.latest == nil {
		return
	}
	if m := l.e.latest(c); m != nil {
		c.limits = m
	}
}

// goOn brings forward whatever c is at.
func (l *loop) goOn(c *Conn) {
	switch c.phase {
	case phaseTrip:
		l.relay(c)
	case phaseFlush:
		l.finishOut(c)
	case phaseLinger:
		l.lingerOn(c)
	case phaseMux:
		l.muxEvent(c)
	}
}

// settle comes after everything that happened to c: it looks for the next request and sets the deadline.
func (l *loop) settle(c *Conn) {
	for n := 0; c.phase <= phaseHead; n++ {
		if c.letGo {
			l.goAway(c)
			return
		}
		if n == headsAtOnce {
			l.goLater(c)
			break
		}
		if !l.readHead(c) {
			break
		}
	}
	if c.phase == phaseMux {
		l.settleMux(c)
	}
	if c.phase != phaseOver {
		l.setDeadline(c)
	}
}

// readHead brings the next head forward. It gives false when more has to come first, or nothing more is to be done.
func (l *loop) readHead(c *Conn) bool {
	if len(c.in) == c.start || c.phase == phaseHead && c.x != nil && c.x.waits {
		if !c.is(canRead) {
			return false
		}
		if more := l.fill(c); !more {
			return false
		}
	}
	if c.x == nil {
		c.x = l.exchange()
	}
	x := c.x
	if c.phase == phaseIdle {
		c.phase = phaseHead
		c.headDue = never
		l.refresh(c)
		x.ready(c)
	}
	done, bad := x.parser.Parse(c.in[c.start:])
	switch {
	case bad != nil && !c.served && c.limits.Wire.HTTP2 && wire.Prefaced(c.in[c.start:], bad):
		if l.e.director.Mux(c) {
			l.beginMux(c)
		} else {
			l.goAway(c)
		}
		return true
	case bad != nil && !c.served && c.limits.Wire.HTTP2 && wire.Stranger(c.in[c.start:], bad):
		l.goAway(c)
		return true
	case bad != nil:
		l.refuseHead(c, bad)
		return true
	case done:
		x.Buf = c.in[c.start:]
		x.Head = &x.parser.Head
		l.direct(c)
		return true
	}
	x.waits = true
	if x.parser.Begun() && c.headDue == never {
		c.headDue = after(l.now, c.limits.Wire.HeadTimeout)
	}
	return c.is(canRead)
}

// fill reads more of a head. It gives false when there was nothing, or the connection is over.
func (l *loop) fill(c *Conn) bool {
	l.makeRoom(c)
	n, e := l.receive(&c.sock, c.in[len(c.in):cap(c.in)])
	switch {
	case n > 0:
		c.in = c.in[:len(c.in)+n]
		c.since.Store(int64(l.now))
		return true
	case e == unix.EAGAIN:
		if len(c.in) == 0 {
			l.rest(c)
		}
		return false
	case e != 0 || c.x == nil || !c.x.parser.Begun():
		l.end(c) // reset, or the end between two requests
		return false
	}
	l.refuseHead(c, wire.HeadCut)
	return false
}

// makeRoom sees to it that there is room behind what has been read. The parser refuses a head before it outgrows the largest buffer.
func (l *loop) makeRoom(c *Conn) {
	switch {
	case c.in == nil:
		c.in = l.bufs.get(bufferSizes[0])
	case len(c.in) < cap(c.in):
	case c.start > 0:
		c.in = c.in[:copy(c.in, c.in[c.start:])]
		c.start = 0
	default:
		larger := append(l.bufs.get(len(c.in)+1), c.in...)
		l.bufs.put(c.in)
		c.in = larger
	}
}

// rest gives back what an idle connection does not need.
func (l *loop) rest(c *Conn) {
	c.phase = phaseIdle
	l.bufs.put(c.in)
	c.in, c.start = nil, 0
	if c.x != nil {
		l.recycle(c.x)
		c.x = nil
	}
}

// direct asks what becomes of the request.
func (l *loop) direct(c *Conn) {
	x := c.x
	h := x.Head
	c.working.Store(true)
	x.Began = Now()
	var special bool
	x.hop, special = oneHop(h.Fields(), x.Buf, h.Framing == wire.FramingChunked)
	if special || h.Upgrade || h.Continue || h.Host.Len == 0 || x.Buf[h.Target.Off] != '/' {
		l.goAway(c)
		return
	}
	if bad := l.measure(x); bad != nil {
		l.refuseHead(c, bad)
		return
	}
	l.askDirect(c)
}

func (l *loop) askDirect(c *Conn) {
	x := c.x
	switch l.e.director.Direct(&x.Trip) {
	case Forward:
		x.counted = true
		c.phase = phaseTrip
		l.depart(c)
	case Wait:
		x.counted, x.waiting = true, waitsInDirect
		c.phase = phaseTrip
	case Away:
		l.leave(c)
	default:
		l.refuse(c)
	}
}

// resumeTrip asks the director again.
func (l *loop) resumeTrip(c *Conn) {
	x := c.x
	if c.phase != phaseTrip || x == nil {
		return
	}
	switch x.waiting {
	case waitsInDirect:
		x.waiting = waitsForNothing
		l.askDirect(c)
	case waitsInAnswer:
		x.waiting = waitsForNothing
		if l.reply(c, x.early) {
			l.relay(c)
		}
	}
}

// measure finds out how much of the buffer belongs to the request, and whether that is all of it.
func (l *loop) measure(x *exchange) *wire.Error {
	h := x.Head
	body := x.Buf[h.End:]
	x.used, x.Whole = h.End, true
	switch h.Framing {
	case wire.FramingLength:
		n := min(h.Length, int64(len(body)))
		x.used += int(n)
		x.Whole = n == h.Length
	case wire.FramingChunked:
		var check wire.Chunked
		n, done, bad := check.Feed(body)
		if bad != nil {
			return bad
		}
		x.used += n
		x.Whole = done
	}
	return nil
}

// after is a moment from now, or never for a bound that is off.
func after(now, d time.Duration) time.Duration {
	if d <= 0 {
		return never
	}
	return now + d
}
