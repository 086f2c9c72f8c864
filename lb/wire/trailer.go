package wire

import "strings"

// stepTrailer is RFC 9112 section 7.1.2: field lines until an empty one.
func (c *Chunked) stepTrailer(b byte) *Error {
	c.trailers++
	if c.trailers > maxTrailers {
		return errTrailerLong
	}
	switch c.state {
	case trailerStart:
		if b == '\r' {
			c.state = trailerEndLF
			return nil
		}
		c.state, c.named = trailerName, 0
		return c.stepTrailerName(b)
	case trailerName:
		return c.stepTrailerName(b)
	case trailerValue:
		if is(b, isField) {
			return nil
		}
		return c.want(b, '\r', trailerLF, errTrailer)
	case trailerLF:
		return c.want(b, '\n', trailerStart, errTrailer)
	}
	return c.want(b, '\n', chunkDone, errTrailer)
}

func (c *Chunked) stepTrailerName(b byte) *Error {
	if is(b, isToken) {
		if c.named < len(c.name) {
			c.name[c.named] = toLower(b)
		}
		c.named++
		return nil
	}
	if b != ':' || c.named == 0 {
		return errTrailer
	}
	if c.named <= len(c.name) && forbiddenTrailer(c.name[:c.named]) {
		return errTrailerName
	}
	c.state = trailerValue
	return nil
}

// trailerNames checks the value of a Trailer field: what must not come in a
// trailer must not be announced either.
func trailerNames(list []byte) *Error {
	var lower [24]byte
	for list != nil {
		var one []byte
		one, list = element(list)
		if len(one) > len(lower) {
			continue
		}
		for i, c := range one {
			lower[i] = toLower(c)
		}
		if forbiddenTrailer(lower[:len(one)]) {
			return errTrailerName
		}
	}
	return nil
}

// ForbiddenTrailer reports whether a field, in any case of letters, must not come
// in a trailer section, neither of a request nor of a response.
func ForbiddenTrailer(name string) bool {
	return len(name) <= 24 && forbiddenTrailer([]byte(strings.ToLower(name)))
}

// forbiddenTrailer names the fields for framing, routing, conditions,
// authentication and content format (RFC 9110 section 6.5.1), and those that
// say who the client is. Names are in lower case; the longest has 21 bytes.
func forbiddenTrailer(name []byte) bool {
	switch string(name) {
	case "content-length", "transfer-encoding", "trailer", "te", "connection",
		"keep-alive", "proxy-connection", "upgrade", "host", "expect",
		"max-forwards", "cache-control", "pragma", "range", "if-match",
		"if-none-match", "if-modified-since", "if-unmodified-since", "if-range",
		"authorization", "proxy-authorization", "proxy-authenticate",
		"www-authenticate", "cookie", "set-cookie", "content-encoding",
		"content-type", "content-range", "forwarded", "x-forwarded-for",
		"x-forwarded-host", "x-forwarded-proto", "client-cert",
		"client-cert-chain", "x-client-cert-subject":
		return true
	}
	return false
}
