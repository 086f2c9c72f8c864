package lb

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// socketListener gives sockets that are counted once clientListener has taken them in.
type socketListener struct {
	net.Listener
	front *front
}

func (l *socketListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			l.front.b.short.note(err)
			return nil, err // net/http tells temporary errors apart by their type
		}
		if l.front.edge.Load().expectsHeader() {
			l.front.accepted.Add(1)
			l.front.b.relays.Go(func() { l.front.takeProxied(conn, nil) })
			continue
		}
		held, err := l.front.admit(remoteAddr(conn))
		if err != nil {
			l.front.turnAway(conn, err)
			continue
		}
		l.front.accepted.Add(1)
		return &clientSocket{Conn: conn, who: &caller{front: l.front, local: localAddr(conn), held: held}, fresh: true}, nil
	}
}

// clientListener gives the connections the ability to be ended, and takes them in.
type clientListener struct {
	net.Listener
	front *front
}

func (l *clientListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &clientConn{Conn: conn, guard: wire.FromConn(conn), socket: socketOf(conn)}
		conns := l.front.b.conns
		c.socket.guard = c.guard
		secured := tlsOf(conn)
		if secured != nil {
			state := secured.ConnectionState()
			c.tls = &state
			if state.NegotiatedProtocol == "http/1.1" {
				c.guard.Settled()
			}
			if c.socket.fresh {
				l.front.accepted.Add(1)
			}
		}
		http2 := c.tls != nil && c.tls.NegotiatedProtocol == "h2"
		switch {
		case c.socket.fresh && http2: // it ends by frames, not by a time for the next request: see serveHTTP2
			conns.add(c.socket.who, nil)
		case c.socket.fresh:
			conns.add(c.socket.who, c.socket)
		case !http2: // it has been taken in before, by the loop
			conns.arrive(c.socket.who, c.socket)
		}
		if !http2 {
			return c, nil
		}
		l.front.b.relays.Go(func() { l.front.serveHTTP2(secured, nil, c.socket.who) })
	}
}

// clientConn is a client's connection that can be ended: whatever was not read by then never reaches a handler. What the client still sends is dropped for a
// moment when the connection is closed, so that no reset takes the response from it.
type clientConn struct {
	net.Conn
	guard  *wire.Conn
	socket *clientSocket
	ended  atomic.Bool
	back   wayBack
	tls    *tls.ConnectionState // nil without TLS

	bounded atomic.Bool // it has a deadline for writing
}

// longAgo is a deadline that makes a blocked read return.
var longAgo = time.Unix(1, 0)

func (c *clientConn) end() {
	if c == nil || c.broken() {
		return // after a broken body the guard itself gives nothing any more, and takes no answer to what is left of it
	}
	c.ended.Store(true)
	if c.guard != nil {
		c.guard.Unread()
	}
	c.Conn.SetReadDeadline(longAgo) // an error means that it is closed already
}

// cutOff has the connection end so that the response which has broken off on it does not look whole: without close_notify, and with a reset where the client would take
// the end of the stream for that of the body.
func (c *clientConn) cutOff(framed bool) {
	if c != nil {
		c.socket.resets.Store(!framed)
		c.socket.cut.Store(true)
	}
}

func (c *clientConn) Read(p []byte) (int, error) {
	if c.ended.Load() {
		return 0, net.ErrClosed
	}
	n, err := c.Conn.Read(p)
	if c.ended.Load() {
		return 0, net.ErrClosed
	}
	return n, err
}

// Close ends the connection, unless it goes back to the loop, or speaks HTTP/2.
func (c *clientConn) Close() error {
	if c.goBack() || c.speaksHTTP2() {
		return nil
	}
	return c.Conn.Close()
}

// broken says that the body of the present request broke its framing.
func (c *clientConn) broken() bool { return c.guard != nil && c.guard.BodyViolation() != nil }

// NetConn gives the guarded connection below.
func (c *clientConn) NetConn() net.Conn { return c.Conn }

// CloseWrite ends the stream to the client, for net/http's orderly close and for upgraded connections.
func (c *clientConn) CloseWrite() error { return closeWrite(c.Conn) }

// upgraded notes that the connection speaks another protocol now.
func (c *clientConn) upgraded() {
	if c != nil {
		c.socket.who.front.b.conns.upgrade(c.socket.who)
	}
}

// sayClose marks the response as the last one of a connection that is to end, or whose request broke its own framing: net/http would go on to read what is
// left of that request as another one.
func (c *clientConn) sayClose(h http.Header) {
	if c != nil && (c.broken() || c.guard != nil && c.guard.Retired()) {
		h["Connection"] = []string{"close"}
	}
}

type clientConnKey struct{}

func withClientConn(ctx context.Context, conn net.Conn) context.Context {
	c, _ := conn.(*clientConn)
	return wire.ConnContext(context.WithValue(ctx, clientConnKey{}, c), conn)
}

func clientConnOf(ctx context.Context) *clientConn {
	c, _ := ctx.Value(clientConnKey{}).(*clientConn)
	return c
}
