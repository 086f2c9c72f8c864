package h1

import (
	"fmt"
	"os"
	"time"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// deadline gives when c has waited too long for what it waits for, and for what.
func (l *loop) deadline(c *Conn) (time.Duration, waitsFor) {
	m := c.limits
	if st := c.stream; st != nil && st.shut != 0 && c.x != nil {
		return min(l.shutDue(st), after(c.x.progress, m.Write)), waitWindow
	}
	switch c.phase {
	case phaseIdle:
		return l.idleDeadline(c)
	case phaseHead:
		if c.x == nil || !c.x.parser.Begun() {
			return l.idleDeadline(c)
		}
		return c.headDue, waitHead
	case phaseMux:
		return l.muxDeadline(c), waitEnd
	case phaseFar:
		return never, waitEnd
	case phaseFlush:
		return after(c.x.progress, m.Write), waitClient
	case phaseLinger:
		return after(c.begun, m.Wire.Linger), waitEnd
	}
	x := c.x
	switch u := x.up; {
	case u == nil || x.waiting != waitsForNothing:
		return never, waitEnd // the director's
	case u.connecting:
		return after(x.progress, m.Connect), waitConnect
	case x.replied && (c.blocked() || x.response.pipe != nil):
		return after(x.progress, m.Write), waitClient
	case !x.cut && (u.blocked() || x.request.pipe != nil):
		d := x.Timeout
		switch {
		case x.replied: // it may read on when it has said all
			d = m.AnswerBody
		case d <= 0:
			d = m.Write
		}
		return after(x.progress, d), waitInstance
	case !x.cut && !x.request.done:
		if due := after(x.progress, m.AnswerBody); x.replied && due < after(x.progress, m.Body) {
			return due, waitInstance
		}
		return after(x.progress, m.Body), waitBody
	case !x.replied:
		return after(x.progress, x.Timeout), waitInstance
	}
	return after(x.progress, m.AnswerBody), waitInstance
}

// errStalledBody is a time-out for whoever asks, too.
var errStalledBody = fmt.Errorf("%w: %w", errStalled, os.ErrDeadlineExceeded)

type waitsFor uint8

const (
	waitEnd      waitsFor = iota // nothing but the time itself
	waitHead                     // the rest of a head
	waitBody                     // more of a request's body
	waitClient                   // the client to take something
	waitWindow                   // the client to open a window
	waitConnect                  // a connection to an instance
	waitInstance                 // the instance to take or to send something
)

// idleDeadline is for a connection without a request. One that has had none yet may have less time (wire.Limits.First).
func (l *loop) idleDeadline(c *Conn) (time.Duration, waitsFor) {
	since := time.Duration(c.since.Load())
	due := after(since, c.limits.Wire.Idle)
	if first := c.limits.Wire.First; !c.served && first > 0 {
		due = min(due, after(since, first))
	}
	if quiet := c.quiet.Load(); quiet != 0 {
		due = min(due, since+time.Duration(quiet))
	}
	return due, waitEnd
}

func (l *loop) setDeadline(c *Conn) {
	due, _ := l.deadline(c)
	l.wheel.set(&c.timer, due)
}

// connExpired is told that the time of c may be over.
func (l *loop) connExpired(c *Conn) {
	due, what := l.deadline(c)
	if due > l.now {
		return // settle sets it again
	}
	if c.phase == phaseMux {
		l.muxExpired(c)
		return
	}
	switch what {
	case waitHead:
		l.refuseHead(c, wire.HeadTimeout)
	case waitBody:
		l.refuseBody(c, wire.BodyTimeout)
	case waitClient:
		l.fail(c, FailClient, errStuck)
	case waitWindow:
		l.shutExpired(c)
	case waitConnect:
		l.attemptFailed(c, FailConnect, errConnect)
	case waitInstance:
		if c.x.replied {
			l.fail(c, FailCut, errStalledBody)
		} else {
			l.attemptFailed(c, FailTimeout, errNoHead)
		}
	default:
		if c.phase == phaseLinger {
			l.end(c)
			return
		}
		l.linger(c) // idle for too long: the end of the stream goes first, so that a request on its way is not answered by a reset
	}
}
