package lb

//lint:file-ignore SA1019 net/http has the same code, but ends all connections of a server or none, and shows none of its errors: see docs/DEPENDENCIES.md

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strconv"
	"sync"

	"golang.org/x/net/http2"

	"github.com/holdfast-lb/holdfast/lb/h1"
)

// The loops speak HTTP/2 with clients of listeners that need nothing but what the loops know. A stream that they do not take goes to x/net's server over a connection in this process,
// the bridge, and is treated there as if its client had come to it; what a loop has found out about it by then goes along.

// handed is what a loop hands over of a stream.
type handed struct {
	after  *afterwards
	traced traceContext
}

// handovers are those that the other engine has not taken up, by the number of their stream on the bridge. The zero value is ready.
type handovers struct {
	mu  sync.Mutex
	all map[uint32]handed
}

func (h *handovers) put(number uint32, of handed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all == nil {
		h.all = map[uint32]handed{}
	}
	h.all[number] = of
}

func (h *handovers) take(number uint64) (handed, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	of, ok := h.all[uint32(number)]
	delete(h.all, uint32(number))
	return of, ok
}

// loopsSpeakHTTP2 reports whether connections of HTTP/2 are for the loops. Where instances speak it too, most streams would only cross the bridge.
func (f *front) loopsSpeakHTTP2() bool {
	if e := f.edge.Load(); !e.plain || !e.guard.HTTP2 {
		return false
	}
	for _, c := range f.b.routing.Load().clusters {
		if c.h2 {
			return false
		}
	}
	return true
}

// Mux implements h1.Director. Where HTTP/1.1 has been settled net/http's guard answers.
func (d *director) Mux(c *h1.Conn) bool {
	who, ok := c.Tag.(*caller)
	return ok && (who.tls == nil || !who.tls.http1) && who.front.loopsSpeakHTTP2()
}

// Stream implements h1.Director: each stream has a caller of its own, because a loop has several under way.
func (d *director) Stream(s, c *h1.Conn) {
	own, ok := s.Tag.(*caller)
	if !ok {
		of := c.Tag.(*caller)
		own = &caller{front: of.front, local: of.local, tls: of.tls, of: of}
		s.Tag = own
	}
	own.after, own.traced = nil, traceContext{}
}

// Detour implements h1.Director.
func (d *director) Detour(s *h1.Conn, number uint32) bool {
	own := s.Tag.(*caller)
	of := handed{own.after, own.traced}
	own.after, own.traced = nil, traceContext{}
	if of.after == nil && !of.traced.on {
		return false
	}
	own.of.handovers.put(number, of)
	return true
}

// Bridge implements h1.Director.
func (d *director) Bridge(c *h1.Conn, fd int) {
	who := c.Tag.(*caller)
	far := &farConn{local: net.TCPAddrFromAddrPort(c.Local), remote: net.TCPAddrFromAddrPort(c.Remote)}
	d.b.relays.Go(func() {
		var err error
		if far.Conn, err = socketOn(fd); err != nil {
			d.b.short.note(err)
			d.b.log.Warn("streams of a client are lost", "error", err)
			return
		}
		who.front.serveBridge(far, who)
	})
}

// farConn is the bridge of a client's connection, with the addresses of that.
type farConn struct {
	net.Conn
	local, remote net.Addr
}

// LocalAddr gives the address to which the client has connected.
func (c *farConn) LocalAddr() net.Addr { return c.local }

// RemoteAddr gives the client's.
func (c *farConn) RemoteAddr() net.Addr { return c.remote }

// serveBridge serves the streams of a client whose connection a loop has, until that ends it. The loop sees to floods and to silence.
func (f *front) serveBridge(conn net.Conn, who *caller) {
	c := &http2Conn{who: who, bridged: true}
	if who.tls != nil {
		state := who.tls.Conn.ConnectionState()
		c.secure = &state
	}
	settings := &http2.Server{MaxConcurrentStreams: 2 * http2Streams} // the loop counts; one that it has ended may still be open here
	if f.configureHTTP2(c, settings) {
		f.serveStreams(conn, c, settings)
	}
	conn.Close()
}

type handedKey struct{}

// handedOver takes what the loop has found out about a stream out of the request, and puts it into its context.
func (c *http2Conn) handedOver(r *http.Request) *http.Request {
	name := http.CanonicalHeaderKey(h1.DetourField)
	said := r.Header[name]
	delete(r.Header, name) // whoever has said it
	if !c.bridged || len(said) != 1 {
		return r
	}
	number, err := strconv.ParseUint(said[0], 10, 32)
	if err != nil {
		return r
	}
	of, ok := c.who.handovers.take(number)
	if !ok {
		return r
	}
	return r.WithContext(context.WithValue(r.Context(), handedKey{}, &of))
}

// handed gives what a loop has found out about the request; nil for nothing.
func (x *exchange) handed() *handed {
	of, _ := x.r.Context().Value(handedKey{}).(*handed)
	return of
}

// speaksHTTP2Over reports whether ALPN has settled on HTTP/2.
func speaksHTTP2Over(state *tls.ConnectionState) bool {
	return state.NegotiatedProtocol == http2.NextProtoTLS
}
