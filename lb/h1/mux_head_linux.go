package h1

import (
	"encoding/binary"
	"time"

	"golang.org/x/net/http2/hpack"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// block is a header block that comes in, and what it says.
type block struct {
	id    uint32
	open  bool          // CONTINUATION follows
	end   bool          // it ends its stream
	since time.Duration // when its first byte came; 0: none is in work
	dead  bool          // it is of no stream that is served: read for the table alone
	late  bool          // it is one of trailers

	method, path, scheme, authority, protocol, host string
	trailer                                         string // names of the fields that are to follow the body

	pseudo  uint8 // which pseudo-header fields have come
	regular bool  // fields of the other kind have begun
	size    int   // as RFC 9113, section 6.5.2, counts
	large   bool  // more than is taken
	bad     bool  // malformed: RFC 9113, section 8.1.1
	bound   bool  // a field of a connection
	special bool  // the other engine's
	length  bool  // it has a Content-Length
	cookies int

	lines, crumbs []byte // the loop's fields and cookie, while CONTINUATION is to come: other clients have their turn
}

// Bits of block.pseudo.
const (
	sawMethod = 1 << iota
	sawPath
	sawScheme
	sawAuthority
	sawProtocol
)

// Pseudo-header fields that a request must have.
const sawAll = sawMethod | sawPath | sawScheme

const (
	// pieceMost is how many bytes of a header block are unpacked before its fields are counted.
	pieceMost = 1 << 10
	// bombTimes is how many times the largest list a block may hold, and be answered with 431. A client that only has too many cookies stays far below: a frame
	// has no room for them. What goes beyond was made to be unpacked.
	bombTimes = 8
)

func (l *loop) takeHeaders(m *mux, flags byte, id uint32, p []byte) *connError {
	if id%2 == 0 {
		return errStreamID
	}
	fragment, ok := unpadded(flags, p)
	if !ok {
		return errPadding
	}
	itself := false
	if flags&flagPriority != 0 {
		if len(fragment) < 5 {
			return errFrameSize
		}
		itself = binary.BigEndian.Uint32(fragment)&^(1<<31) == id
		fragment = fragment[5:]
	}
	s := m.streams[id]
	if s == nil && id <= m.last {
		if !m.hasReset(id) {
			return broke(codeClosed, "header block for a stream that is closed")
		}
		if v := m.watch.Idle(); v != nil {
			return broke(codeCalm, v.Reason)
		}
	}
	since := m.block.since
	m.block = block{id: id, end: flags&flagEndStream != 0, since: since, late: s != nil}
	l.fields, l.cookie = l.fields[:0], l.cookie[:0]
	m.decoding = l
	switch {
	case s == nil && id <= m.last:
		m.block.dead = true
	case s == nil && itself:
		m.last = id
		m.broken()
		m.word(l, frameReset, id, codeProtocol)
		m.block.dead = true
	case s == nil && m.final: // it has heard that this one is not served
		m.block.dead = true
	case s == nil && len(m.streams) >= muxStreams:
		m.last = id
		code := uint32(codeRefused)
		if m.confirmed {
			code = codeProtocol // it should know better
		}
		m.broken()
		m.word(l, frameReset, id, code)
		m.block.dead = true
	case s == nil:
		m.last = id
	case s.stream.ended:
		l.resetStream(s, codeClosed, errGone)
		m.block.dead = true
	}
	return l.takeFragment(m, flags, fragment)
}

// takeFragment reads a piece of a header block, and acts on it at its end.
func (l *loop) takeFragment(m *mux, flags byte, fragment []byte) *connError {
	b := &m.block
	if b.open && (b.large || b.bad) || len(fragment) > bombTimes*m.listMost()-b.size {
		return errBlockLong // nothing of it is unpacked any more
	}
	if b.open {
		l.fields, l.cookie = append(l.fields[:0], b.lines...), append(l.cookie[:0], b.crumbs...)
	}
	b.open = flags&flagEndHeaders == 0
	m.decoding = l
	for len(fragment) > 0 { // in pieces, so that little of a bomb is unpacked
		piece := fragment[:min(len(fragment), pieceMost)]
		fragment = fragment[len(piece):]
		if _, err := m.decoder.Write(piece); err != nil {
			return errBlock
		}
		if b.size > bombTimes*m.listMost() {
			return errBomb
		}
	}
	if b.open {
		if b.since == 0 {
			b.since = l.now
		}
		b.lines, b.crumbs = append(b.lines[:0], l.fields...), append(b.crumbs[:0], l.cookie...)
		return nil
	}
	b.since, b.lines, b.crumbs = 0, nil, nil
	if m.decoder.Close() != nil {
		return errBlock
	}
	switch {
	case b.dead:
	case b.late:
		l.takeTrailers(m)
	default:
		l.open(m)
	}
	return nil
}

// field is told each field of a block.
func (m *mux) field(f hpack.HeaderField) {
	b, l := &m.block, m.decoding
	if b.size += int(f.Size()); b.size > m.listMost() {
		b.large = true
	}
	if b.bad || b.large {
		return
	}
	if f.Name == "" || !isValue(f.Value) {
		b.bad = true
	} else if f.Name[0] == ':' {
		b.bad = b.regular || b.late || !b.pseudoField(f)
	} else {
		b.regular = true
		b.bad = !isFieldName(f.Name) || !l.regularField(b, f)
	}
}

// pseudoField notes one; false when it must not be there.
func (b *block) pseudoField(f hpack.HeaderField) bool {
	var bit uint8
	var at *string
	switch f.Name {
	case ":method":
		bit, at = sawMethod, &b.method
	case ":path":
		bit, at = sawPath, &b.path
	case ":scheme":
		bit, at = sawScheme, &b.scheme
	case ":authority":
		bit, at = sawAuthority, &b.authority
	case ":protocol":
		bit, at = sawProtocol, &b.protocol
	default:
		return false
	}
	if b.pseudo&bit != 0 {
		return false
	}
	b.pseudo |= bit
	*at = f.Value
	return true
}

// regularField writes a field down as a line of HTTP/1.1; false when it must not be there.
func (l *loop) regularField(b *block, f hpack.HeaderField) bool {
	switch f.Name {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		b.bound = true
	case "te":
		b.bound = b.bound || f.Value != "trailers"
		b.special = true
	case "expect":
		b.special = true
	case "trailer": // the other engine judges it
		if b.special = true; b.trailer != "" {
			b.trailer += ", "
		}
		b.trailer += f.Value
		return true
	case "content-length":
		b.length = true
	case "host":
		if b.host != "" || f.Value == "" {
			return false
		}
		b.host = f.Value
		return true
	case "cookie": // clients may part it, so that its pieces come into the table: RFC 9113, section 8.2.3
		if b.cookies++; b.cookies > 1 {
			l.cookie = append(l.cookie, "; "...)
		}
		l.cookie = append(l.cookie, f.Value...)
		return true
	case DetourField:
		return true // nobody else's
	}
	l.fields = append(append(appendCanonical(l.fields, f.Name), ": "...), f.Value...)
	l.fields = append(l.fields, "\r\n"...)
	return true
}

// appendCanonical writes a field name as HTTP/1.1 usually has it: some applications know no other.
func appendCanonical(dst []byte, name string) []byte {
	upper := true
	for i := range len(name) {
		c := name[i]
		if upper && 'a' <= c && c <= 'z' {
			c -= 0x20
		}
		upper = c == '-'
		dst = append(dst, c)
	}
	return dst
}

// isFieldName reports whether it is a token in lower case.
func isFieldName(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		case c == '!', c == '#', c == '$', c == '%', c == '&', c == '\'', c == '*', c == '+', c == '^', c == '`', c == '|', c == '~':
		default:
			return false
		}
	}
	return true
}

