package wire

// FramingClose is a response's body that ends with its connection (RFC 9112 section 6.3, rule 8).
const FramingClose Framing = FramingChunked + 1

// Answer is an accepted response head. All spans refer to the buffer that was given to AnswerParser.Parse, and hold as long as its bytes stay
// where they are.
type Answer struct {
	End       int // the head is buffer[:End]
	Status    int // 100 to 999
	Reason    Span
	Minor     uint8   // HTTP/1.Minor: 0 or 1
	Framing   Framing // of the body that follows; FramingNone for responses that have none
	Length    int64   // of FramingLength; where there is no body, what Content-Length says of the one that there could be, -1: nothing
	Coded     bool    // Transfer-Encoding: chunked was there, also where there is no body
	KeepAlive bool    // the connection persists after this response
	Switched  bool    // 101

	count  int
	fields [maxLines]Field
}

// Fields gives all field lines in the order of their arrival.
func (a *Answer) Fields() []Field { return a.fields[:a.count] }
