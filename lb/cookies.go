package lb

import (
	"strconv"
	"strings"
	"time"
)

// maxCandidates bounds how many cookies of one name are tried: each costs a decryption or a keyed hash and a look-up.
const maxCandidates = 16

// cookieScan walks the values of the request cookies of one name. It does not allocate.
type cookieScan struct {
	lines []string
	rest  string
	name  string
	left  int
}

func scanCookies(lines []string, name string) cookieScan {
	return cookieScan{lines: lines, name: name, left: maxCandidates}
}

// next gives the next value; "" and false at the end. Empty and over-long values are passed over.
func (s *cookieScan) next() (string, bool) {
	for s.left > 0 {
		if s.rest == "" {
			if len(s.lines) == 0 {
				return "", false
			}
			s.rest, s.lines = s.lines[0], s.lines[1:]
		}
		var pair string
		pair, s.rest, _ = strings.Cut(s.rest, ";")
		name, value, found := strings.Cut(pair, "=")
		if !found || strings.TrimSpace(name) != s.name {
			continue
		}
		if value = unquote(strings.TrimSpace(value)); value == "" || len(value) > maxSessionIDLen {
			continue
		}
		s.left--
		return value, true
	}
	return "", false
}

// unquote removes the quotes that RFC 6265, 4.1.1 allows around a cookie's value.
func unquote(v string) string {
	if len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"' {
		return v[1 : len(v)-1]
	}
	return v
}

// setCookie gives the name and value of one Set-Cookie line; ok is false for a malformed line, one without a value and one
// that deletes the cookie. Attributes are read as RFC 6265, 5.2 says: Max-Age beats Expires, the last of a kind counts.
func setCookie(line string, now time.Time) (name, value string, ok bool) {
	pair, attributes, _ := strings.Cut(line, ";")
	name, value, ok = strings.Cut(pair, "=")
	name, value = strings.TrimSpace(name), unquote(strings.TrimSpace(value))
	if !ok || name == "" || value == "" || len(value) > maxSessionIDLen || deleted(attributes, now) {
		return "", "", false
	}
	return name, value, true
}

// deleted reports whether the attributes of a Set-Cookie line make the client forget the cookie.
func deleted(attributes string, now time.Time) bool {
	var byAge, hasAge, byDate bool
	for a := range strings.SplitSeq(attributes, ";") {
		name, value, _ := strings.Cut(a, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		switch {
		case strings.EqualFold(name, "Max-Age"):
			if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
				byAge, hasAge = seconds <= 0, true
			}
		case strings.EqualFold(name, "Expires"):
			if t, err := cookieTime(value); err == nil {
				byDate = !t.After(now)
			}
		}
	}
	if hasAge {
		return byAge
	}
	return byDate
}

// cookieTime reads the two date forms that servers send: RFC 1123 and Tomcat's with dashes.
func cookieTime(s string) (time.Time, error) {
	if t, err := time.Parse(time.RFC1123, s); err == nil {
		return t, nil
	}
	return time.Parse("Mon, 02-Jan-2006 15:04:05 MST", s)
}
