package lb

import (
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/holdfast-lb/holdfast/lb/h1"
)

// A connection with TLS goes to a loop when its handshake is done, and from there to net/http and back as one in clear text does; TLS itself goes along, with what it has read.

// secured is TLS on a client's connection, for as long as that lives. It belongs to the engine that has the connection.
type secured struct {
	h1.Secured
	http2, http1  bool   // ALPN has settled on it; neither when the client has settled nothing
	served        bool   // it has had a request, or a loop has had it
	cert, subject string // what instances are told of the client's certificate, "" for nothing
}

// scheme is that of the client's requests.
func (who *caller) scheme() string {
	if who.tls != nil {
		return "https"
	}
	return "http"
}

// secureConn is a connection with TLS while net/http has it.
type secureConn struct {
	*tls.Conn
	socket *clientSocket
	before []byte      // content that had been read already
	over   atomic.Bool // it has been closed, or has gone on to a loop: nobody may touch TLS any more
}

// over gives a connection that a loop has let go of, with content that had been read of it, to net/http.
func (who *caller) over(conn net.Conn, rest []byte) net.Conn {
	s := &clientSocket{Conn: conn, who: who}
	if who.tls == nil {
		s.before = rest
		return s
	}
	who.tls.Base.Put(s)
	return &secureConn{Conn: who.tls.Conn, socket: s, before: rest}
}

// Read gives what was read before, then what comes.
func (c *secureConn) Read(p []byte) (int, error) {
	if len(c.before) > 0 {
		n := copy(p, c.before)
		if c.before = c.before[n:]; len(c.before) == 0 {
			c.before = nil
		}
		return n, nil
	}
	return c.Conn.Read(p)
}

// Close implements net.Conn. Only the first call counts.
func (c *secureConn) Close() error {
	if c.over.Swap(true) {
		return net.ErrClosed
	}
	if c.socket.cut.Load() {
		return c.socket.Close() // without close_notify
	}
	return c.Conn.Close()
}

// CloseWrite tells the client that nothing more comes.
func (c *secureConn) CloseWrite() error {
	if c.socket.cut.Load() {
		return errors.ErrUnsupported
	}
	return c.Conn.CloseWrite()
}

// NetConn gives TLS.
func (c *secureConn) NetConn() net.Conn { return c.Conn }

// The deadlines are those of the socket which net/http has: another engine may have TLS when somebody comes late.

// SetDeadline sets both deadlines.
func (c *secureConn) SetDeadline(t time.Time) error { return c.socket.SetDeadline(t) }

// SetReadDeadline sets that for reading.
func (c *secureConn) SetReadDeadline(t time.Time) error { return c.socket.SetReadDeadline(t) }

// SetWriteDeadline sets that for writing.
func (c *secureConn) SetWriteDeadline(t time.Time) error { return c.socket.SetWriteDeadline(t) }

// letsGo takes TLS away from net/http; false when the connection is being closed.
func (c *clientConn) letsGo() bool {
	s, ok := c.guard.NetConn().(*secureConn)
	return !ok || !s.over.Swap(true)
}

// unread is what had been read before net/http got the connection and has not come as far as the parser.
func (c *clientConn) unread() []byte {
	if s, ok := c.guard.NetConn().(*secureConn); ok {
		return s.before
	}
	return c.socket.before
}

// toLoops gives a new connection to a loop when requests on it may be for the loops; false when it is net/http's.
func (f *front) toLoops(socket *clientSocket, state *tls.ConnectionState) bool {
	if f.b.loops() == nil || !f.edge.Load().plain || socket.client.IsValid() {
		return false
	}
	socket.who.tls.http1 = state.NegotiatedProtocol == "http/1.1"
	if socket.who.tls.http2 = speaksHTTP2Over(state); socket.who.tls.http2 && (state.Version < tls.VersionTLS13 || !f.loopsSpeakHTTP2()) { // x/net knows which ciphers of TLS 1.2 HTTP/2 may have
		return false
	}
	fd, err := duplicate(socket)
	if err != nil {
		f.b.short.note(err)
		return false
	}
	socket.closed.Store(true)
	socket.Conn.Close()
	f.b.conns.add(socket.who, nil)
	f.accepted.Add(1)
	socket.who.toLoop(fd, nil)
	return true
}
