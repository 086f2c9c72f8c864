package h1

import "github.com/holdfast-lb/holdfast/lb/wire"

// lines is a set of the lines of a head, by index.
type lines [2]uint64

func (s *lines) add(i int)      { s[i>>6&1] |= 1 << (i & 63) }
func (s *lines) has(i int) bool { return s[i>>6&1]&(1<<(i&63)) != 0 }
func (s lines) empty() bool     { return s == lines{} }

// oneHop finds the fields that concern one connection only (RFC 9110 section 7.6.1; Keep-Alive and Proxy-Connection are older) or the framing, which
// h1 writes itself: they are not passed on. Trailer is kept where trailers are. special says that there is a TE, or an Expect.
func oneHop(fields []wire.Field, b []byte, chunked bool) (drop lines, special bool) {
	var listed lines // Connection lines that name something
	for i := range fields {
		name := fields[i].Name.Of(b)
		switch len(name) {
		case 2:
			if !wire.Fold(name, "te") {
				continue
			}
			special = true
		case 6:
			special = special || wire.Fold(name, "expect")
			continue
		case 7:
			if !wire.Fold(name, "upgrade") && (chunked || !wire.Fold(name, "trailer")) {
				continue
			}
		case 10:
			if wire.Fold(name, "connection") {
				if namesFields(fields[i].Value.Of(b)) {
					listed.add(i)
				}
			} else if !wire.Fold(name, "keep-alive") {
				continue
			}
		case 14:
			if !wire.Fold(name, "content-length") {
				continue
			}
		case 16:
			if !wire.Fold(name, "proxy-connection") {
				continue
			}
		case 17:
			if !wire.Fold(name, "transfer-encoding") {
				continue
			}
		case 18:
			if !wire.Fold(name, "proxy-authenticate") {
				continue
			}
		case 19:
			if !wire.Fold(name, "proxy-authorization") {
				continue
			}
		default:
			continue
		}
		drop.add(i)
	}
	if !listed.empty() {
		for i := range fields {
			if listed.has(i) {
				dropListed(&drop, fields, b, fields[i].Value.Of(b))
			}
		}
	}
	return drop, special
}

// namesFields reports whether a Connection list has more than the options that name no field; the usual values are told apart by a look.
func namesFields(list []byte) bool {
	for list != nil {
		var one []byte
		if one, list = element(list); len(one) > 0 && !wire.Fold(one, "keep-alive") && !wire.Fold(one, "close") {
			return true
		}
	}
	return false
}

func dropListed(drop *lines, fields []wire.Field, b, list []byte) {
	for list != nil {
		var one []byte
		if one, list = element(list); len(one) == 0 || endToEnd(one) {
			continue
		}
		for i := range fields {
			if wire.FoldBytes(fields[i].Name.Of(b), one) {
				drop.add(i)
			}
		}
	}
}

// endToEnd are fields that Connection must not make disappear, or a client could hide from the instance what it relies on.
func endToEnd(name []byte) bool {
	switch len(name) {
	case 4:
		return wire.Fold(name, "host")
	case 6:
		return wire.Fold(name, "cookie")
	case 10:
		return wire.Fold(name, "set-cookie")
	case 12:
		return wire.Fold(name, "content-type")
	case 13:
		return wire.Fold(name, "authorization")
	case 14:
		return wire.Fold(name, "content-length")
	case 15:
		return wire.Fold(name, "x-forwarded-for")
	case 16:
		return wire.Fold(name, "x-forwarded-host")
	case 17:
		return wire.Fold(name, "x-forwarded-proto")
	}
	return false
}

// element cuts the first element of a comma-separated list.
func element(list []byte) (first, rest []byte) {
	for i, c := range list {
		if c == ',' {
			return wire.Trim(list[:i]), list[i+1:]
		}
	}
	return wire.Trim(list), nil
}
