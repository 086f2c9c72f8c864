package h1

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// session is TLS on a client's socket while a loop has it. crypto/tls works as ever, but what it stands on never waits: a read without bytes gives an error that it takes for
// a passing one, and is called again when the socket has some; what it writes is gathered by the loop, which sends it as it sends everything. So one call of the kernel brings a
// request and one takes its response, and between two requests the loop has nothing of a connection but what crypto/tls has.
type session struct {
	*Secured
	l    *loop
	c    *Conn
	open bool // the socket may have bytes; until a read finds the contrary
	said bool // that nothing more comes from here: close_notify
}

// unheardMost bounds what of crypto/tls's own answers waits for a client that takes none (a KeyUpdate asks for one each): some thousands of them.
const unheardMost = 256 << 10

// errNothing is what crypto/tls hears while there is nothing to read: being temporary it leaves no mark there (conn.go, readRecordOrCCS).
var errNothing net.Error = nothing{}

type nothing struct{}

func (nothing) Error() string   { return "h1: nothing to read for now" }
func (nothing) Timeout() bool   { return true }
func (nothing) Temporary() bool { return true }

var errReset = errors.New("h1: the connection is broken")

// Read implements net.Conn for crypto/tls.
func (t *session) Read(p []byte) (int, error) {
	if !t.open {
		return 0, errNothing
	}
	n, e := rawReceive(t.c.fd, p)
	switch {
	case e == unix.EAGAIN:
		t.open = false
		return 0, errNothing
	case e != 0:
		return 0, errReset
	case n == 0:
		return 0, io.EOF
	}
	if n < len(p) && !t.c.is(ended) {
		t.open = false // epoll(7): a short read of a stream has taken everything
	}
	return n, nil
}

// Write gathers a record: it is sent when the call of crypto/tls has returned.
func (t *session) Write(p []byte) (int, error) {
	t.l.sealed = append(t.l.sealed, p...)
	return len(p), nil
}

// Close leaves the socket to the loop.
func (t *session) Close() error { return nil }

// LocalAddr implements net.Conn.
func (t *session) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(t.c.Local) }

// RemoteAddr implements net.Conn.
func (t *session) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(t.c.Remote) }

// SetDeadline implements net.Conn. The loop's deadlines hold.
func (t *session) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (t *session) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (t *session) SetWriteDeadline(time.Time) error { return nil }

// secure puts TLS on a connection that comes in. What crypto/tls has read already will be told by no event.
func (l *loop) secure(c *Conn, t *Secured) {
	c.tls = &session{Secured: t, l: l, c: c, open: true}
	c.ready |= canRead | canWrite
	t.Base.Put(c.tls)
}

// receive reads content: what the socket gives, or what TLS makes of that. 0 and EAGAIN say that there is nothing, 0 and no error that nothing more comes. crypto/tls may have more
// than it gave: so a socket with TLS counts as readable until a read finds nothing.
func (l *loop) receive(s *sock, b []byte) (int, syscall.Errno) {
	if s.stream != nil {
		return l.receiveStream(s.stream, s, b)
	}
	t := s.tls
	if t == nil {
		return s.read(b)
	}
	n, err := t.Conn.Read(b)
	if len(l.sealed) > 0 { // an answer to KeyUpdate, or an alert
		if e := l.sendSealed(s); e != 0 {
			return 0, e
		}
		if len(s.out)-s.at > unheardMost {
			return 0, unix.ENOBUFS
		}
	}
	switch {
	case n > 0:
		return n, 0 // an error is found again by the next read
	case err == errNothing:
		s.ready &^= canRead
		return 0, unix.EAGAIN
	case err == io.EOF: // close_notify, or the end of the stream between two records: the framing of HTTP says whether something is missing
		return 0, 0
	}
	return 0, unix.EPROTO
}

// seal makes records of l.parts. Small ones of one call go into one record, so that one packet has a head and its body.
func (l *loop) seal(s *sock) syscall.Errno {
	plain := l.parts[0]
	if len(l.parts) > 1 {
		l.plain = l.plain[:0]
		for _, p := range l.parts {
			l.plain = append(l.plain, p...)
		}
		plain = l.plain
	}
	if _, err := s.tls.Conn.Write(plain); err != nil {
		l.sealed, l.parts = l.sealed[:0], l.parts[:0]
		return unix.EPROTO // after an alert of either side
	}
	l.parts = append(l.parts[:0], l.sealed)
	l.sealed = l.sealed[:0] // what was gathered stays where it is until the next write of crypto/tls, and is sent before that
	return 0
}

// sendSealed sends what crypto/tls has written by itself.
func (l *loop) sendSealed(s *sock) syscall.Errno {
	l.parts = append(l.parts[:0], l.sealed)
	l.sealed = l.sealed[:0]
	return l.push(s)
}

// farewell tells a client with TLS that nothing more comes, which an end of the stream alone does not prove. It gives false while that waits to be taken.
func (l *loop) farewell(c *Conn) bool {
	t := c.tls
	if t == nil {
		return true
	}
	if !t.said {
		t.said = true
		if t.Conn.CloseWrite() == nil && l.sendSealed(&c.sock) != 0 {
			l.dropOut(&c.sock) // nobody listens any more
		}
		l.sealed = l.sealed[:0]
	}
	return !c.blocked()
}

// TLS gives the TLS of the connection, nil without. It may be used by whoever has taken the connection over.
func (c *Conn) TLS() *Secured {
	if c.tls == nil {
		return nil
	}
	return c.tls.Secured
}
