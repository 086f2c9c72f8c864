package lb

import (
	"io"
	"net/http"
	"time"

	"github.com/holdfast-lb/holdfast/lb/h2"
	"github.com/holdfast-lb/holdfast/lb/wire"
)

// http2Handler is the handler of connections that speak HTTP/2.
func (b *Balancer) http2Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http2ConnOf(r.Context())
		r.TLS = c.secure                       // what the client says of the scheme does not count
		if r.ContentLength > 0 && !c.bridged { // a loop has counted
			r.Body = &measuredBody{ReadCloser: r.Body, r: r, broken: c.conn.Broken}
		}
		b.serveStream(w, c.handedOver(r), &c.who.front.edge.Load().guard)
	})
}

// serveStream serves a request of HTTP/2 or HTTP/3, if it is one.
func (b *Balancer) serveStream(w http.ResponseWriter, r *http.Request, l *wire.Limits) {
	r, bad := fromConnect(r)
	if bad == nil {
		bad = checkHTTP2(r, l)
	}
	if bad != nil {
		b.metrics.Violation(bad)
		refuseHTTP2(w, r, bad)
		return
	}
	if s := connectStreamOf(r.Context()); s != nil {
		s.asUpgrade(r.Header)
	}
	b.ServeHTTP(w, r)
}

// checkHTTP2 takes a request only if it could have been one of HTTP/1.1, by the same parser. x/net, or package h3, has seen to what HTTP/2 and HTTP/3 alone know:
// pseudo-header fields, fields of the connection, and the length of the body.
func checkHTTP2(r *http.Request, l *wire.Limits) *wire.Error {
	if r.Body == http.NoBody || r.ContentLength == 0 {
		if lengths := r.Header["Content-Length"]; len(lengths) == 1 && lengths[0] != "0" {
			return errHTTP2Length // the stream has ended already
		}
	}
	if bad := wire.CheckTrailers(r.Trailer); bad != nil {
		return bad
	}
	return wire.Check(r.Method, r.RequestURI, r.Host, r.Header, *l)
}

var errHTTP2Length = &wire.Error{Status: http.StatusBadRequest, Reason: "body and Content-Length differ"}

// refuseHTTP2 answers a request that is not acceptable, as wire does.
func refuseHTTP2(w http.ResponseWriter, r *http.Request, bad *wire.Error) {
	h := w.Header()
	h["Content-Type"] = []string{"text/plain; charset=utf-8"}
	h["X-Content-Type-Options"], h["Cache-Control"] = []string{"nosniff"}, []string{"no-store"}
	w.WriteHeader(bad.Status)
	if r.Method != http.MethodHead {
		io.WriteString(w, bad.Reason+"\n")
	}
}

// multiplexed reports whether the client speaks HTTP/2 or HTTP/3: then nothing that is done to its connection is about this request alone.
func (x *exchange) multiplexed() bool { return x.r.ProtoMajor >= 2 }

// boundStream sets the deadline by which the client must have taken what is written next.
func (x *exchange) boundStream() {
	if x.edge.send > 0 {
		http.NewResponseController(x.w).SetWriteDeadline(time.Now().Add(x.edge.send)) // an error means that the stream has ended
	}
}

// streamBody ends the body of a request of HTTP/2 or HTTP/3.
type streamBody struct{ io.Closer }

func (s streamBody) end() { s.Close() }

// bodyEnder gives what ends the client's body.
func (x *exchange) bodyEnder() bodyEnder {
	if x.multiplexed() {
		return streamBody{x.r.Body}
	}
	return clientConnOf(x.r.Context())
}

// endBody comes when the response has been sent. In HTTP/2 and HTTP/3 what is left of the body is in nobody's way: the client is told that it is not wanted.
func (x *exchange) endBody() {
	switch {
	case x.body == nil: // Holdfast has answered by itself
		if x.unread {
			clientConnOf(x.r.Context()).end()
		}
		return
	case x.multiplexed():
		x.r.Body.Close()
		x.body.take()
		x.body.release()
		return
	}
	if flusher, ok := x.w.(http.Flusher); ok && x.head {
		flusher.Flush() // in HTTP/2 it would part the head from the end of the stream, which belong together when nothing is between them
	}
	x.body.finish(x.bodyEnder(), x.unread)
}

// http2Refused counts a client that was cut off.
func (m *metrics) http2Refused(v *h2.Violation) {
	m.violations.WithLabelValues("HTTP/2: " + v.Reason).Inc()
}

// http2Error counts what x/net has refused; its words are few and fixed.
func (m *metrics) http2Error(kind string) { m.violations.WithLabelValues("HTTP/2: " + kind).Inc() }

// withHTTP2 are the settings of a listener that takes HTTP/2.
func (s *settings) withHTTP2() *settings {
	with := *s
	with.guard.HTTP2 = true
	return &with
}
