package wire

import (
	"bytes"
	"math"
)

// AnswerParser reads one response head from a buffer that grows at its end, as strictly as Parser reads requests: what could be read in two ways
// is an error. It never allocates, and looks at each byte a bounded number of times.
//
// Make it with NewAnswerParser; Reset makes it ready for the next head.
type AnswerParser struct {
	Answer Answer

	head, lines int // limits
	toHead      bool

	inFields      bool // the status line is complete
	pos, scan     int  // start of the line in work, next byte to look at
	err           *Error
	done          bool
	length, coded bool // the field was there
	closes, keeps bool // connection options
	listed        int  // how many there are so far
}

// Violations in responses. 502 is what the client gets where it can still be told.
var (
	errAnswerLine    = refuse(502, "the instance's status line is malformed")
	errAnswerVersion = refuse(502, "the instance does not speak HTTP/1.1 or HTTP/1.0")
	errAnswerStatus  = refuse(502, "the instance's status code is invalid")
	errAnswerLong    = refuse(502, "the instance's response head is too large")
	errAnswerLines   = refuse(502, "the instance's response has too many header fields")
	errAnswerField   = refuse(502, "the instance's response has a malformed header field")
	errAnswerLength  = refuse(502, "the instance's response has an invalid or a second Content-Length")
	errAnswerBoth    = refuse(502, "the instance's response has both Content-Length and Transfer-Encoding")
	errAnswerCoding  = refuse(502, "the instance's response has an unusable Transfer-Encoding")
	errAnswerOptions = refuse(502, "the instance's response has too many options in Connection")
	errAnswerEmpty   = refuse(502, "the instance's response may have no content but announces some")
)

// NewAnswerParser gives a parser for heads of at most head bytes (0 or beyond 65535: 65535) and 128 lines.
func NewAnswerParser(head int) *AnswerParser {
	p := &AnswerParser{}
	p.Limit(head)
	return p
}

// Limit sets the most bytes that a head may have (0 or beyond 65535: 65535). It makes a zero AnswerParser ready.
func (p *AnswerParser) Limit(head int) { p.head, p.lines = bounded(head, maxHead, maxHead), maxLines }

// Reset makes the parser ready for another head. toHead says that the request is HEAD: no response to it has a body.
func (p *AnswerParser) Reset(toHead bool) {
	p.toHead, p.inFields, p.pos, p.scan, p.err, p.done = toHead, false, 0, 0, nil, false
	p.length, p.coded, p.closes, p.keeps, p.listed = false, false, false, false, 0
	a := &p.Answer
	a.End, a.Status, a.Reason, a.Minor, a.Framing, a.Length = 0, 0, Span{}, 0, FramingNone, -1
	a.Coded, a.KeepAlive, a.Switched, a.count = false, false, false, 0
}

// Parse reads on in b, which holds all bytes of the connection since the end of the response before; what an earlier call saw must still be at its
// place. It gives true when the head is complete and accepted. It gives false and no error when more bytes are needed. The error is final.
func (p *AnswerParser) Parse(b []byte) (bool, *Error) {
	if p.err == nil && !p.done {
		p.done, p.err = p.parse(b)
	}
	return p.done, p.err
}

func (p *AnswerParser) parse(b []byte) (bool, *Error) {
	if !p.inFields {
		if err := beginsLike(b); err != nil {
			return false, err
		}
	}
	for {
		i := bytes.IndexByte(b[p.scan:], '\n')
		if i < 0 {
			if p.scan = len(b); p.scan >= p.head {
				return false, errAnswerLong
			}
			return false, nil
		}
		end := p.scan + i
		if end >= p.head {
			return false, errAnswerLong
		}
		p.scan = end + 1
		if end == p.pos || b[end-1] != '\r' {
			return false, errAnswerField // a lone LF, as in requests
		}
		switch {
		case !p.inFields:
			if err := p.statusLine(b, end-1); err != nil {
				return false, err
			}
			p.inFields = true
		case end-1 == p.pos:
			p.Answer.End = p.scan
			err := p.finish()
			return err == nil, err
		default:
			if err := p.field(b, p.pos, end-1); err != nil {
				return false, err
			}
		}
		p.pos = p.scan
	}
}

// beginsLike finds out early that a peer speaks something else, which may never send a line feed.
func beginsLike(b []byte) *Error {
	const begin = "HTTP/1."
	n := min(len(b), len(begin))
	if string(b[:n]) == begin[:n] {
		return nil
	}
	if n = min(len(b), 5); string(b[:n]) == begin[:n] {
		return errAnswerVersion
	}
	return errAnswerLine
}

