package markup

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

var declaration = regexp.MustCompile(`^<\?xml[ \t\r\n]+version[ \t\r\n]*=[ \t\r\n]*(?:"1\.[0-9]"|'1\.[0-9]')(?:[ \t\r\n]+encoding[ \t\r\n]*=[ \t\r\n]*(?:"([^"]{1,40})"|'([^']{1,40})'))?(?:[ \t\r\n]+standalone[ \t\r\n]*=[ \t\r\n]*(?:"yes"|"no"|'yes'|'no'))?[ \t\r\n]*\?>`)

// toUTF8 finds the encoding and gives the text in UTF-8 and the length of the XML declaration at its beginning.
func toUTF8(data []byte) (text []byte, skip int, err *Error) {
	if len(data) > MaxInput {
		return nil, 0, &Error{1, 1, fmt.Sprintf("the file has %d bytes, at most %d are read", len(data), MaxInput)}
	}
	for _, bom := range []string{"\xff\xfe", "\xfe\xff", "\x00<", "<\x00"} {
		if bytes.HasPrefix(data, []byte(bom)) {
			return nil, 0, &Error{1, 1, "the file is in UTF-16 or UTF-32, which is refused because filters in front read it differently; store it as UTF-8"}
		}
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	latin := false
	if bytes.HasPrefix(data, []byte("<?xml")) && len(data) > 5 && strings.IndexByte(" \t\r\n?", data[5]) >= 0 {
		m := declaration.FindSubmatch(data[:min(len(data), 1000)])
		if m == nil {
			return nil, 0, &Error{1, 1, `the XML declaration is not one; write <?xml version="1.0" encoding="UTF-8"?>`}
		}
		skip = len(m[0])
		name := string(m[1]) + string(m[2])
		switch strings.ToUpper(name) {
		case "", "UTF-8", "UTF8", "US-ASCII", "ASCII":
		case "ISO-8859-1", "ISO_8859-1", "LATIN1", "LATIN-1", "ISO8859-1", "ISO8859_1":
			latin = true
		default:
			return nil, 0, &Error{1, 1, fmt.Sprintf("encoding %q is refused, because filters in front read it differently; store the file as UTF-8 or ISO-8859-1", name)}
		}
	}
	if latin {
		wide := make([]byte, 0, len(data)+len(data)/8)
		for _, c := range data {
			wide = utf8.AppendRune(wide, rune(c))
		}
		data = wide
	}
	return data, skip, nil
}

// checkRune refuses what XML 1.0 (2.2) does not allow.
func validRune(r rune) bool {
	switch {
	case r == '\t', r == '\n', r == '\r':
		return true
	case r < ' ', r == 0x7f, r >= 0xd800 && r <= 0xdfff, r == 0xfffe, r == 0xffff, r > 0x10ffff:
		return false
	}
	return true
}
