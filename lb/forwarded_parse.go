package lb

import (
	"net/netip"
	"slices"
	"strings"
)

// hop is what one proxy says about whom it got the request from.
type hop struct {
	addr        netip.Addr // invalid when it says none ("unknown", an obfuscated name)
	proto, host string     // "" when it says none
}

// maxHops is how far back a chain is followed: a longer one is a loop, or made up. What is farther away is not read.
const maxHops = 64

// hopsOfList reads X-Forwarded-For: addresses with commas between them, the nearest last. It gives them nearest first. The first that is no address ends it,
// for whoever wrote what stands before it is not known.
func hopsOfList(lines []string) []hop {
	var hops []hop
	for i := len(lines) - 1; i >= 0; i-- {
		rest, more := lines[i], true
		for more {
			var item string
			if j := strings.LastIndexByte(rest, ','); j >= 0 {
				rest, item = rest[:j], rest[j+1:]
			} else {
				item, more = rest, false
			}
			addr, ok := nodeAddr(strings.Trim(item, " \t"))
			if hops = append(hops, hop{addr: addr}); !ok || len(hops) == maxHops {
				return hops
			}
		}
	}
	return hops
}

// nodeAddr reads an address with or without a port: 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1], [2001:db8::1]:80.
func nodeAddr(text string) (netip.Addr, bool) {
	switch {
	case len(text) > 64 || text == "":
		return netip.Addr{}, false
	case text[0] == '[':
		end := strings.IndexByte(text, ']')
		if end < 0 || !isNodePort(text[end+1:]) {
			return netip.Addr{}, false
		}
		a, err := netip.ParseAddr(text[1:end])
		if err != nil || !a.Is6() || a.Zone() != "" {
			return netip.Addr{}, false
		}
		return a.Unmap(), true
	}
	if i := strings.IndexByte(text, ':'); i >= 0 && strings.IndexByte(text, '.') >= 0 && text[:i] != "" && strings.IndexByte(text[i+1:], ':') < 0 {
		if !isNodePort(text[i:]) {
			return netip.Addr{}, false
		}
		text = text[:i]
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

// isNodePort reports whether the text is nothing, or a colon and a port: a number, or an obfuscated one (RFC 7239, 6.3).
func isNodePort(text string) bool {
	if text == "" {
		return true
	}
	if text[0] != ':' || len(text) == 1 || len(text) > 64 {
		return false
	}
	text = text[1:]
	if text[0] == '_' {
		return isObfuscated(text)
	}
	port := 0
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' || len(text) > 5 {
			return false
		}
		port = port*10 + int(text[i]-'0')
	}
	return port <= 65535
}

// isObfuscated reports whether the text is an identifier that hides an address or a port (RFC 7239, 6.3).
func isObfuscated(text string) bool {
	if len(text) < 2 || text[0] != '_' {
		return false
	}
	for i := 1; i < len(text); i++ {
		if c := text[i]; !isAlnum(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func isAlnum(c byte) bool { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' }

// hopsOfForwarded reads the field Forwarded of RFC 7239, nearest first. ok is false when any of it breaks the grammar: then nothing of it can be believed, because
// what looks like a comma to one reader is part of a quoted string to another one.
func hopsOfForwarded(lines []string) (hops []hop, ok bool) {
	for _, line := range lines {
		p := forwardedParser{rest: line}
		for {
			h, given := p.element()
			if p.bad {
				return nil, false
			}
			if given {
				if hops = append(hops, h); len(hops) > 4*maxHops {
					return nil, false
				}
			}
			if p.rest == "" {
				break
			}
		}
	}
	slices.Reverse(hops)
	return hops[:min(len(hops), maxHops)], true
}

// forwardedParser takes one field line apart.
type forwardedParser struct {
	rest string
	bad  bool
}

// element reads up to the next comma, and that too. given is false for an empty element, which lists may have (RFC 9110, 5.6.1).
func (p *forwardedParser) element() (h hop, given bool) {
	seen := ""
	p.space()
	for p.rest != "" && p.rest[0] != ',' {
		given = true
		if p.take(';') { // RFC 7239, 4: pairs may be empty
			p.space()
			continue
		}
		name := p.token()
		if name == "" || !p.take('=') {
			p.bad = true
			return h, true
		}
		value, ok := p.value()
		lower := strings.ToLower(name)
		if !ok || strings.Contains(seen, ";"+lower+";") || len(seen) > 256 {
			p.bad = true // RFC 7239, 4: each parameter at most once
			return h, true
		}
		seen += ";" + lower + ";"
		p.bad = !h.set(lower, value)
		p.space()
		if p.bad || p.rest == "" || p.rest[0] == ',' {
			break
		}
		if !p.take(';') {
			p.bad = true
			return h, true
		}
		p.space()
	}
	if p.rest != "" && !p.take(',') {
		p.bad = true
	}
	return h, given
}

// set takes one parameter; false when its value is not one of its kind.
func (h *hop) set(name, value string) bool {
	switch name {
	case "for", "by":
		if value == "" {
			return false
		}
		addr, ok := nodeAddr(value)
		if !ok && !isHidden(value) {
			return false
		}
		if ok && strings.Count(value, ":") > 1 && value[0] != '[' {
			return false // RFC 7239, 6: IPv6 stands in brackets
		}
		if name == "for" && ok {
			h.addr = addr
		}
	case "proto":
		if !strings.EqualFold(value, "http") && !strings.EqualFold(value, "https") {
			return isScheme(value)
		}
		h.proto = strings.ToLower(value)
	case "host":
		h.host = value
	}
	return true
}

// isHidden reports whether a node has no address: unknown or obfuscated, either with a port.
func isHidden(value string) bool {
	name, port := value, ""
	if i := strings.IndexByte(value, ':'); i >= 0 {
		name, port = value[:i], value[i:]
	}
	return isNodePort(port) && len(value) <= 128 && (strings.EqualFold(name, "unknown") || isObfuscated(name))
}

// isScheme: RFC 3986, 3.1.
func isScheme(value string) bool {
	for i := range len(value) {
		if c := value[i]; !isAlnum(c) && (i == 0 || c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return value != "" && (value[0] < '0' || value[0] > '9')
}

func (p *forwardedParser) space() { p.rest = strings.TrimLeft(p.rest, " \t") }

func (p *forwardedParser) take(c byte) bool {
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *forwardedParser) token() string {
	n := 0
	for n < len(p.rest) && isTokenByte(p.rest[n]) {
		n++
	}
	t := p.rest[:n]
	p.rest = p.rest[n:]
	return t
}

// isTokenByte: tchar of RFC 9110, 5.6.2.
func isTokenByte(c byte) bool { return isAlnum(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0 }

// value is a token or a quoted string (RFC 9110, 5.6.4).
func (p *forwardedParser) value() (string, bool) {
	if !p.take('"') {
		t := p.token()
		return t, t != ""
	}
	var b strings.Builder
	for i := 0; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == '"':
			p.rest = p.rest[i+1:]
			return b.String(), true
		case c == '\\':
			if i++; i == len(p.rest) {
				return "", false
			}
			b.WriteByte(p.rest[i])
		case c < ' ' && c != '\t' || c == 0x7f:
			return "", false
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}
