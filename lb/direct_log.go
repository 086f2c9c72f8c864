package lb

import (
	"strings"
	"time"
)

// log writes the request's line of the access log.
func (r *direct) log(status int, took time.Duration) {
	f := r.edge.log
	if !f.wants(status, r.problem != "") {
		return
	}
	head, buf := r.t.Head, r.t.Buf
	path, _, _ := strings.Cut(text(head.Target.Of(buf)), "?")
	e := &r.entry // not a variable: it would be one on the heap, since fields of the log are functions
	*e = logEntry{
		time: r.now, node: r.b.access.node, listener: r.edge.listener, client: r.client(), peer: r.t.Conn.Remote.Addr(), method: text(head.Method.Of(buf)),
		host: text(head.Host.Of(buf)), path: path, proto: "HTTP/1.1", scheme: r.who.scheme(), status: status, bytes: r.t.Sent, took: took,
		cluster: r.mod.cluster.name, instance: r.in.name, assigned: r.assigned, problem: r.problem,
	}
	e.traceID = r.trace.traceID()
	if head.Minor == 0 {
		e.proto = "HTTP/1.0"
	}
	if r.t.Conn.HTTP2() {
		e.proto = "HTTP/2.0"
	}
	if f.agents {
		e.userAgent = logged(r.field("User-Agent"))
		e.referer = loggedURL(r.field("Referer"))
	}
	r.b.access.add(func(b []byte) []byte { return f.line(b, e) })
}