// statusLine is RFC 9112 section 4: "HTTP/1.1 200 reason". Servers leave out the space before an empty reason, which has one reading only.
func (p *AnswerParser) statusLine(b []byte, end int) *Error {
	const fixed = len("HTTP/1.1 200")
	a, line := &p.Answer, b[:end]
	if len(line) < fixed || line[8] != ' ' || run(line[9:fixed], isDigit) != 3 || len(line) > fixed && line[fixed] != ' ' {
		return errAnswerLine
	}
	if line[7] != '0' && line[7] != '1' {
		return errAnswerVersion
	}
	a.Minor = line[7] - '0'
	a.Status = int(line[9]-'0')*100 + int(line[10]-'0')*10 + int(line[11]-'0')
	if a.Status < 100 {
		return errAnswerStatus
	}
	if len(line) > fixed {
		if !fieldText(line[fixed+1:]) {
			return errAnswerLine
		}
		a.Reason = span(fixed+1, end)
	}
	return nil
}

// field takes the line b[from:to], without its CRLF.
func (p *AnswerParser) field(b []byte, from, to int) *Error {
	if p.Answer.count == p.lines {
		return errAnswerLines
	}
	line := b[from:to]
	n := run(line, isToken)
	if n == 0 || n == len(line) || line[n] != ':' || !fieldText(line[n+1:]) { // a folded line has no name either
		return errAnswerField
	}
	first, last := from+n+1, to
	for first < last && (b[first] == ' ' || b[first] == '\t') {
		first++
	}
	for last > first && (b[last-1] == ' ' || b[last-1] == '\t') {
		last--
	}
	f := &p.Answer.fields[p.Answer.count]
	f.Name, f.Value = span(from, from+n), span(first, last)
	p.Answer.count++
	switch name := line[:n]; {
	case n == 14 && Fold(name, "content-length"):
		return p.contentLength(b[first:last])
	case n == 17 && Fold(name, "transfer-encoding"):
		return p.transferEncoding(b[first:last])
	case n == 10 && Fold(name, "connection"):
		return p.connection(b[first:last])
	}
	return nil
}

// contentLength takes one line of digits. A list of equal values could be merged (RFC 9110 section 8.6); other readers take the first or the last.
func (p *AnswerParser) contentLength(value []byte) *Error {
	if p.length || len(value) == 0 || run(value, isDigit) != len(value) {
		return errAnswerLength
	}
	p.length = true
	var n int64
	for _, c := range value {
		d := int64(c - '0')
		if n > (math.MaxInt64-d)/10 {
			return errAnswerLength
		}
		n = n*10 + d
	}
	p.Answer.Length = n
	return nil
}

// transferEncoding takes chunked alone: no other coding was asked for, since TE is not passed on.
func (p *AnswerParser) transferEncoding(value []byte) *Error {
	if p.coded || p.Answer.Minor == 0 || !Fold(value, "chunked") {
		return errAnswerCoding
	}
	p.coded = true
	return nil
}

func (p *AnswerParser) connection(list []byte) *Error {
	for list != nil {
		var one []byte
		one, list = element(list)
		if p.listed++; p.listed > MaxOptions {
			return errAnswerOptions
		}
		switch {
		case Fold(one, "close"):
			p.closes = true
		case Fold(one, "keep-alive"):
			p.keeps = true
		}
	}
	return nil
}

// finish is RFC 9112 section 6.3 for responses.
func (p *AnswerParser) finish() *Error {
	a := &p.Answer
	if p.coded && p.length {
		return errAnswerBoth
	}
	a.Coded = p.coded
	a.KeepAlive = !p.closes && (a.Minor == 1 || p.keeps)
	a.Switched = a.Status == 101
	switch {
	case a.Status < 200 || a.Status == 204:
		// Neither may be there at all (RFC 9110 section 8.6, RFC 9112 section 6.1). A zero is common and means what the status says.
		if p.coded || a.Length > 0 {
			return errAnswerEmpty
		}
		a.Length = -1
	case p.toHead || a.Status == 304:
	case p.coded:
		a.Framing = FramingChunked
	case a.Length > 0:
		a.Framing = FramingLength
	case a.Length < 0:
		a.Framing, a.KeepAlive = FramingClose, false
	}
	return nil
}
