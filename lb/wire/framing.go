package wire

import "math"

// meaning looks at the fields that decide about host, framing and connection.
func (p *Parser) meaning(name []byte, at Span, b []byte) *Error {
	value := at.Of(b)
	switch {
	case len(name) < 4 || len(name) > 17:
	case Fold(name, "host"):
		if p.host {
			return errHostTwice // RFC 9112 section 3.2
		}
		p.host, p.Head.Host = true, at
		if !validAuthority(value) {
			return errHost
		}
	case Fold(name, "content-length"):
		return p.contentLength(value)
	case Fold(name, "transfer-encoding"):
		return p.transferEncoding(value)
	case Fold(name, "connection"):
		return p.connection(value)
	case Fold(name, "upgrade"):
		p.upgrade = p.upgrade || len(value) > 0
	case Fold(name, "expect"):
		p.Head.Continue = p.Head.Minor == 1 && Fold(value, "100-continue")
	case Fold(name, "trailer"):
		return trailerNames(value)
	}
	return nil
}

// contentLength takes one line of digits and nothing else. RFC 9110 section 8.6
// allows a recipient to merge equal values; a reader behind us may not. Zeros
// in front are legal too, but some readers take them for octal.
func (p *Parser) contentLength(value []byte) *Error {
	if p.length {
		return errLengthTwice
	}
	p.length = true
	if len(value) == 0 || run(value, isDigit) != len(value) || len(value) > 1 && value[0] == '0' {
		return errLength
	}
	var n int64
	for _, c := range value {
		d := int64(c - '0')
		if n > (math.MaxInt64-d)/10 {
			return errLengthLarge
		}
		n = n*10 + d
	}
	p.Head.Length = n
	return nil
}

// transferEncoding takes the one coding chunked, once, in any case of letters
// (RFC 9112 section 7). Other codings before a last chunked are 501 (section
// 6.1); where chunked is not last the end is unknown, which is 400 (section 6.3).
func (p *Parser) transferEncoding(value []byte) *Error {
	switch {
	case p.Head.Minor == 0:
		return errCodingOld // section 6.1: faulty framing
	case p.coding:
		return errCodingTwice
	}
	p.coding = true
	if Fold(value, "chunked") {
		p.chunked = true
		return nil
	}
	known := false
	for rest := value; rest != nil; {
		var one []byte
		one, rest = element(rest)
		if known || len(one) == 0 || run(one, isToken) != len(one) {
			return errCoding
		}
		known = Fold(one, "chunked")
	}
	if known {
		return errCodingUnkn
	}
	return errCoding
}

// connection reads the options. They are few: each may name a field, and whoever takes those out compares it with all that there are.
func (p *Parser) connection(list []byte) *Error {
	for list != nil {
		var one []byte
		one, list = element(list)
		if p.listed++; p.listed > MaxOptions {
			return errOptions
		}
		switch {
		case Fold(one, "close"):
			p.closes = true
		case Fold(one, "keep-alive"):
			p.keeps = true
		case Fold(one, "upgrade"):
			p.wantsSwitch = true
		}
	}
	return nil
}

// finish judges what only the whole head can tell.
func (p *Parser) finish(b []byte) *Error {
	h := &p.Head
	switch {
	case !p.host && h.Minor == 1:
		return errHostNone
	case p.coding && p.length:
		return errBoth // RFC 9112 section 6.3 allows it to be an error, 11.2 says why
	}
	if p.authority.Len > 0 {
		// RFC 9112 section 3.2: a client must send the authority of its target as
		// Host. 3.2.2 would have the target win; whoever reads only Host would not.
		if p.host && !FoldBytes(p.authority.Of(b), h.Host.Of(b)) {
			return errAuthority
		}
		h.Host = p.authority
	}
	switch {
	case p.chunked:
		h.Framing = FramingChunked
	case h.Length > 0:
		h.Framing = FramingLength
	}
	h.KeepAlive = !p.closes && (h.Minor == 1 || p.keeps)
	h.Upgrade = h.Minor == 1 && p.upgrade && p.wantsSwitch
	return nil
}
