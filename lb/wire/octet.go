package wire

import "encoding/binary"

// Classes of octets, one bit each.
const (
	isToken  = 1 << iota // RFC 9110 section 5.6.2
	isTarget             // visible ASCII but '#': RFC 9112 section 3.2 has no fragment in a target
	isHost               // the letters of DNS names and IPv4 addresses
	isHex
	isDigit
	isQuoted // qdtext in ASCII, RFC 9110 section 5.6.4
	isField  // field-content with its blanks, RFC 9110 section 5.5
)

var octet = func() (table [256]uint8) {
	set := func(class uint8, octets string) {
		for i := range len(octets) {
			table[octets[i]] |= class
		}
	}
	const digits = "0123456789"
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	set(isToken, "!#$%&'*+-.^_`|~"+digits+letters)
	set(isHost, "-._~"+digits+letters)
	set(isHex, digits+"abcdefABCDEF")
	set(isDigit, digits)
	for c := 0; c < 256; c++ {
		if c > ' ' && c < 0x7f && c != '#' {
			table[c] |= isTarget
		}
		if c == '\t' || c >= ' ' && c < 0x7f && c != '"' && c != '\\' {
			table[c] |= isQuoted
		}
		if c == '\t' || c >= ' ' && c != 0x7f {
			table[c] |= isField
		}
	}
	return table
}()

func is(c byte, class uint8) bool { return octet[c]&class != 0 }

// run gives the length of the prefix of b that is all of the class.
func run(b []byte, class uint8) int {
	for i, c := range b {
		if octet[c]&class == 0 {
			return i
		}
	}
	return len(b)
}

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// fieldText reports whether b holds no control octet but tabs. Eight octets at
// a time: a word has an octet below 0x20 if the subtraction borrows into a
// high bit that was clear, and a DEL if it is zero after exclusive or. A borrow
// may cross octets, so a hit is only a reason to look closely.
func fieldText(b []byte) bool {
	for len(b) >= 8 {
		w := binary.LittleEndian.Uint64(b)
		d := w ^ 0x7f*lowBits
		if ((w-0x20*lowBits)&^w|(d-lowBits)&^d)&highBits != 0 && run(b[:8], isField) < 8 {
			return false
		}
		b = b[8:]
	}
	return run(b, isField) == len(b)
}

// Fold compares b with a name in lower case, ASCII letters in any case.
func Fold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := range len(lower) {
		if toLower(b[i]) != lower[i] {
			return false
		}
	}
	return true
}

// FoldBytes compares two names, ASCII letters in any case.
func FoldBytes(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if toLower(a[i]) != toLower(b[i]) {
			return false
		}
	}
	return true
}

func toLower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// Trim removes optional white space (RFC 9110 section 5.6.3) from both ends.
func Trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// element cuts the first element of a comma-separated list.
func element(list []byte) (first, rest []byte) {
	for i, c := range list {
		if c == ',' {
			return Trim(list[:i]), list[i+1:]
		}
	}
	return Trim(list), nil
}
