package h1

import (
	"net/http"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// stream is what a request of HTTP/2 has in place of a socket.
type stream struct {
	m      *mux
	conn   *Conn // its own
	id     uint32
	far    bool   // the other engine has it, and these are all that is left of it here:
	farID  uint32 // its number there
	last   bool   // the body ends with what waits of it in sock.out
	tail   []byte // frames that come after that: trailers, a reset
	window int64  // bytes of DATA that the client takes
	takes  int64  // bytes that the client may still send

	shut   time.Duration // since when the response waits for a window; 0: it does not
	spared bool          // it may wait for longer than many

	declared, got int64 // bytes of its body: as it says, -1 when it does not, and so far
	consumed      int64 // of them, not told of yet
	body          []byte
	at            int  // body[at:] has come, and nobody has taken it
	ended         bool // the client has said all
	headed        bool // the head of the final response has been sent
	said          bool // so has the end of the stream

	before, behind *stream // in mux.hungry
	waits          bool    // it is there
}

// line is streams in the order in which they have their turn.
type line struct{ first, last *stream }

func (q *line) add(st *stream) {
	if st.waits {
		return
	}
	st.waits, st.before, st.behind = true, q.last, nil
	if q.last == nil {
		q.first = st
	} else {
		q.last.behind = st
	}
	q.last = st
}

func (q *line) remove(st *stream) {
	if !st.waits {
		return
	}
	if st.before == nil {
		q.first = st.behind
	} else {
		st.before.behind = st.behind
	}
	if st.behind == nil {
		q.last = st.before
	} else {
		st.behind.before = st.before
	}
	st.waits, st.before, st.behind = false, nil, nil
}

var (
	errMalformed  = &wire.Error{Status: http.StatusBadRequest, Reason: "HTTP/2: malformed request"}
	errBound      = &wire.Error{Status: http.StatusBadRequest, Reason: "HTTP/2: field of a connection"}
	errListLong   = &wire.Error{Status: http.StatusRequestHeaderFieldsTooLarge, Reason: "request head too large"}
	errBodyLength = &wire.Error{Status: http.StatusBadRequest, Reason: "body and Content-Length differ"}
)

// open begins the stream whose header block has been read.
func (l *loop) open(m *mux) {
	b := &m.block
	m.c.served = true
	if bad := b.wrong(); bad != nil {
		l.e.stats.Violation(bad)
		m.broken()
		m.word(l, frameReset, b.id, codeProtocol)
		return
	}
	s := l.newStream(m)
	x, st := s.x, s.stream
	x.Began = Now()
	l.e.director.Stream(s, m.c)
	defer l.settle(s)
	switch {
	case b.large:
		l.refuseStream(s, errListLong, b.method == http.MethodHead)
		return
	case b.method == http.MethodConnect:
		l.sendFar(s, l.appendFar(l.head[:0], m))
		return
	}
	s.in = l.appendText(l.bufs.get(len(l.fields)+len(l.cookie)+len(b.path)+len(b.authority)+256), b)
	x.Buf = s.in
	done, bad := x.parser.Parse(s.in)
	h := &x.parser.Head
	x.Head = h
	switch {
	case bad != nil:
	case !done || !b.readsBack(h, s.in):
		bad = errMalformed
	case b.end && h.Framing != wire.FramingNone:
		bad = errBodyLength
	}
	if bad != nil {
		l.refuseStream(s, bad, b.method == http.MethodHead)
		return
	}
	if b.length {
		st.declared = h.Length
	}
	var special bool
	x.hop, special = oneHop(h.Fields(), x.Buf, h.Framing == wire.FramingChunked)
	x.used, x.Whole = h.End, h.Framing == wire.FramingNone
	if special || b.special || h.Host.Len == 0 || x.Buf[h.Target.Off] != '/' {
		l.goAway(s)
		return
	}
	l.askDirect(s)
}

// newStream makes the stream of the block in work.
func (l *loop) newStream(m *mux) *Conn {
	var s *Conn
	if n := len(m.unused) - 1; n >= 0 {
		s, m.unused = m.unused[n], m.unused[:n]
	} else {
		s = &Conn{Local: m.c.Local, Remote: m.c.Remote}
		s.l, s.fd, s.stream = l, -1, &stream{}
		s.timer.conn = s
	}
	*s.stream = stream{m: m, conn: s, id: m.block.id, window: m.opening, takes: streamBody, declared: -1, ended: m.block.end}
	s.limits, s.phase, s.letGo, s.served = m.c.limits, phaseTrip, false, true
	s.ready, s.at, s.start = canRead, 0, 0
	s.x = l.exchange()
	s.x.ready(s)
	m.streams[m.block.id] = s
	return s
}

// unusedStreams is how many a connection keeps for its next requests.
const unusedStreams = 32

// dropStream ends a stream here. Who calls it has told the client, or need not.
func (l *loop) dropStream(s *Conn, kind Failure, why error) {
	if s.phase == phaseOver {
		return
	}
	st := s.stream
	m := st.m
	m.hungry.remove(st)
	if x := s.x; x != nil {
		if kind != FailNone {
			x.Failure, x.Err = kind, why
		}
		l.dropOf(x)
		l.account(s)
		l.recycle(x)
		s.x = nil
		m.c.limits = s.limits
	}
	l.dropOut(&s.sock)
	l.bufs.put(s.in)
	m.refund(l, len(st.body)-st.at)
	l.bufs.put(st.body)
	s.in, st.body, st.at = nil, nil, 0
	s.phase = phaseOver
	l.wheel.cancel(&s.timer)
	delete(m.streams, st.id)
	m.c.since.Store(int64(l.now))
	if len(m.unused) < unusedStreams {
		m.unused = append(m.unused, s)
	}
}

// broken counts a stream that is reset because of what its client does. Where the reset is sent, the frame in work is the last when that was one too many.
func (m *mux) broken() {
	if v := m.watch.Broken(); v != nil {
		m.cut = broke(codeCalm, v.Reason)
	}
}

// resetStream ends a stream because of what its client does.
func (l *loop) resetStream(s *Conn, code uint32, why error) {
	st := s.stream
	st.m.broken()
	if st.said = true; st.far {
		st.m.bridge.word(l, frameReset, st.farID, codeCancel)
		st.m.word(l, frameReset, st.id, code)
		l.forgetFar(s)
		return
	}
	st.m.word(l, frameReset, st.id, code)
	l.fail(s, FailClient, why)
}

// resetID does so for one that may be over.
func (l *loop) resetID(m *mux, id, code uint32) {
	if s := m.streams[id]; s != nil {
		l.resetStream(s, code, errGone)
		return
	}
	m.word(l, frameReset, id, code)
}

// failStream is fail for a stream: the others of its connection go on.
func (l *loop) failStream(s *Conn, kind Failure, why error) {
	if st := s.stream; !st.said && s.phase != phaseOver {
		st.said = true
		st.m.word(l, frameReset, st.id, codeInternal)
	}
	l.dropStream(s, kind, why)
}

// completeStream ends one whose response has been sent to its end. What is left of the request nobody wants.
func (l *loop) completeStream(s *Conn) {
	if st := s.stream; !st.ended {
		st.m.word(l, frameReset, st.id, codeNone)
	}
	l.dropStream(s, FailNone, nil)
}

// takeBody takes what has come of a request's body.
func (l *loop) takeBody(s *Conn, data []byte) {
	st := s.stream
	if s.phase != phaseTrip || s.x.cut {
		st.m.refund(l, len(data))
	} else if len(data) > 0 {
		if len(st.body)+len(data) > cap(st.body) {
			larger := append(l.bufs.get(len(st.body)-st.at+len(data)), st.body[st.at:]...)
			l.bufs.put(st.body)
			st.body, st.at = larger, 0
		}
		st.body = append(st.body, data...)
	}
	s.ready |= canRead
	if s.phase == phaseTrip && s.x.waiting == waitsForNothing {
		l.goOn(s)
	}
	l.settle(s)
}

// receiveStream is receive for a stream.
func (l *loop) receiveStream(st *stream, s *sock, b []byte) (int, syscall.Errno) {
	n := copy(b, st.body[st.at:])
	if n == 0 {
		if st.ended {
			return 0, 0
		}
		s.ready &^= canRead
		return 0, unix.EAGAIN
	}
	if st.at += n; st.at == len(st.body) {
		l.bufs.put(st.body)
		st.body, st.at = nil, 0
	}
	st.m.refund(l, n)
	if st.consumed += int64(n); st.consumed >= streamBody/4 && !st.ended {
		st.takes += st.consumed
		st.m.credit(l, st.id, st.consumed)
		st.consumed = 0
	}
	return n, 0
}

// takeTrailers reads the trailers of a request. They were not announced, or the other engine would have it: they are dropped, as the standard allows.
func (l *loop) takeTrailers(m *mux) {
	b := &m.block
	s := m.streams[b.id]
	if s == nil {
		return
	}
	st := s.stream
	if b.bad || b.large || !b.end || b.pseudo != 0 {
		l.resetStream(s, codeProtocol, errGone)
		return
	}
	if st.declared >= 0 && st.got != st.declared {
		l.resetStream(s, codeProtocol, errGone)
		return
	}
	st.ended = true
	if st.far {
		block := l.head[:0]
		block = appendHpackLines(block, l.fields, nil)
		m.bridge.block(l, st.farID, block, true)
		if st.said {
			l.forgetFar(s)
		}
		return
	}
	l.takeBody(s, nil)
}

// open is how many bytes of a body the client takes at the moment.
func (st *stream) open() int {
	return int(max(min(st.window, st.m.window, int64(st.m.room())), 0))
}

// allowed is open for a body that is there: it notes what waits for more.
func (st *stream) allowed(l *loop) int {
	n := st.open()
	switch {
	case n > 0:
		st.shut, st.spared = 0, false
		return n
	case st.window > 0:
		st.m.hungry.add(st)
	}
	if st.shut == 0 {
		st.shut = l.now
	}
	return 0
}

// data sends a piece of a body, as much of it as is allowed.
func (l *loop) data(st *stream, p []byte, end bool) {
	m := st.m
	for first := true; first || len(p) > 0; first = false {
		n := min(len(p), frameMost)
		var flags byte
		if end && n == len(p) {
			flags, st.said = flagEndStream, true
		}
		m.frame(l, frameData, flags, st.id, n)
		m.out = append(m.out, p[:n]...)
		p = p[n:]
		st.window -= int64(n)
		m.window -= int64(n)
		m.flowed = l.now
	}
}

// ends reports whether all of the response has been read, and whether trailers follow it.
func (s *Conn) ends() (whole bool, trailers []byte) {
	f := &s.x.response
	if !s.stream.headed || !f.done {
		return false, nil
	}
	if f.framing == wire.FramingChunked {
		if t := f.chunks.Trailers(); len(t) > len(crlf) {
			return true, t
		}
	}
	return true, nil
}

// flushStream is flush for a stream.
func (l *loop) flushStream(s *Conn) bool {
	whole, trailers := s.ends()
	for len(s.out) > s.at {
		n := min(s.stream.allowed(l), len(s.out)-s.at)
		if n == 0 {
			return false
		}
		last := whole && len(trailers) == 0 && n == len(s.out)-s.at
		l.data(s.stream, s.out[s.at:s.at+n], last)
		s.at += n
	}
	l.dropOut(&s.sock)
	if whole {
		l.sayEnd(s, trailers)
	}
	return true
}

// sendStream is send for a stream: l.parts are pieces of the response's body.
func (l *loop) sendStream(s *Conn) {
	parts := l.parts
	l.parts = l.parts[:0]
	whole, trailers := s.ends()
	for i, p := range parts {
		if s.blocked() || len(p) == 0 {
			// behind what waits
		} else if n := min(s.stream.allowed(l), len(p)); n > 0 {
			l.data(s.stream, p[:n], whole && len(trailers) == 0 && i == len(parts)-1 && n == len(p))
			p = p[n:]
		}
		if len(p) > 0 {
			l.one[0] = p
			l.keep(&s.sock, l.one[:], 0)
		}
	}
	l.one[0] = nil
	if whole && !s.blocked() {
		l.sayEnd(s, trailers)
	}
}

// sayEnd ends the stream to the client, unless its last frame has.
func (l *loop) sayEnd(s *Conn, trailers []byte) {
	st := s.stream
	switch {
	case st.said:
	case len(trailers) > 0:
		st.said = true
		l.blockOut(st, appendHpackLines(l.head[:0], trailers, func(name []byte) bool { return !l.e.isOwn(name) }), true)
	default:
		l.data(st, nil, true)
	}
}

// feeds reports whether feed would let anything go on.
func (m *mux) feeds() bool {
	return (m.starved || m.hungry.first != nil && m.window > 0) && m.room() > 0
}

// feed has the streams go on that waited for room or for the window of the connection, those that have waited longest first, until it is used up again: a client that opens it by a byte has
// one stream go on, not all.
func (l *loop) feed(m *mux) {
	if m.starved {
		m.starved = false
		for _, s := range m.streams {
			if x := s.x; x != nil && s.phase == phaseTrip && !x.replied && x.up != nil && x.up.is(canRead) {
				l.feedStream(s) // its head needs no window
			}
			if m.c.phase != phaseMux {
				return
			}
		}
	}
	for m.hungry.first != nil && m.c.phase == phaseMux && m.window > 0 && m.room() > 0 {
		st := m.hungry.first
		m.hungry.remove(st)
		l.feedStream(st.conn)
	}
}

func (l *loop) feedStream(s *Conn) {
	if s.stream.far {
		l.flushFar(s)
	} else if s.phase == phaseFlush || s.phase == phaseTrip && s.x.waiting == waitsForNothing {
		l.goOn(s)
		l.settle(s)
	}
}
