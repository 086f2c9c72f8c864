package lb

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// clientSocket is the connection below the parser, and below TLS: what the kernel has of a client while net/http serves it.
type clientSocket struct {
	net.Conn
	who    *caller
	before []byte     // what had been read already
	guard  *wire.Conn // above it; set before anybody reads

	client netip.AddrPort // whom a trusted proxy has named; invalid: nobody
	fresh  bool           // it has not been on a loop, so that nobody has taken it in yet

	cut    atomic.Bool // a response has broken off: what ends now must not look like an end that was meant
	resets atomic.Bool // and nothing but the end of the connection would have told where it ends
	closed atomic.Bool

	// Of a whole request that a loop has sent already: whether the client has ended its stream, which net/http takes for the end of the client, is not heard until
	// the request has been answered.
	silent net.Conn // what is heard instead; nil of any other request
	hears  net.Conn // its other side, to which nobody writes
}

// hush has net/http hear nothing of the end of the stream until tell. It comes before anybody reads.
func (s *clientSocket) hush() { s.silent, s.hears = net.Pipe() }

// tell ends that.
func (s *clientSocket) tell() {
	if s.hears != nil {
		s.hears.Close()
	}
}

// SetReadDeadline implements net.Conn.
func (s *clientSocket) SetReadDeadline(t time.Time) error {
	if s.silent != nil {
		s.silent.SetReadDeadline(t) // an error means that it is closed already
	}
	return s.Conn.SetReadDeadline(t)
}

// SetDeadline implements net.Conn.
func (s *clientSocket) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

func localAddr(conn net.Conn) netip.Addr {
	if a, ok := conn.LocalAddr().(*net.TCPAddr); ok {
		return plainAddr(a.AddrPort().Addr())
	}
	return netip.Addr{}
}

// socketOf finds the socket below whatever is above it.
func socketOf(conn net.Conn) *clientSocket {
	for {
		if s, ok := conn.(*clientSocket); ok {
			return s
		}
		w, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		conn = w.NetConn()
	}
}

// Read gives what was read before, then what comes.
func (s *clientSocket) Read(p []byte) (int, error) {
	if len(s.before) > 0 {
		n := copy(p, s.before)
		if s.before = s.before[n:]; len(s.before) == 0 {
			s.before = nil
		}
		return n, nil
	}
	n, err := s.Conn.Read(p)
	if err == io.EOF && s.silent != nil {
		return s.silent.Read(p)
	}
	return n, err
}

// RemoteAddr is the client's.
func (s *clientSocket) RemoteAddr() net.Addr {
	if s.client.IsValid() {
		return net.TCPAddrFromAddrPort(s.client)
	}
	return s.Conn.RemoteAddr()
}

// SyscallConn gives access to the descriptor, as net.TCPConn does.
func (s *clientSocket) SyscallConn() (syscall.RawConn, error) {
	if c, ok := s.Conn.(syscall.Conn); ok {
		return c.SyscallConn()
	}
	return nil, syscall.EINVAL
}

func (s *clientSocket) retire() { s.guard.Retire(quietTime, silence(s.Conn)) }
func (s *clientSocket) stay()   { s.guard.Stay() }

// Close implements net.Conn. Only the first call counts.
func (s *clientSocket) Close() error {
	if s.closed.Swap(true) {
		return net.ErrClosed
	}
	if s.silent != nil {
		s.silent.Close()
		s.hears.Close()
	}
	if tcp, ok := s.Conn.(*net.TCPConn); ok && s.resets.Load() {
		tcp.SetLinger(0) // an error means that it is broken already
	}
	err := s.Conn.Close()
	s.who.front.b.conns.remove(s.who) // after the close: who counts none finds none
	return err
}

// CloseWrite sends the end of the stream.
func (s *clientSocket) CloseWrite() error {
	if s.cut.Load() {
		return errors.ErrUnsupported
	}
	return closeWrite(s.Conn)
}
