package h1

import (
	"net/http"
	"strconv"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// blockOut sends a header block on a stream.
func (l *loop) blockOut(st *stream, block []byte, end bool) {
	m := st.m
	l.head = block // keep what it has grown to
	if m.shrunk {
		m.shrunk = false
		block = append(block, 0)
		copy(block[1:], block)
		block[0] = 0x20 // our table has no entries (RFC 7541, section 6.3)
		l.head = block
	}
	first := min(len(block), frameMost)
	var flags byte
	if end {
		flags |= flagEndStream
	}
	if first == len(block) {
		flags |= flagEndHeaders
	}
	m.frame(l, frameHeaders, flags, st.id, first)
	m.out = append(m.out, block[:first]...)
	for block = block[first:]; len(block) > 0; {
		n := min(len(block), frameMost)
		flags = 0
		if n == len(block) {
			flags = flagEndHeaders
		}
		m.frame(l, frameContinuation, flags, st.id, n)
		m.out = append(m.out, block[:n]...)
		block = block[n:]
	}
}

// answerStream sends the head of the final response. l.parts are what of its body has come with it.
func (l *loop) answerStream(s *Conn) {
	x := s.x
	a, b := &x.answer.Answer, x.AnswerBuf
	fields := a.Fields()
	hop, _ := oneHop(fields, b, a.Coded)
	dst := appendHpackStatus(l.head[:0], a.Status)
	dst = x.Reply.appendHpackFields(dst, b, fields, hop)
	if !hasDate(fields, b) {
		dst = l.appendDate(dst)
	}
	if a.Length >= 0 && a.Framing != wire.FramingClose && a.Framing != wire.FramingChunked && !(a.Framing == wire.FramingNone && a.Coded) {
		dst = appendHpackLength(dst, a.Length)
	}
	s.stream.headed = true
	whole, trailers := s.ends()
	end := whole && len(trailers) == 0 && len(l.parts) == 0
	s.stream.said = s.stream.said || end
	l.blockOut(s.stream, dst, end)
}

// interimStream sends an interim response, edited, without the fields that only the director adds.
func (l *loop) interimStream(s *Conn, a *wire.Answer, b []byte) {
	hop := l.interimHop(s, a, b)
	l.blockOut(s.stream, l.interim.appendHpackFields(appendHpackStatus(l.head[:0], a.Status), b, a.Fields(), hop), false)
}

// refuseTrip answers by what the director has set.
func (l *loop) refuseTrip(s *Conn) {
	x := s.x
	kind := x.PageType
	if kind == "" {
		kind = "text/plain; charset=utf-8"
	}
	l.answerOwn(s, x.Status, kind, x.Reply.add, x.Page, x.parser.IsHead())
}

// refuseStream answers a request that is not acceptable, as wire.Refusal does.
func (l *loop) refuseStream(s *Conn, bad *wire.Error, bodiless bool) {
	l.e.stats.Violation(bad)
	s.x.response.begin(wire.FramingNone, 0, false)
	l.page = append(append(l.page[:0], bad.Reason...), '\n')
	l.answerOwn(s, bad.Status, "text/plain; charset=utf-8", nil, l.page, bodiless)
}

// answerOwn sends a response of Holdfast's own.
func (l *loop) answerOwn(s *Conn, status int, kind string, lines, page []byte, bodiless bool) {
	st := s.stream
	dst := l.appendDate(appendHpackStatus(l.head[:0], status))
	dst = appendHpackField(dst, "content-type", kind)
	dst = appendHpackField(dst, "x-content-type-options", "nosniff")
	dst = appendHpackField(dst, "cache-control", "no-store") // without it some statuses could be cached
	dst = appendHpackLines(dst, lines, nil)
	dst = appendHpackLength(dst, int64(len(page)))
	bodiless = bodiless || len(page) == 0
	st.headed, st.said = true, bodiless
	l.blockOut(st, dst, bodiless)
	s.phase = phaseFlush
	s.x.progress = l.now
	l.parts = l.parts[:0]
	if !bodiless {
		l.parts = append(l.parts, page)
	}
	l.sendStream(s)
	l.finishOut(s)
}

func (l *loop) appendDate(dst []byte) []byte {
	line := l.date.line(l.now)
	return appendHpackField(dst, "date", line[len("Date: "):len("Date: ")+len(http.TimeFormat)])
}

func appendHpackLength(dst []byte, n int64) []byte {
	var text [20]byte
	return appendHpackField(dst, "content-length", strconv.AppendInt(text[:0], n, 10))
}
