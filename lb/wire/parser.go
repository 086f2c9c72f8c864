package wire

import "bytes"

// Parser reads one request head from a buffer that grows at its end. It never
// allocates and never looks twice at a byte of the request line or searches
// twice for the end of a field line, so a head that comes byte by byte costs
// no more than linear time. The verdict depends on the bytes alone, never on
// how they were split.
//
// Make it with NewParser; Reset makes it ready for the next head.
type Parser struct {
	Head Head

	head, target, lines int // limits

	phase phase
	pos   int // start of the part in work
	scan  int // next byte to look at
	err   *Error
	done  bool

	options, connect, isHead   bool // methods
	authority                  Span // of an absolute target
	host, length, coding       bool // the field was there
	closes, keeps, wantsSwitch bool // connection options
	upgrade, chunked           bool
	listed                     int // connection options so far
}

type phase uint8

const (
	atStart   phase = iota
	atBlank         // after the CR of an empty line
	inMethod        // pos is its start
	inTarget        // pos is its start
	inVersion       // pos is its start
	inFields        // pos is the start of the line
)

// NewParser gives a parser for one head under the limits.
func NewParser(l Limits) *Parser {
	l = l.withDefaults()
	return &Parser{head: l.Head, target: l.Target, lines: l.Lines}
}

// Reset makes the parser ready for another head under the same limits.
func (p *Parser) Reset() {
	p.phase, p.pos, p.scan, p.err, p.done = atStart, 0, 0, nil, false
	p.options, p.connect, p.isHead, p.authority = false, false, false, Span{}
	p.host, p.length, p.coding = false, false, false
	p.closes, p.keeps, p.wantsSwitch = false, false, false
	p.upgrade, p.chunked, p.listed = false, false, 0
	p.Head.reset()
}

// Parse reads on in b, which holds all bytes of the connection since the end
// of the message before; what an earlier call saw must still be at its place.
// It gives true when the head is complete and accepted: then p.Head is filled,
// and the body begins at b[p.Head.End]. It gives false and no error when more
// bytes are needed. The error is final.
func (p *Parser) Parse(b []byte) (bool, *Error) {
	if p.err == nil && !p.done && p.phase != inFields {
		p.err = p.requestLine(b)
	}
	if p.err == nil && !p.done && p.phase == inFields {
		p.done, p.err = p.fieldLines(b)
	}
	if p.err == nil && !p.done && len(b) >= p.head {
		p.err = errHeadLong
	}
	return p.done, p.err
}

// Begun reports whether the request line has begun; an empty line before it
// does not count.
func (p *Parser) Begun() bool {
	return p.phase > inMethod || p.phase == inMethod && p.scan > p.pos
}

// requestLine is RFC 9112 section 3, without its leniency: one SP between the
// parts, CRLF at the end, at most one empty line before it (section 2.2).
func (p *Parser) requestLine(b []byte) *Error {
	for p.scan < len(b) && p.phase != inFields {
		var err *Error
		switch p.phase {
		case atStart:
			if b[0] == '\r' {
				p.phase, p.scan = atBlank, 1
				continue
			}
			p.phase = inMethod
		case atBlank:
			if b[1] != '\n' {
				return errBlank
			}
			p.phase, p.pos, p.scan, p.Head.Start = inMethod, 2, 2, 2
		case inMethod:
			err = p.method(b)
		case inTarget:
			err = p.targetPart(b)
		case inVersion:
			err = p.version(b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *Parser) method(b []byte) *Error {
	p.scan += run(b[p.scan:], isToken)
	size := p.scan - p.pos
	switch {
	case size > maxMethod:
		return errMethodLong
	case p.scan == len(b):
		return nil
	case b[p.scan] != ' ' || size == 0:
		return errMethod
	}
	m := b[p.pos:p.scan]
	p.Head.Method = span(p.pos, p.scan)
	p.options, p.connect, p.isHead = string(m) == "OPTIONS", string(m) == "CONNECT", string(m) == "HEAD"
	p.next(inTarget)
	return nil
}

func (p *Parser) targetPart(b []byte) *Error {
	p.scan += run(b[p.scan:], isTarget)
	size := p.scan - p.pos
	switch {
	case size > p.target:
		return errTargetLong
	case p.scan == len(b):
		return nil
	case b[p.scan] != ' ' || size == 0:
		return errTarget
	case p.scan >= p.head: // only with a limit for heads below the one for targets
		return errHeadLong
	}
	p.Head.Target = span(p.pos, p.scan)
	p.next(inVersion)
	return nil
}

// version wants eight bytes and CRLF. A well-formed version that is not served
// is told apart (505) from one that is not well formed (400).
func (p *Parser) version(b []byte) *Error {
	const shape = "HTTP/d.d\r\n"
	for ; p.scan < len(b); p.scan++ {
		i, c := p.scan-p.pos, b[p.scan]
		if shape[i] == 'd' && !is(c, isDigit) || shape[i] != 'd' && c != shape[i] {
			return errVersion
		}
		if i < len(shape)-1 {
			continue
		}
		major, minor := b[p.pos+5], b[p.pos+7]
		if major != '1' || minor > '1' {
			return errVersionUnkn
		}
		p.Head.Minor = minor - '0'
		p.next(inFields)
		return p.checkTarget(p.Head.Target.Of(b))
	}
	return nil
}

func (p *Parser) next(ph phase) {
	p.scan++
	p.phase, p.pos = ph, p.scan
}

// fieldLines is RFC 9112 section 5; true after the empty line that ends the head.
func (p *Parser) fieldLines(b []byte) (bool, *Error) {
	for {
		i := bytes.IndexByte(b[p.scan:], '\n')
		if i < 0 {
			p.scan = len(b)
			return false, nil
		}
		end := p.scan + i
		if end >= p.head {
			return false, errHeadLong
		}
		p.scan = end + 1
		// A lone LF could end the line for one reader and not for the next one
		// (RFC 9112 section 2.2 leaves it open), so it ends the connection.
		if end == p.pos || b[end-1] != '\r' {
			return false, errBareLF
		}
		if end-1 == p.pos {
			p.Head.End = p.scan
			err := p.finish(b)
			return err == nil, err
		}
		if p.Head.count == p.lines {
			return false, errHeadLines
		}
		if err := p.field(b, p.pos, end-1); err != nil {
			return false, err
		}
		p.pos = p.scan
	}
}

// field takes the line b[from:to], without its CRLF.
func (p *Parser) field(b []byte, from, to int) *Error {
	line := b[from:to]
	if line[0] == ' ' || line[0] == '\t' {
		return errFold // RFC 9112 section 5.2
	}
	// White space before the colon must be refused: RFC 9112 section 5.1.
	n := run(line, isToken)
	if n == 0 || n == len(line) || line[n] != ':' {
		return errFieldName
	}
	if !fieldText(line[n+1:]) {
		return errFieldValue
	}
	first, last := from+n+1, to
	for first < last && (b[first] == ' ' || b[first] == '\t') {
		first++
	}
	for last > first && (b[last-1] == ' ' || b[last-1] == '\t') {
		last--
	}
	f := &p.Head.fields[p.Head.count]
	f.Name, f.Value = span(from, from+n), span(first, last)
	p.Head.count++
	return p.meaning(line[:n], f.Value, b)
}
