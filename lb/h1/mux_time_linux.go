package h1

import "time"

// settleMux comes after everything that happened to a connection of HTTP/2: it sees to its end.
func (l *loop) settleMux(c *Conn) {
	m := c.mux
	c.working.Store(len(m.streams) > 0)
	switch {
	case c.quiet.Load() == 0:
		m.finalDue = never
	case !m.noticed:
		m.noticed = true
		m.goAwayWith(l, everyStream, codeNone)
		fallthrough
	case m.finalDue == never && !m.final:
		m.finalDue = l.now + muxNotice
	}
	if m.final && m.done() {
		l.closeMux(c, codeNone, errGone)
	}
}

// done reports whether all requests have their answers, and the client has taken them.
func (m *mux) done() bool { return len(m.streams) == 0 && m.waiting() == 0 }

// muxDeadline gives when a connection of HTTP/2 has waited too long for what it waits for.
func (l *loop) muxDeadline(c *Conn) time.Duration {
	m := c.mux
	due := m.finalDue
	if m.waiting() > 0 {
		due = min(due, m.taken+muxStuck)
	}
	if m.block.since != 0 {
		due = min(due, after(m.block.since, c.limits.Wire.HeadTimeout))
	}
	switch {
	case len(m.streams) == 0:
		if c.quiet.Load() == 0 && m.done() {
			idle, _ := l.idleDeadline(c)
			due = min(due, idle)
		}
		if m.roomy() {
			due = min(due, m.heard+muxRest)
		}
	case m.asked != never:
		due = min(due, m.asked+muxAnswer)
	default:
		due = min(due, m.heard+muxQuiet)
	}
	return due
}

// roomy reports whether the connection has room for more than one request at once: idle ones are many.
func (m *mux) roomy() bool { return len(m.unused) > 1 }

// rest keeps the room of one request. Also a map that has been large stays so.
func (m *mux) rest() {
	m.unused = []*Conn{m.unused[0]}
	m.streams = map[uint32]*Conn{}
}

// muxExpired is told that the time of something may be over.
func (l *loop) muxExpired(c *Conn) {
	m := c.mux
	switch {
	case m.waiting() > 0 && l.now >= m.taken+muxStuck:
		l.fail(c, FailClient, errStuck)
	case m.block.since != 0 && l.now >= after(m.block.since, c.limits.Wire.HeadTimeout):
		l.breakMux(c, errHeadSlow)
	case l.now >= m.finalDue:
		m.finalDue, m.final = never, true
		m.goAwayWith(l, m.last, codeNone)
	case len(m.streams) == 0:
		if m.roomy() && l.now >= m.heard+muxRest {
			m.rest()
		}
		if idle, _ := l.idleDeadline(c); l.now >= idle && c.quiet.Load() == 0 && m.done() {
			l.closeMux(c, codeNone, errGone)
		}
	case m.asked != never && l.now >= m.asked+muxAnswer:
		l.fail(c, FailClient, errGone)
	case m.asked == never && l.now >= m.heard+muxQuiet:
		m.asked = l.now
		m.frame(l, framePing, 0, 0, 8)
		m.out = append(m.out, "holdfast"...)
	}
}

// shutDue gives when a response has waited too long for its client to open a window. Where only the connection is in its way it has its turn some time, as long as anything moves there.
func (l *loop) shutDue(st *stream) time.Duration {
	since := st.shut
	if st.window > 0 {
		since = max(since, st.m.flowed)
	}
	if st.spared {
		return since + l.e.shut
	}
	return since + l.e.shutMany
}

// shutExpired ends a response that has waited too long, unless it is one of few on its connection and may wait for longer.
func (l *loop) shutExpired(s *Conn) {
	st := s.stream
	if st.spared || l.now >= after(s.x.progress, s.limits.Write) {
		l.endShut(s)
		return
	}
	waiting := 0
	for _, other := range st.m.streams {
		if o := other.stream; o.shut != 0 && (o.spared || l.shutDue(o) <= l.now) {
			waiting++
		}
	}
	if st.spared = waiting <= shutFew; !st.spared {
		l.endShut(s)
	}
}

func (l *loop) endShut(s *Conn) {
	l.e.stats.Violation(errShut.why)
	l.fail(s, FailClient, errStuck)
}
