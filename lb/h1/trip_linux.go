package h1

import (
	"errors"
	"io"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

var (
	errGone     = errors.New("h1: the client has closed the connection")
	errClosed   = errors.New("h1: the engine was closed")
	errNoHead   = errors.New("h1: no response head in time")
	errConnect  = errors.New("h1: no connection in time")
	errInterims = errors.New("h1: interim responses without end")
	errSwitched = errors.New("h1: a switch of protocols that nobody asked for")
	errStuck    = errors.New("h1: the other side takes nothing")
	errStalled  = errors.New("h1: nothing of the body in time")
)

// attemptsMost bounds a director that never gives up.
const attemptsMost = 32

// depart hands the request over to an instance for the first time.
func (l *loop) depart(c *Conn) {
	if kind, err := l.attempt(c); kind != FailNone {
		l.attemptFailed(c, kind, err)
		return
	}
	l.relay(c) // what of a body is there may have been told of before
}

// attempt sends the request, or begins to.
func (l *loop) attempt(c *Conn) (Failure, error) {
	x := c.x
	x.Attempts++
	x.Reused, x.Left, x.Heard = false, false, false
	x.cut, x.hung = false, false
	now := x.Began // the director takes no time worth a look at the clock
	if x.Attempts > 1 {
		now = Now()
	}
	u, err := l.connection(x.To, x.To == x.stale)
	if err != nil {
		return FailConnect, err
	}
	x.Reused = u.used
	u.conn, u.used, u.since = c, true, l.now
	x.up = u
	x.answer.Reset(x.parser.IsHead())
	x.progress = l.now
	l.head = x.appendRequest(l.head[:0])
	l.parts = append(l.parts, l.head)
	h := x.Head
	framing := h.Framing
	if c.stream != nil && framing == wire.FramingChunked {
		framing = wire.FramingClose // it comes in frames
	}
	x.request.begin(framing, h.Length, h.Framing == wire.FramingChunked)
	if !x.request.done {
		if _, bad := l.pass(&x.request, x.Buf[h.End:x.used]); bad != nil {
			l.parts = l.parts[:0]
			return FailClient, bad // measure has read the same bytes: cannot be
		}
		x.Received = x.request.moved
	}
	if u.connecting {
		l.keepParts(&u.sock)
		return FailNone, nil
	}
	x.Left, x.Handed = true, now
	if e := l.send(&x.up.sock); e != 0 {
		return FailReset, e
	}
	return FailNone, nil
}

// attemptFailed asks the director what to do after an attempt that gave no response.
func (l *loop) attemptFailed(c *Conn, kind Failure, err error) {
	x := c.x
	if x.hung && kind == FailReset && rawHeard(x.up.fd) {
		l.fail(c, FailClient, errGone)
		return
	}
	for {
		if kind == FailReset && x.Reused && !x.Heard {
			x.stale = x.up.origin
			l.disown(x.up)
		}
		l.dropOf(x)
		x.Failure, x.Err = kind, err
		verdict := l.e.director.Failed(&x.Trip, kind, err)
		switch {
		case verdict == Forward && x.Whole && x.Attempts < attemptsMost:
			x.Failure, x.Err = FailNone, nil
			if kind, err = l.attempt(c); kind == FailNone {
				l.relay(c)
				return
			}
			continue
		case verdict == Away && (x.Whole || kind == FailConnect): // before there is a connection nothing is read that is not in the buffer
			l.leave(c)
			return
		}
		if x.Status == 0 {
			x.Status = 502
			if kind == FailTimeout {
				x.Status = 504
			}
		}
		l.refuse(c)
		return
	}
}

// leave gives a request that had been sent to the other engine.
func (l *loop) leave(c *Conn) {
	c.x.Status = 0
	l.account(c)
	l.goAway(c)
}

// account tells the director the end of the trip, once.
func (l *loop) account(c *Conn) {
	x := c.x
	if x == nil || !x.counted {
		return
	}
	x.counted = false
	waits := len(c.out) - c.at
	if p := x.response.pipe; p != nil {
		waits += p.n
	}
	x.Sent = max(x.response.moved-int64(waits), 0)
	l.e.director.Done(&x.Trip)
}

// upEvent is told that something about the connection to an instance has changed.
func (l *loop) upEvent(u *upstream) {
	c := u.conn
	if u.connecting {
		if !u.is(broken) && !u.is(canWrite) {
			return
		}
		if e := rawSocketError(u.fd); e != 0 {
			l.attemptFailed(c, FailConnect, e)
			return
		}
		u.connecting = false
		x := c.x
		x.Left, x.Handed, x.progress = true, Now(), l.now
	}
	l.relay(c)
}

// relay brings the request and the response forward as far as both sides allow.
func (l *loop) relay(c *Conn) {
	x := c.x
	if x.up == nil {
		return
	}
	if x.up.connecting {
		return
	}
	if !x.cut && (!x.request.done || x.up.blocked() || x.request.pipe != nil) {
		if !l.upload(c) {
			return
		}
	}
	if c.stream == nil && c.is(ended) {
		l.passEnd(c)
	}
	l.download(c)
}

// passEnd tells the instance that the client has ended its stream behind this request. Nobody can tell a client that has closed its socket from one that only has nothing more
// to say and waits for the response: so the instance decides, as it would if the client had come to it. One that gives up then has not failed (see attemptFailed); one that
// has closed its own side before it heard of that has done so for another reason. Over TLS the end below it counts, which no client that waits for something sends.
func (l *loop) passEnd(c *Conn) {
	x := c.x
	if x.hung || x.cut || !x.request.done || x.up.blocked() || x.request.pipe != nil || c.ahead != nil || c.start+x.used < len(c.in) || c.tls == nil && !rawEnded(c.fd) {
		return
	}
	if rawEnded(x.up.fd) {
		return
	}
	x.hung = rawShutdown(x.up.fd) == 0
}

// upload brings the request's body forward. It gives false when the trip is over.
func (l *loop) upload(c *Conn) bool {
	x := c.x
	moved := x.request.moved
	state, e, bad := l.pump(&x.request, &c.sock, &x.up.sock, c)
	if x.request.moved != moved {
		x.Received = x.request.moved
		x.progress = l.now
		c.since.Store(int64(l.now))
	}
	switch state {
	case pumpAgain:
		l.goLater(c)
	case pumpTargetFailed:
		// It may have answered before it closed: what it has sent is read first. What the client has yet to send of the request has no reader any more.
		x.cut, x.last = true, x.last || !x.Whole
		l.dropOut(&x.up.sock)
		x.up.ready |= canRead
		_ = e
	case pumpSourceFailed:
		if e == 0 && !x.replied {
			l.refuseBody(c, wire.BodyCut)
			return false
		}
		l.fail(c, FailClient, errGone)
		return false
	case pumpBad:
		l.refuseBody(c, bad)
		return false
	}
	return true
}

// download brings the response forward.
func (l *loop) download(c *Conn) {
	x := c.x
	for !x.replied {
		if x.waiting != waitsForNothing || !x.up.is(canRead) {
			return
		}
		if c.stream != nil && c.stream.m.room() <= 0 {
			c.stream.m.starved = true
			return
		}
		if !l.readAnswer(c) {
			return
		}
	}
	moved := x.response.moved
	state, e, bad := l.pump(&x.response, &x.up.sock, &c.sock, nil)
	if x.response.moved != moved {
		x.progress = l.now
		c.since.Store(int64(l.now))
	}
	switch state {
	case pumpAgain:
		l.goLater(c)
	case pumpTargetFailed:
		l.fail(c, FailClient, e)
	case pumpSourceFailed:
		var err error = e
		if e == 0 {
			err = io.ErrUnexpectedEOF
		}
		l.fail(c, FailCut, err)
	case pumpBad:
		l.fail(c, FailCut, bad)
	}
	if c.phase == phaseTrip && c.x == x && x.response.done {
		l.release(x)
		c.phase = phaseFlush
		l.finishOut(c)
	}
}

// readAnswer reads some of a response's head. It gives false when there is nothing to go on with.
func (l *loop) readAnswer(c *Conn) bool {
	x, u := c.x, c.x.up
	var n int
	var e syscall.Errno
	var b []byte
	if x.early == nil {
		most := firstRead
		if c.stream != nil {
			most = min(most, max(c.stream.open(), shutRead))
		}
		n, e = u.read(l.scratch[:most])
		b = l.scratch[:n]
	} else {
		if len(x.early) == cap(x.early) {
			larger := append(l.bufs.get(len(x.early)+1), x.early...)
			l.bufs.put(x.early)
			x.early = larger
		}
		n, e = u.read(x.early[len(x.early):cap(x.early)])
		x.early = x.early[:len(x.early)+n]
		b = x.early
	}
	switch {
	case e == unix.EAGAIN:
		return false
	case e != 0:
		l.attemptFailed(c, FailReset, e)
		return false
	case n == 0:
		l.attemptFailed(c, FailReset, io.ErrUnexpectedEOF)
		return false
	}
	x.Heard = true
	return l.parseAnswer(c, b)
}

// firstRead is enough for a head and a usual body. It is not more, because large bodies go on without being copied.
const firstRead = 32 << 10

// parseAnswer takes the heads in b, which begins with one. It gives false when the trip is over.
func (l *loop) parseAnswer(c *Conn, b []byte) bool {
	x := c.x
	for {
		done, bad := x.answer.Parse(b)
		if bad != nil {
			l.attemptFailed(c, FailBad, bad)
			return false
		}
		if !done {
			l.keepEarly(x, b)
			return true
		}
		a := &x.answer.Answer
		if a.Status >= 200 {
			return l.reply(c, b)
		}
		if x.interim++; a.Switched || x.interim > c.limits.Interim {
			err := errInterims
			if a.Switched {
				err = errSwitched
			}
			l.attemptFailed(c, FailBad, err)
			return false
		}
		if a.Status != 100 && x.Head.Minor == 1 { // we answer nobody's Expect, and HTTP/1.0 knows none
			if c.stream != nil {
				if c.stream.m.waiting() > muxStuffed {
					l.fail(c, FailClient, errStuck)
					return false
				}
				l.interimStream(c, a, b)
			} else if e := l.sendInterim(c, a, b); e != 0 {
				l.fail(c, FailClient, e)
				return false
			}
			if len(c.out)-c.at > interimWaiting {
				l.fail(c, FailClient, errStuck)
				return false
			}
		}
		b = b[a.End:]
		x.answer.Reset(x.parser.IsHead())
		x.progress = l.now
	}
}

// sendInterim sends the head of an interim response.
func (l *loop) sendInterim(c *Conn, a *wire.Answer, b []byte) syscall.Errno {
	l.head = appendInterim(l.head[:0], a, b, &l.interim, l.interimHop(c, a, b))
	l.parts = append(l.parts, l.head)
	return l.send(&c.sock)
}

// interimHop has the director edit an interim response, and gives the lines that stay here: those of one hop, and those that only the director adds.
func (l *loop) interimHop(c *Conn, a *wire.Answer, b []byte) lines {
	fields := a.Fields()
	hop, _ := oneHop(fields, b, false)
	for i := range fields {
		if l.e.isOwn(fields[i].Name.Of(b)) {
			hop.add(i)
		}
	}
	l.interim.Reset()
	l.e.director.Interim(&c.x.Trip, &l.interim, fields, b)
	return hop
}

// interimWaiting bounds what of interim responses waits for a client: a few KiB each is what they have.
const interimWaiting = 64 << 10

// keepEarly keeps the part of a head that has come. b may be a part of what is kept already.
func (l *loop) keepEarly(x *exchange, b []byte) {
	if x.early == nil {
		x.early = append(l.bufs.get(max(len(b)+1, bufferSizes[0])), b...)
		return
	}
	if len(b) < len(x.early) {
		x.early = x.early[:copy(x.early, b)]
	}
}

// reply sends the head of the final response, with what of its body has come: b[End:].
func (l *loop) reply(c *Conn, b []byte) bool {
	x := c.x
	a := &x.answer.Answer
	x.Answer, x.AnswerBuf, x.Status = a, b, a.Status
	if x.Answered == 0 {
		x.Answered = Now()
	}
	switch verdict := l.e.director.Answer(&x.Trip); {
	case verdict == Forward:
	case verdict == Away && x.Whole && x.Repeatable:
		l.dropOf(x)
		l.leave(c)
		return false
	case verdict == Wait:
		l.keepEarly(x, b)
		x.waiting, x.AnswerBuf = waitsInAnswer, nil
		return false
	default:
		l.dropOf(x)
		x.Failure = FailBad
		if verdict == Away {
			x.Status = 502
		}
		l.refuse(c)
		return false
	}
	x.Status = a.Status
	x.last = x.last || !x.Head.KeepAlive || c.Retired() || !x.request.done
	x.response.begin(a.Framing, a.Length, false)
	x.response.chunks.ResetAnswer()
	if c.stream == nil {
		l.head = x.appendAnswer(l.head[:0], l.date.line(l.now))
		l.parts = append(l.parts, l.head)
	}
	heads := len(l.parts)
	taken, bad := l.pass(&x.response, b[a.End:])
	x.response.surplus = taken < len(b)-a.End
	x.replied = true
	x.progress = l.now
	var e syscall.Errno
	if bad != nil {
		l.parts = l.parts[:heads]
	}
	if c.stream != nil {
		l.answerStream(c)
	}
	e = l.send(&c.sock)
	x.AnswerBuf = nil
	l.bufs.put(x.early)
	x.early = nil
	switch {
	case bad != nil:
		l.fail(c, FailCut, bad)
		return false
	case e != 0:
		l.fail(c, FailClient, e)
		return false
	}
	return true
}
