package lb

import (
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

// editRequest says what the instance is told besides what the client has sent.
func (r *direct) editRequest() {
	e, head, buf := &r.t.Edit, r.t.Head, r.t.Buf
	for i, f := range head.Fields() {
		if isOwn(text(f.Name.Of(buf))) {
			e.Drop(i)
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
