package wire

// checkTarget allows the origin form, the absolute form for http and https and
// the asterisk form for OPTIONS (RFC 9112 section 3.2).
func (p *Parser) checkTarget(t []byte) *Error {
	switch {
	case p.connect:
		// Not 405: no resource here has tunnels, and a 405 must list what the
		// resource allows (RFC 9110 sections 15.5.6 and 15.6.2).
		return errConnect
	case t[0] == '/':
		return checkPath(t)
	case len(t) == 1 && t[0] == '*':
		if !p.options {
			return errTargetForm
		}
		return nil
	}
	n := schemeLen(t)
	if n == 0 {
		return errTarget
	}
	from := int(p.Head.Target.Off) + n
	t = t[n:]
	size := 0
	for size < len(t) && t[size] != '/' && t[size] != '?' {
		size++
	}
	// No user information: RFC 9110 section 4.2.4. No empty host: 4.2.1.
	if !validAuthority(t[:size]) {
		return errTarget
	}
	p.authority = span(from, from+size)
	return checkPath(t[size:])
}

func schemeLen(t []byte) int {
	for _, s := range []string{"http://", "https://"} {
		if len(t) > len(s) && Fold(t[:len(s)], s) {
			return len(s)
		}
	}
	return 0
}

// checkPath wants every '%' of the path to begin an escape. In the query a lone
// '%' is wrong too (RFC 3986 section 2.1), but common, and nobody decodes it on
// the way.
func checkPath(t []byte) *Error {
	for i := 0; i < len(t); i++ {
		switch t[i] {
		case '?':
			return nil
		case '%':
			if i+2 >= len(t) || !is(t[i+1], isHex) || !is(t[i+2], isHex) {
				return errEscape
			}
			i += 2
		}
	}
	return nil
}

// validAuthority reports whether b is host[:port] with a DNS name, an IPv4 or a
// bracketed IPv6 address. RFC 3986 section 3.2.2 would allow sub-delimiters and
// escapes in a name too; no DNS name has them, and a comma or an encoded slash
// is read in different ways.
func validAuthority(b []byte) bool {
	var n int
	if len(b) > 0 && b[0] == '[' {
		n = 1
		for n < len(b) && b[n] != ']' {
			n++
		}
		if n == len(b) || !validIPv6(b[1:n]) {
			return false
		}
		n++
	} else {
		n = run(b, isHost)
		if n == 0 || n > 255 {
			return false
		}
	}
	return n == len(b) || b[n] == ':' && validPort(b[n+1:])
}

// validPort allows an empty port, as RFC 3986 section 3.2.3 does.
func validPort(b []byte) bool {
	if len(b) > 5 || run(b, isDigit) != len(b) {
		return false
	}
	n := 0
	for _, c := range b {
		n = n*10 + int(c-'0')
	}
	return n <= 65535
}

// validIPv6 is RFC 3986 section 3.2.2 without zones.
func validIPv6(b []byte) bool {
	groups, gap := 0, false
	if len(b) >= 2 && b[0] == ':' && b[1] == ':' {
		gap, b = true, b[2:]
	}
	for len(b) > 0 {
		n := run(b, isHex)
		if n < len(b) && b[n] == '.' {
			if !validIPv4(b) {
				return false
			}
			groups, b = groups+2, nil
			break
		}
		if n == 0 || n > 4 {
			return false
		}
		groups, b = groups+1, b[n:]
		switch {
		case len(b) == 0:
		case len(b) == 1 || b[0] != ':':
			return false
		case b[1] == ':':
			if gap {
				return false
			}
			gap, b = true, b[2:]
		default:
			b = b[1:]
		}
	}
	return groups == 8 && !gap || groups < 8 && gap
}

func validIPv4(b []byte) bool {
	for part := range 4 {
		n := run(b, isDigit)
		if n == 0 || n > 3 || n > 1 && b[0] == '0' {
			return false
		}
		v := 0
		for _, c := range b[:n] {
			v = v*10 + int(c-'0')
		}
		if v > 255 {
			return false
		}
		b = b[n:]
		if part < 3 {
			if len(b) == 0 || b[0] != '.' {
				return false
			}
			b = b[1:]
		}
	}
	return len(b) == 0
}
