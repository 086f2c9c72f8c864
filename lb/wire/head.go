package wire

// Span is a part of the buffer that a head was parsed from.
type Span struct {
	Off, Len uint16 // bytes from the start of the buffer, bytes
}

// Of gives the span's bytes in the buffer; they are shared, not copied.
func (s Span) Of(b []byte) []byte { return b[s.Off : int(s.Off)+int(s.Len)] }

func span(from, to int) Span { return Span{Off: uint16(from), Len: uint16(to - from)} }

// Field is a header field line: the name as it was sent, the value without
// the white space around it.
type Field struct {
	Name, Value Span
}

// Framing says how a request's body is delimited (RFC 9112 section 6.3).
type Framing uint8

// The ways to delimit a body.
const (
	FramingNone    Framing = iota // no body
	FramingLength                 // Head.Length bytes, more than none
	FramingChunked                // the chunked transfer coding, see Chunked
)

// Head is an accepted request head. All spans refer to the buffer that was
// given to Parser.Parse, and hold as long as its bytes stay where they are.
type Head struct {
	Start, End int // the head is buffer[Start:End]; Start is 2 after an empty line, otherwise 0
	Method     Span
	Target     Span
	Host       Span  // the Host value, or the authority of an HTTP/1.0 absolute target; may be empty in HTTP/1.0
	Minor      uint8 // HTTP/1.Minor: 0 or 1
	Framing    Framing
	Length     int64 // bytes of the body for FramingLength, otherwise 0
	KeepAlive  bool  // the client lets the connection persist (RFC 9112 section 9.3)
	Upgrade    bool  // HTTP/1.1 with Upgrade and Connection: upgrade (RFC 9110 section 7.8)
	Continue   bool  // HTTP/1.1 with Expect: 100-continue (RFC 9110 section 10.1.1)

	count  int
	fields [maxLines]Field
}

// Fields gives all field lines in the order of their arrival. The slice is
// part of the head: the next Parse of a reset parser overwrites it.
func (h *Head) Fields() []Field { return h.fields[:h.count] }

// reset leaves the fields as they are: count tells how many of them mean anything.
func (h *Head) reset() {
	h.Start, h.End, h.count = 0, 0, 0
	h.Method, h.Target, h.Host = Span{}, Span{}, Span{}
	h.Minor, h.Framing, h.Length = 0, FramingNone, 0
	h.KeepAlive, h.Upgrade, h.Continue = false, false, false
}
