package wire

import (
	"errors"
	"io"
)

// errExpired says that the guard's own deadline passed.
var errExpired = errors.New("wire: guard deadline")

// Read passes on bytes of accepted requests. It gives io.EOF after a refused
// head, when the answer has been sent, and a *Error where a body breaks its
// framing, after the good bytes before.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		var n int
		var err error
		switch c.state {
		case inHead:
			n, err = c.readHead(p)
		case inPass:
			n = c.passHead(p)
		case inLength:
			n, err = c.readLength(p)
		case inChunked:
			n, err = c.readChunked(p)
		case inHold:
			err = c.hold()
		case inRaw:
			return c.take(p)
		case inFault:
			return c.readFault(p)
		case inBroken:
			// Whoever reads again wants the next request: net/http takes what it has left of the body for one, when the answer had left before the
			// body broke, and would answer that too.
			if c.told {
				c.watch.Store(uint32(watchSealed))
				c.state = inEnd
				return 0, io.EOF
			}
			c.told = true
			return 0, c.body.Load()
		case inEnd:
			return 0, io.EOF
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// readHead brings a head forward. It reads straight into p when nothing is
// waiting and p can hold a usual head: then nothing is copied.
func (c *Conn) readHead(p []byte) (int, error) {
	if c.parser == nil && c.waiting() == 0 {
		return c.firstRead(p)
	}
	if c.parser == nil {
		c.beginHead()
	}
	done, bad := c.parser.Parse(c.buf[c.at:])
	if bad != nil {
		if c.preface(c.buf[c.at:], bad) {
			return 0, io.EOF
		}
		return 0, c.refuse(c.strange(c.buf[c.at:], bad))
	}
	if done {
		head := &c.parser.Head
		c.at += head.Start
		c.pass = head.End - head.Start
		c.state = inPass
		return 0, c.accept(head)
	}
	if err := c.timeHead(p); err != nil {
		return 0, err
	}
	return 0, c.headError(c.fill())
}

// lookout tells a read that only looks out for the client's end from one that
// wants a request: net/http asks for one byte while a handler runs, otherwise
// for what its buffer holds. A handler may take as long as it likes, so there
// must be no idle time-out then.
func lookout(p []byte) bool { return len(p) < smallBuffer/2 }

// beginHead takes a parser, with the limits of this moment.
func (c *Conn) beginHead() {
	c.limits = c.own.limits.Load()
	c.parser = c.own.parser(c.limits)
}

// timeHead sets the deadline for the rest of a head. An old client may send an
// empty line after a body and then nothing for long (RFC 9112 section 2.2):
// that does not begin a head, the connection is idle.
func (c *Conn) timeHead(p []byte) error {
	l := c.limits
	switch begun := c.parser.Begun(); {
	case begun && c.timed:
		return nil
	case begun && l.HeadTimeout > 0:
		c.timed = true
		return c.arm(l.HeadTimeout)
	case !begun && !lookout(p):
		return c.armIdle()
	}
	return c.disarm()
}

// armIdle sets the deadline for the first byte of a head. A connection that
// has not sent anything yet is bounded in any case: net/http has no limit for
// it unless ReadHeaderTimeout is set.
func (c *Conn) armIdle() error {
	c.idle = true
	if err := c.armFirst(); err != nil {
		return err
	}
	c.base = c.guard
	return c.armRetired()
}

// armFirst sets the deadline that holds for every connection.
func (c *Conn) armFirst() error {
	if c.parser == nil {
		c.limits = c.own.limits.Load()
	}
	d := c.limits.Idle
	if !c.served && c.limits.First != 0 {
		d = c.limits.First
	} else if !c.served && d <= 0 {
		d = c.limits.HeadTimeout
	}
	if d <= 0 {
		return c.disarm()
	}
	return c.arm(d)
}

// firstRead waits for the first bytes of a head.
func (c *Conn) firstRead(p []byte) (int, error) {
	if lookout(p) {
		return 0, c.idleError(c.fill())
	}
	if err := c.armIdle(); err != nil {
		return 0, err
	}
	n, err := c.readUnder(p[:min(len(p), smallBuffer)])
	if err != nil {
		return 0, c.idleError(err)
	}
	if err := c.disarm(); err != nil {
		return 0, err
	}
	c.beginHead()
	done, bad := c.parser.Parse(p[:n])
	switch {
	case bad != nil && c.preface(p[:n], bad):
		return 0, io.EOF
	case bad != nil:
		return 0, c.refuse(c.strange(p[:n], bad))
	case !done:
		c.stash(p[:n])
		return 0, nil
	}
	start, end := c.parser.Head.Start, c.parser.Head.End
	c.stash(p[end:n])
	copy(p, p[start:end])
	if err := c.accept(&c.parser.Head); err != nil {
		return 0, err
	}
	c.headPassed()
	return end - start, nil
}

// accept notes what the rest of the message needs and gives the parser back.
func (c *Conn) accept(head *Head) error {
	c.framing, c.left, c.upgrade = head.Framing, head.Length, head.Upgrade
	c.endHead()
	return c.disarm()
}

func (c *Conn) passHead(p []byte) int {
	n := copy(p, c.buf[c.at:c.at+c.pass])
	c.pass -= n
	c.consume(n)
	if c.pass == 0 {
		c.headPassed()
	}
	return n
}

// headPassed runs when the last byte of a head goes to the server.
func (c *Conn) headPassed() {
	c.served = true
	if c.upgrade {
		c.openWatch()
	}
	switch c.framing {
	case FramingLength:
		c.state = inLength
	case FramingChunked:
		c.state, c.chunks = inChunked, Chunked{}
	default:
		c.messagePassed()
	}
}

// messagePassed runs when the last byte of a message goes to the server.
func (c *Conn) messagePassed() {
	c.state = inHead
	if c.upgrade {
		c.state = inHold
	}
}

func (c *Conn) readLength(p []byte) (int, error) {
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.take(p)
	c.left -= int64(n)
	if c.left == 0 {
		c.messagePassed()
	}
	return n, err
}

func (c *Conn) readChunked(p []byte) (int, error) {
	if c.chunks.state == trailerStart {
		return 0, c.readTrailer()
	}
	fresh := c.waiting() == 0
	if fresh && len(p) > smallBuffer {
		p = p[:min(len(p), c.limits.Head)] // what follows the body must fit into a buffer
	}
	var n int
	var err error
	if fresh {
		if n, err = c.readUnder(p); err != nil {
			return 0, err
		}
	} else {
		n = copy(p, c.buf[c.at:])
	}
	good, bad := c.chunks.feed(p[:n], trailerStart)
	done := false
	if bad == nil && c.chunks.state == trailerStart {
		all := c.chunks // the usual end is here too
		var more int
		if more, done, _ = all.Feed(p[good:n]); done {
			good += more
		}
	}
	if fresh {
		c.stash(p[good:n])
	} else {
		c.consume(good)
	}
	switch {
	case bad != nil:
		c.spoil(bad)
	case done:
		c.messagePassed()
	}
	return good, nil
}

// readTrailer keeps the trailer section until it is whole and sound: what of a broken one has passed would be taken for the next request by a server that
// goes on after the error. It is small (maxTrailers), so to check it again with each piece is cheap.
func (c *Conn) readTrailer() error {
	all := c.chunks
	n, done, bad := all.Feed(c.buf[c.at:])
	switch {
	case bad != nil:
		c.spoil(bad)
	case done:
		c.left, c.state = int64(n), inLength
	default:
		return c.fill()
	}
	return nil
}

// hold waits for the outcome of an upgrade. What the client sends meanwhile is
// kept: whether it is the new protocol or another request is not known yet.
// Reading on lets the server notice a client that goes away.
func (c *Conn) hold() error {
	switch watchState(c.watch.Load()) {
	case watchOpen:
		if c.waiting() >= c.limits.Head {
			return c.waitOutcome()
		}
		return c.fill()
	case watchSwitched:
		c.state = inRaw
	default:
		c.state, c.upgrade = inHead, false
	}
	return nil
}

// take gives waiting bytes first, then those of the connection below.
func (c *Conn) take(p []byte) (int, error) {
	if c.waiting() == 0 {
		return c.readUnder(p)
	}
	n := copy(p, c.buf[c.at:])
	c.consume(n)
	return n, nil
}
