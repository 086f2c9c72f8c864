package h1

import "github.com/holdfast-lb/holdfast/lb/wire"

// Answers are told in HPACK without its dynamic table, and without Huffman's code: what a connection keeps for its clients does not grow, and nothing is looked up but a name among 61. Clients
// must take that (RFC 7541, section 6.2.2), and HAProxy does the same.

// hpackNames are the names of the static table that a response may have (RFC 7541, appendix A), by their length.
var hpackNames = func() (byLength [32][]hpackName) {
	for _, n := range []hpackName{
		{"accept-ranges", 18}, {"access-control-allow-origin", 20}, {"age", 21}, {"allow", 22}, {"cache-control", 24}, {"content-disposition", 25},
		{"content-encoding", 26}, {"content-language", 27}, {"content-length", 28}, {"content-location", 29}, {"content-range", 30}, {"content-type", 31},
		{"date", 33}, {"etag", 34}, {"expires", 36}, {"last-modified", 44}, {"link", 45}, {"location", 46}, {"proxy-authenticate", 48}, {"refresh", 52},
		{"retry-after", 53}, {"server", 54}, {"set-cookie", 55}, {"strict-transport-security", 56}, {"vary", 59}, {"via", 60}, {"www-authenticate", 61},
		// Of requests, for the way to the other engine.
		{":authority", 1}, {":method", 2}, {":path", 4}, {":scheme", 6}, {"accept", 19}, {"accept-encoding", 16}, {"accept-language", 17}, {"authorization", 23}, {"cookie", 32},
		{"expect", 35}, {"from", 37}, {"host", 38}, {"if-match", 39}, {"if-modified-since", 40}, {"if-none-match", 41}, {"if-range", 42}, {"if-unmodified-since", 43},
		{"max-forwards", 47}, {"range", 50}, {"referer", 51}, {"user-agent", 58},
	} {
		byLength[len(n.name)] = append(byLength[len(n.name)], n)
	}
	return byLength
}()

type hpackName struct {
	name  string
	index byte
}

// hpackStatus is the index of a whole field :status; 0 where the table has none.
func hpackStatus(status int) byte {
	switch status {
	case 200:
		return 8
	case 204:
		return 9
	case 206:
		return 10
	case 304:
		return 11
	case 400:
		return 12
	case 404:
		return 13
	case 500:
		return 14
	}
	return 0
}

// appendHpackStatus adds :status to a block; status has three digits.
func appendHpackStatus(dst []byte, status int) []byte {
	if i := hpackStatus(status); i > 0 {
		return append(dst, 0x80|i)
	}
	return append(dst, 8, 3, '0'+byte(status/100), '0'+byte(status/10%10), '0'+byte(status%10))
}

// appendHpackName begins a field that is in no table and comes into none. The name is told in lower case, as it must be.
func appendHpackName[T []byte | string](dst []byte, name T) []byte {
	if len(name) < len(hpackNames) {
		for _, n := range hpackNames[len(name)] {
			if foldSame(name, n.name) {
				return appendHpackInt(dst, 0, 4, int(n.index))
			}
		}
	}
	dst = appendHpackInt(append(dst, 0), 0, 7, len(name))
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	return dst
}

// foldSame is wire.Fold for both kinds; lengths are equal.
func foldSame[T []byte | string](name T, lower string) bool {
	for i := range len(lower) {
		if c := name[i]; c != lower[i] && (c|0x20 != lower[i] || c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// appendHpackField adds a field.
func appendHpackField[N, V []byte | string](dst []byte, name N, value V) []byte {
	dst = appendHpackName(dst, name)
	return append(appendHpackInt(dst, 0, 7, len(value)), value...)
}

// appendHpackInt adds a number behind the high bits of its first byte (RFC 7541, section 5.1); bits is how many are left to it there.
func appendHpackInt(dst []byte, high byte, bits uint, n int) []byte {
	most := 1<<bits - 1
	if n < most {
		return append(dst, high|byte(n))
	}
	dst = append(dst, high|byte(most))
	for n -= most; n >= 0x80; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	return append(dst, byte(n))
}

// appendHpackLines adds the fields of lines that end with CRLF each, as Edits and the parsers of trailers keep them, without those that pass says no to (nil: all pass).
func appendHpackLines(dst, lines []byte, pass func(name []byte) bool) []byte {
	for len(lines) > 0 {
		var name, value []byte
		if name, value, lines = cutLine(lines); len(name) > 0 && (pass == nil || pass(name)) {
			dst = appendHpackField(dst, name, value)
		}
	}
	return dst
}

// cutLine parts the first line, whose name is empty when it is none of a field.
func cutLine(lines []byte) (name, value, rest []byte) {
	colon, end := -1, len(lines)
	for i, c := range lines {
		if c == ':' && colon < 0 {
			colon = i
		}
		if c == '\n' {
			end = i + 1
			break
		}
	}
	line := lines[:end]
	if rest = lines[end:]; colon < 0 {
		return nil, nil, rest
	}
	for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
		line = line[:len(line)-1]
	}
	return line[:colon], wire.Trim(line[colon+1:]), rest
}

// appendHpackFields adds the lines of a head that stay, edited, as appendLines does.
func (e *Edits) appendHpackFields(dst, b []byte, fields []wire.Field, hop lines) []byte {
	for i := range fields {
		switch {
		case hop.has(i) || e.drop.has(i):
		case e.set.has(i):
			s := e.setFor(i)
			dst = appendHpackField(dst, fields[i].Name.Of(b), e.text[s.from:s.to])
		default:
			dst = appendHpackField(dst, fields[i].Name.Of(b), fields[i].Value.Of(b))
		}
	}
	return appendHpackLines(dst, e.add, nil)
}
