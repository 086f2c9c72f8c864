package wire

import (
	"bytes"
	"net/http"
	"sync"
)

// PrefaceLine is what a client that speaks HTTP/2 without having asked begins with (RFC 9113, section 3.4): it is made such that no server of HTTP/1.1
// takes it for a request.
const PrefaceLine = "PRI * HTTP/2.0\r\n"

// Prefaced reports whether b, whose first head was refused for bad, is the beginning of a connection of HTTP/2.
func Prefaced(b []byte, bad *Error) bool {
	return bad == errVersionUnkn && len(b) >= len(PrefaceLine) && string(b[:len(PrefaceLine)]) == PrefaceLine
}

// errPreface is for a connection whose first line is one of no HTTP. What is sent for it is not an answer in HTTP/1.1, see strangerEnd.
var errPreface = refuse(400, "first line is of no HTTP")

// strangerEnd is what such a client gets: SETTINGS, and GOAWAY with PROTOCOL_ERROR and words that a person can read (RFC 9113, sections 3.4 and 6.8).
const strangerEnd = "\x00\x00\x00\x04\x00\x00\x00\x00\x00" +
	"\x00\x00\x35\x07\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x01" + "HTTP/1.1 and HTTP/2 are served here, not this"

// Stranger reports whether b, the beginning of a connection whose first head was refused for bad, is of no HTTP: a line of three words of which the first
// is no method of RFC 9110 or 5789, the second no path or URL, and the third not like a version. Where HTTP/2 is served without being asked for, such a line
// is an invalid preface, which has to end the connection without an answer in HTTP/1.1 (RFC 9113, section 3.4).
func Stranger(b []byte, bad *Error) bool {
	if bad != errVersion {
		return false
	}
	method, rest, _ := bytes.Cut(bytes.TrimLeft(b, "\r\n"), []byte{' '})
	target, version, _ := bytes.Cut(rest, []byte{' '})
	switch string(method) {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, http.MethodTrace, http.MethodConnect, "PRI":
		return false
	}
	return len(target) > 0 && !bytes.ContainsAny(target, "/*") && len(version) > 0 && run(version[:1], isToken) == 1 && version[0] != 'H' && version[0] != 'h'
}

// Preface gives what has been read of a connection that turned out to be one of HTTP/2, once Read has given io.EOF for it (see Limits.HTTP2). From then on
// the connection below is the caller's.
func (c *Conn) Preface() (read []byte, ok bool) { return c.prefaced, c.prefaced != nil }

// Settled says that both sides have agreed on HTTP/1.1 (ALPN, RFC 7301): the preface of HTTP/2 is refused then like any other version (505), whatever Limits.HTTP2 says. It comes
// before the first Read.
func (c *Conn) Settled() { c.settled = true }

// preface takes the connection away from the server when it is one of HTTP/2.
func (c *Conn) preface(b []byte, bad *Error) bool {
	if c.served || c.settled || !c.limits.HTTP2 || !Prefaced(b, bad) {
		return false
	}
	c.prefaced = bytes.Clone(b)
	c.endHead()
	c.drop()
	c.state = inEnd
	return true
}

// strange gives what b is refused for: bad, or errPreface where the connection could have been one of HTTP/2.
func (c *Conn) strange(b []byte, bad *Error) *Error {
	if !c.served && !c.settled && c.limits.HTTP2 && Stranger(b, bad) {
		return errPreface
	}
	return bad
}

// foreign is a request of another form on its way through the parser.
type foreign struct {
	parser Parser
	text   []byte
}

var foreigns = sync.Pool{New: func() any { return &foreign{text: make([]byte, 0, 1<<10)} }}

// Check judges a request that came in another form than HTTP/1.1, HTTP/2 say: it is written down as one of HTTP/1.1 and read by the parser, so that what
// is accepted is what HTTP/1.1 could have said, in the one way. target is a path with its query, or an asterisk; fields are without the host. Nil when
// it is accepted.
func Check(method, target, host string, fields map[string][]string, l Limits) *Error {
	if target == "" || target[0] != '/' && target != "*" {
		return errTarget
	}
	f := foreigns.Get().(*foreign)
	defer foreigns.Put(f)
	l = l.withDefaults()
	f.parser.Reset()
	f.parser.head, f.parser.target, f.parser.lines = l.Head, l.Target, l.Lines
	b := append(append(append(f.text[:0], method...), ' '), target...)
	b = append(append(append(b, " HTTP/1.1\r\nHost: "...), host...), "\r\n"...)
	lines := 1
	for name, values := range fields {
		if n := run([]byte(name), isToken); n == 0 || n != len(name) {
			return errFieldName // with a colon in it, it would be read as another one
		}
		for _, value := range values {
			b = append(append(append(append(b, name...), ": "...), value...), "\r\n"...)
			lines++
		}
		if len(b) > l.Head {
			return errHeadLong
		}
	}
	b = append(b, "\r\n"...)
	f.text = b
	if cap(b) > 4*smallBuffer {
		f.text = make([]byte, 0, 1<<10)
	}
	done, bad := f.parser.Parse(b)
	head := &f.parser.Head
	switch {
	case bad != nil:
		return bad
	case !done, head.End != len(b), len(head.Fields()) != lines, string(head.Method.Of(b)) != method, string(head.Target.Of(b)) != target, string(head.Host.Of(b)) != host:
		return errFieldValue // it was read as something else than it says
	}
	return nil
}

// CheckTrailers judges the names of trailer fields that a request announces.
func CheckTrailers(fields map[string][]string) *Error {
	for name := range fields {
		if n := run([]byte(name), isToken); n == 0 || n != len(name) || refusedTrailer(name) {
			return errTrailerName
		}
	}
	return nil
}
