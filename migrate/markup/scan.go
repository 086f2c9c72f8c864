package markup

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// scanner walks over the text and knows where it is.
type scanner struct {
	text         []byte
	at           int
	line, column int
	lenient      bool
	elements     int
}

// place is a position to go back to in messages.
type place struct{ line, column int }

func (s *scanner) here() place { return place{s.line, s.column} }

func (p place) errorf(format string, args ...any) *Error {
	return &Error{p.line, p.column, fmt.Sprintf(format, args...)}
}

func (s *scanner) errorf(format string, args ...any) *Error { return s.here().errorf(format, args...) }

func (s *scanner) end() bool { return s.at >= len(s.text) }

// peek gives the next byte, 0 at the end: NUL itself has been refused by then.
func (s *scanner) peek() byte {
	if s.end() {
		return 0
	}
	return s.text[s.at]
}

func (s *scanner) has(prefix string) bool {
	return len(s.text)-s.at >= len(prefix) && string(s.text[s.at:s.at+len(prefix)]) == prefix
}

// next takes one character.
func (s *scanner) next() rune {
	r, n := utf8.DecodeRune(s.text[s.at:])
	s.at += n
	if r == '\n' || r == '\r' && s.peek() != '\n' {
		s.line++
		s.column = 1
	} else if r != '\r' {
		s.column++
	}
	return r
}

func (s *scanner) skip(n int) {
	for end := min(s.at+n, len(s.text)); s.at < end; {
		s.next()
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func (s *scanner) spaces() (any bool) {
	for isSpace(s.peek()) {
		s.next()
		any = true
	}
	return any
}

// until skips to behind the mark.
func (s *scanner) until(mark, what string) *Error {
	begin := s.here()
	for !s.end() {
		if s.has(mark) {
			s.skip(len(mark))
			return nil
		}
		s.next()
	}
	return begin.errorf("%s has no end: %q is missing", what, mark)
}

func nameRune(r rune, first bool) bool {
	switch {
	case r == '_' || r == ':', r != utf8.RuneError && unicode.IsLetter(r):
		return true
	case first:
		return false
	}
	return r == '-' || r == '.' || unicode.IsDigit(r)
}

// name reads the name of an element or an attribute.
func (s *scanner) name(what string) (string, *Error) {
	begin, from := s.here(), s.at
	for !s.end() {
		r, _ := utf8.DecodeRune(s.text[s.at:])
		if !nameRune(r, s.at == from) {
			break
		}
		s.next()
		if s.at-from > maxName {
			return "", begin.errorf("the %s has more than %d characters", what, maxName)
		}
	}
	if s.at == from {
		if s.end() {
			return "", s.errorf("the file ends where the %s must be; it is truncated", what)
		}
		r, _ := utf8.DecodeRune(s.text[s.at:])
		return "", s.errorf("the %s cannot begin with %q", what, r)
	}
	return string(s.text[from:s.at]), nil
}

// checkText refuses characters that no configuration has; NUL and control characters are how readers are made to disagree.
func checkText(s scanner) *Error {
	for !s.end() {
		begin := s.here()
		at := s.at
		r := s.next()
		if r == utf8.RuneError && s.at == at+1 {
			return begin.errorf("byte 0x%02X is not UTF-8; store the file as UTF-8, or declare encoding=\"ISO-8859-1\"", s.text[at])
		}
		if !validRune(r) {
			return begin.errorf("the character U+%04X is not allowed", r)
		}
	}
	return nil
}

// reference reads an entity or a character reference and gives what it stands for.
func (s *scanner) reference() (string, *Error) {
	begin := s.here()
	end := strings.IndexByte(string(s.text[s.at:min(s.at+maxName, len(s.text))]), ';')
	if end < 0 {
		return "", begin.errorf("& begins a reference that has no end; write &amp; for the character")
	}
	ref := string(s.text[s.at+1 : s.at+end])
	s.skip(end + 1)
	switch ref {
	case "lt":
		return "<", nil
	case "gt":
		return ">", nil
	case "amp":
		return "&", nil
	case "quot":
		return `"`, nil
	case "apos":
		return "'", nil
	}
	if digits, ok := strings.CutPrefix(ref, "#"); ok {
		r, ok := charRef(digits)
		if !ok {
			return "", begin.errorf("&%s; is not the number of a character that is allowed", clip(ref))
		}
		return string(r), nil
	}
	return "", begin.errorf("entity &%s; is refused: only &lt; &gt; &amp; &quot; and &apos; are read, since declared ones can read files and grow without bound", clip(ref))
}

func charRef(digits string) (rune, bool) {
	base := rune(10)
	if rest, ok := strings.CutPrefix(digits, "x"); ok {
		base, digits = 16, rest
	}
	if digits == "" || len(digits) > 8 {
		return 0, false
	}
	r := rune(0)
	for _, c := range []byte(strings.ToLower(digits)) {
		v := strings.IndexByte("0123456789abcdef", c)
		if v < 0 || rune(v) >= base || r > 0x10ffff {
			return 0, false
		}
		r = r*base + rune(v)
	}
	return r, validRune(r)
}

func clip(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "..."
	}
	return s
}
