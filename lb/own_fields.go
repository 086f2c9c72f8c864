package lb

import (
	"net/http"
	"strings"
)

// ownFields and ownPrefixes name the fields of requests that say something about the client or the session which only Holdfast may say, or who it believes; see
// exchange.setForwarded. All of X-Forwarded- is among them: applications go by fields of that kind which Holdfast does not set, too (-Prefix, -Ssl, -Client-Cert).
var (
	ownFields   = [...]string{"Forwarded", certHeader, chainHeader, subjectHeader}
	ownPrefixes = [...]string{"X-Forwarded-", "X-Holdfast-"}
)

// isOwn reports whether a field is one of them, or one that applications take for it.
func isOwn(name string) bool {
	if len(name) < len("Forwarded") || name[0]|0x20 != 'x' && name[0]|0x20 != 'f' && name[0]|0x20 != 'c' {
		return false
	}
	for _, own := range ownPrefixes {
		if len(name) >= len(own) && sameVariable(name[:len(own)], own) {
			return true
		}
	}
	for _, own := range ownFields {
		if sameVariable(name, own) {
			return true
		}
	}
	return false
}

// sameVariable reports whether a field is that of the name own, or one that applications take for it: many get fields as variables, in whose names - and _ are the same (CGI, WSGI, Rack),
// and some of them all that is neither a letter nor a digit. A name is a token.
func sameVariable(name, own string) bool {
	if len(name) != len(own) {
		return false
	}
	for i := range len(name) {
		switch c, o := name[i], own[i]; {
		case !alphanumeric(o):
			if alphanumeric(c) {
				return false
			}
		case c|0x20 != o|0x20: // of a token, what differs in this bit from a letter or a digit alone is the same letter
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// isOdd reports whether a field has another name as a variable than its words make.
func isOdd(name string) bool {
	for i := range len(name) {
		if c := name[i]; c != '-' && !alphanumeric(c) {
			return true
		}
	}
	return false
}

// dropOwn takes them out, but for those with which setForwarded and setIdentity deal one by one: what a trusted proxy has set of them may be believed.
func (x *exchange) dropOwn(h http.Header) {
	believed := x.client.trusted && !x.edge.readForwarded && x.edge.mode != forwardedOff
	id := x.edge.requestID.header
	for name := range h {
		switch {
		case isOdd(name):
			if isOwn(name) || id != "" && name != id && sameVariable(name, id) {
				delete(h, name)
			}
		case strings.HasPrefix(name, "X-Forwarded-") && !believed, strings.HasPrefix(name, "X-Holdfast-"):
			delete(h, name)
		}
	}
}
