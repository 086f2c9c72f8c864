package h1

import (
	"net/http"
	"strconv"
	"time"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// appendRequest writes the head for the instance: always HTTP/1.1, with a framing of our own.
func (x *exchange) appendRequest(dst []byte) []byte {
	h, b := x.Head, x.Buf
	fields := h.Fields()
	end, first := h.End-2, h.End-2
	if len(fields) > 0 {
		first = int(fields[0].Name.Off)
	}
	from := h.Start
	if h.Minor == 0 {
		dst = append(append(dst, h.Method.Of(b)...), ' ')
		dst = append(append(dst, h.Target.Of(b)...), " HTTP/1.1\r\n"...)
		from = first
	}
	dst = x.Edit.appendLines(dst, b, from, end, fields, x.hop)
	switch h.Framing {
	case wire.FramingLength:
		dst = appendLength(dst, h.Length)
	case wire.FramingChunked:
		dst = append(dst, codedLine...)
	default:
		if hasLength(fields, b) {
			dst = appendLength(dst, 0) // POST without content says so
		}
	}
	return append(dst, "\r\n"...)
}

const codedLine = "Transfer-Encoding: chunked\r\n"

func hasLength(fields []wire.Field, b []byte) bool {
	for i := range fields {
		if wire.Fold(fields[i].Name.Of(b), "content-length") {
			return true
		}
	}
	return false
}

func appendLength(dst []byte, n int64) []byte {
	dst = append(dst, "Content-Length: "...)
	return append(strconv.AppendInt(dst, n, 10), "\r\n"...)
}

// appendAnswer writes the head of the final response for the client, and decides how its body is delimited: x.response.chunk, and x.last when only the end of the
// connection can say it.
func (x *exchange) appendAnswer(dst, date []byte) []byte {
	a, b := &x.answer.Answer, x.AnswerBuf
	fields := a.Fields()
	hop, _ := oneHop(fields, b, a.Coded && x.Head.Minor == 1)
	dst = appendStatus(dst, a, b)
	end, first := a.End-2, a.End-2
	if len(fields) > 0 {
		first = int(fields[0].Name.Off)
	}
	dst = x.Reply.appendLines(dst, b, first, end, fields, hop)
	if !hasDate(fields, b) {
		dst = append(dst, date...)
	}
	switch {
	case a.Framing == wire.FramingClose, a.Framing == wire.FramingChunked, a.Framing == wire.FramingNone && a.Coded:
		if x.Head.Minor == 1 {
			x.response.chunk = a.Framing != wire.FramingNone
			dst = append(dst, codedLine...)
		} else if a.Framing != wire.FramingNone {
			x.last = true
		}
	case a.Length >= 0:
		dst = appendLength(dst, a.Length)
	}
	return append(x.appendPersistence(dst), "\r\n"...)
}

// appendStatus writes the status line.
func appendStatus(dst []byte, a *wire.Answer, b []byte) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(a.Status), 10)
	dst = append(dst, ' ')
	return append(append(dst, a.Reason.Of(b)...), "\r\n"...)
}

// appendPersistence says whether the connection goes on (RFC 9112 section 9.3).
func (x *exchange) appendPersistence(dst []byte) []byte {
	switch {
	case x.last:
		return append(dst, "Connection: close\r\n"...)
	case x.Head.Minor == 0:
		return append(dst, "Connection: keep-alive\r\n"...)
	}
	return dst
}

func hasDate(fields []wire.Field, b []byte) bool {
	for i := range fields {
		if fields[i].Name.Len == 4 && wire.Fold(fields[i].Name.Of(b), "date") {
			return true
		}
	}
	return false
}

// appendInterim writes the head of an interim response for the client, edited, without the lines in hop.
func appendInterim(dst []byte, a *wire.Answer, b []byte, e *Edits, hop lines) []byte {
	fields := a.Fields()
	end, first := a.End-2, a.End-2
	if len(fields) > 0 {
		first = int(fields[0].Name.Off)
	}
	return append(e.appendLines(appendStatus(dst, a, b), b, first, end, fields, hop), "\r\n"...)
}

// appendRefusal writes the whole response for a refusal by the director.
func (x *exchange) appendRefusal(dst, date []byte) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(x.Status), 10)
	dst = append(append(append(dst, ' '), http.StatusText(x.Status)...), "\r\n"...)
	dst = append(dst, date...)
	kind := x.PageType
	if kind == "" {
		kind = "text/plain; charset=utf-8"
	}
	dst = append(append(dst, "Content-Type: "...), kind...)
	dst = append(dst, "\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n"...) // without no-store some statuses could be cached
	dst = append(dst, x.Reply.add...)
	dst = appendLength(dst, int64(len(x.Page)))
	dst = append(x.appendPersistence(dst), "\r\n"...)
	if x.parser.IsHead() {
		return dst
	}
	return append(dst, x.Page...)
}

// dateLine is the Date field of the present second.
type dateLine struct {
	until time.Duration // by Now
	text  []byte
}

// line gives it. A loop's idea of the time is exact enough.
func (d *dateLine) line(now time.Duration) []byte {
	if now >= d.until {
		wall := time.Now()
		d.until = now + time.Second - time.Duration(wall.Nanosecond())
		d.text = append(wall.UTC().AppendFormat(append(d.text[:0], "Date: "...), http.TimeFormat), "\r\n"...)
	}
	return d.text
}