func isValue(value string) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// wrong is what makes the request malformed; nil for nothing. Of one that is too large not all is known.
func (b *block) wrong() *wire.Error {
	switch {
	case b.large && !b.bad:
		return nil
	case !b.wellFormed():
		return errMalformed
	case b.bound:
		return errBound
	}
	return nil
}

// wellFormed reports whether the pseudo-header fields are those of a request (RFC 9113, section 8.3.1, and RFC 8441).
func (b *block) wellFormed() bool {
	if b.bad || b.authority != "" && b.host != "" && b.host != b.authority {
		return false
	}
	if b.method == "CONNECT" && b.pseudo&sawProtocol == 0 {
		return b.pseudo&(sawPath|sawScheme) == 0 && b.authority != ""
	}
	if b.pseudo&sawAll != sawAll || b.method == "" || b.path == "" || b.scheme != "http" && b.scheme != "https" || b.pseudo&sawProtocol != 0 && b.method != "CONNECT" {
		return false
	}
	if b.path[0] != '/' && b.path != "*" {
		return false
	}
	for i := range len(b.authority) {
		if b.authority[i] == '@' {
			return false
		}
	}
	return true
}

// appendText writes the request down as one of HTTP/1.1, whose body goes on in the chunked coding when its length is not known.
func (l *loop) appendText(dst []byte, b *block) []byte {
	host := b.authority
	if host == "" {
		host = b.host
	}
	dst = append(append(append(append(dst, b.method...), ' '), b.path...), " HTTP/1.1\r\nHost: "...)
	dst = append(append(dst, host...), "\r\n"...)
	dst = append(dst, l.fields...)
	if b.cookies > 0 {
		dst = append(append(append(dst, "Cookie: "...), l.cookie...), "\r\n"...)
	}
	switch {
	case b.length:
	case !b.end:
		dst = append(dst, codedLine...)
	case b.method == "POST" || b.method == "PUT" || b.method == "PATCH":
		dst = append(dst, "Content-Length: 0\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// readsBack reports whether the parser has read what was written down, and nothing else.
func (b *block) readsBack(h *wire.Head, text []byte) bool {
	host := b.authority
	if host == "" {
		host = b.host
	}
	return h.End == len(text) && string(h.Method.Of(text)) == b.method && string(h.Target.Of(text)) == b.path && string(h.Host.Of(text)) == host
}
