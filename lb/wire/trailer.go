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
	name := c.name[:min(c.named, len(c.name))]
	if c.named == len(name) && forbiddenTrailer(name) || !c.answer && forgedTrailer(name, c.named) {
		return errTrailerName
	}
	c.state = trailerValue
	return nil
}

// trailerNames checks the value of a Trailer field: what must not come in a
// trailer must not be announced either.
func trailerNames(list []byte) *Error {
	for list != nil {
		var one []byte
		one, list = element(list)
		if refusedTrailer(one) {
			return errTrailerName
		}
	}
	return nil
}

// refusedTrailer reports whether a field, in any case of letters, must not come
// in the trailer section of a request.
func refusedTrailer[T []byte | string](name T) bool {
	var lower [maxForbidden]byte
	first := lower[:min(len(name), len(lower))]
	for i := range first {
		first[i] = toLower(name[i])
	}
	return forgedTrailer(first, len(name))
}

// ForbiddenTrailer reports whether a field, in any case of letters, must not come
// in a trailer section, neither of a request nor of a response.
func ForbiddenTrailer(name string) bool {
	return len(name) <= maxForbidden && forbiddenTrailer([]byte(strings.ToLower(name)))
}

// forgedTrailer reports whether a trailer field of a request is forbidden, or
// could be taken for a field that only Holdfast sends. first are the first bytes
// of its name, in lower case, of n: up to maxForbidden. It is changed, since many
// applications get fields as variables, in whose names all that is neither a
// letter nor a digit is the same.
func forgedTrailer(first []byte, n int) bool {
	for i, c := range first {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			first[i] = '-'
		}
	}
	for _, own := range [...]string{"x-forwarded-", "x-holdfast-", "client-cert", "x-client-cert"} {
		if len(first) >= len(own) && string(first[:len(own)]) == own {
			return true
		}
	}
	return n == len(first) && forbiddenTrailer(first)
}

// maxForbidden is no less than the length of any name that forbiddenTrailer has.
const maxForbidden = 24

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
