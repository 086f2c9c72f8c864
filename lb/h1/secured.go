package h1

import (
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// Secured is a client's connection with TLS whose handshake is done, for as long as it lives, whichever engine has it. One goroutine at a time uses it.
type Secured struct {
	Conn *tls.Conn // over Base
	Base *Base
}

// Base is what a TLS connection stands on: a net.Conn whose lower side can be exchanged between two calls, so that the connection can change hands with what it has read
// and not given yet. Put may be called while another goroutine sets deadlines, reads none and writes none.
type Base struct{ at atomic.Pointer[net.Conn] }

// NewBase makes one over a connection.
func NewBase(c net.Conn) *Base {
	b := &Base{}
	b.Put(c)
	return b
}

// Put has everything go to c from now on.
func (b *Base) Put(c net.Conn) { b.at.Store(&c) }

// NetConn gives what it stands on at the moment.
func (b *Base) NetConn() net.Conn { return *b.at.Load() }

// Read implements net.Conn, as all that follows does.
func (b *Base) Read(p []byte) (int, error) { return b.NetConn().Read(p) }

// Write sends p.
func (b *Base) Write(p []byte) (int, error) { return b.NetConn().Write(p) }

// Close closes what it stands on.
func (b *Base) Close() error { return b.NetConn().Close() }

// CloseWrite sends the end of the stream below TLS; errors.ErrUnsupported when what it stands on cannot.
func (b *Base) CloseWrite() error {
	if half, ok := b.NetConn().(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// LocalAddr is that of what it stands on.
func (b *Base) LocalAddr() net.Addr { return b.NetConn().LocalAddr() }

// RemoteAddr is that of what it stands on.
func (b *Base) RemoteAddr() net.Addr { return b.NetConn().RemoteAddr() }

// SetDeadline sets both deadlines.
func (b *Base) SetDeadline(t time.Time) error { return b.NetConn().SetDeadline(t) }

// SetReadDeadline sets that for reading.
func (b *Base) SetReadDeadline(t time.Time) error { return b.NetConn().SetReadDeadline(t) }

// SetWriteDeadline sets that for writing.
func (b *Base) SetWriteDeadline(t time.Time) error { return b.NetConn().SetWriteDeadline(t) }
