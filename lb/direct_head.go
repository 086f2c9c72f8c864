package lb

import (
	"net/http"
	"strings"
)

// plainPath gives the routing path of a request target that is written in the plainest way: nothing is encoded, no path parameters, no dot segments, no empty ones.
// Every other target takes net/http's way (see routingPath).
func plainPath(target string) (string, bool) {
	if target == "" || target[0] != '/' {
		return "", false
	}
	for i := 0; i < len(target); i++ {
		switch c := target[i]; {
		case c == '?':
			return target[:i], true
		case c == '%' || c == ';' || c >= 0x7f:
			return "", false
		case c == '/' && i+1 < len(target) && (target[i+1] == '/' || target[i+1] == '.'):
			return "", false
		}
	}
	return target, true
}

// lines implements asked.
func (r *direct) lines(name string, buffer []string) []string {
	for _, f := range r.t.Head.Fields() {
		if int(f.Name.Len) == len(name) && strings.EqualFold(text(f.Name.Of(r.t.Buf)), name) {
			buffer = append(buffer, text(f.Value.Of(r.t.Buf)))
		}
	}
	return buffer
}

// parameters implements asked: plainPath lets none pass.
func (r *direct) parameters() string { return "" }

// source implements asked.
func (r *direct) source() string {
	if r.who.source == "" {
		r.who.source = sourceID(r.client())
	}
	return r.who.source
}

// client is the address of the client.
func (r *direct) client() string {
	if r.who.client == "" {
		r.who.client = r.t.Conn.Remote.Addr().String()
	}
	return r.who.client
}

// replaced are the fields that say something about the client or the session which only Holdfast may say; see exchange.setForwarded.
var replaced = [...]string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Server", lostHeader, activationHeader, certHeader, chainHeader, subjectHeader}

// sameVariable reports whether a field is that of the name own, or one that applications take for it: many get fields as variables, in whose names - and _ are the same (CGI, WSGI, Rack).
func sameVariable(name, own string) bool {
	if len(name) != len(own) {
		return false
	}
	for i := range len(name) {
		switch c, o := name[i], own[i]; {
		case o == '-' && (c == '-' || c == '_'):
		case o == '-' || c|0x20 != o|0x20: // o is a letter
			return false
		}
	}
	return true
}

// dropTwins takes out what applications could take for a field that only Holdfast sends.
func dropTwins(h http.Header) {
	for name := range h {
		if strings.IndexByte(name, '_') < 0 {
			continue
		}
		for _, own := range replaced {
			if sameVariable(name, own) {
				delete(h, name)
			}
		}
	}
}

// editRequest says what the instance is told besides what the client has sent.
func (r *direct) editRequest() {
	e, head, buf := &r.t.Edit, r.t.Head, r.t.Buf
	for i, f := range head.Fields() {
		name := f.Name.Of(buf)
		if len(name) < len("Forwarded") || name[0]|0x20 != 'x' && name[0]|0x20 != 'f' && name[0]|0x20 != 'c' {
			continue
		}
		for _, own := range replaced {
			if sameVariable(text(name), own) {
				e.Drop(i)
			}
		}
	}
	e.AddString("X-Forwarded-For", r.client())
	e.AddString("X-Forwarded-Proto", r.who.scheme())
	e.Add("X-Forwarded-Host", head.Host.Of(buf))
	e.AddString(activationHeader, activation(r.in.phase)[0])
	if s := r.who.tls; s != nil && s.cert != "" {
		e.AddString(certHeader, s.cert)
		e.AddString(subjectHeader, s.subject)
	}
	r.editTrace()
}
