package wire

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Conn is a guarded connection. Read gives the bytes of accepted requests, one
// message at a time: no call gives bytes of two. Since a server asks for the
// second byte of a request only when it has sent the whole response to the one
// before, that tells the guard when its own answer may go out.
type Conn struct {
	under  net.Conn
	own    *shared
	limits *Limits // of the message in work, and of the wait for it

	// Of the goroutine in Read.
	state    state
	buf      []byte // read but not passed on: buf[at:]
	at       int
	parser   *Parser // while a head is in work
	timed    bool    // the head in work has its deadline
	pass     int     // bytes of the accepted head at buf[at:] still to pass
	framing  Framing // of the message in work
	left     int64   // bytes of its body still to pass
	chunks   Chunked
	upgrade  bool // the message asks for an upgrade
	served   bool // a head was passed on
	teased   bool
	told     bool // the violation inside a body was given
	bodiless bool // the refused request is HEAD
	idle     bool // a request is waited for, nothing of it has come
	fault    *Error
	prefaced []byte    // read of a connection of HTTP/2
	settled  bool      // nothing but HTTP/1.1 may come
	base     time.Time // the guard's deadline while idle, but for Retire; zero: none
	one      [1]byte

	body  atomic.Pointer[Error] // a violation inside a body
	watch atomic.Uint32         // a watchState

	retired atomic.Pointer[retirement] // nil: the connection stays
	nudged  atomic.Bool                // the deadline that passes next is no one's
	unread  atomic.Bool                // the client may be sending what nobody reads any more

	mu      sync.Mutex // guards what follows
	wake    sync.Cond  // outcome, server deadline or closed changed
	outcome outcome
	server  time.Time // read deadline of the server, zero: none
	guard   time.Time // read deadline of the guard, zero: none
	closed  bool
	lingers bool // linger has the read deadline for itself
}

type state uint8

const (
	inHead    state = iota // between messages, or in a head that is not complete
	inPass                 // passing an accepted head
	inLength               // in a body with a length
	inChunked              // in a chunked body
	inHold                 // after a request with Upgrade, its outcome is not known
	inRaw                  // upgraded: no HTTP any more
	inFault                // a head was refused, the client has no answer yet
	inBroken               // a body was refused
	inEnd                  // nothing comes any more
)

func newConn(under net.Conn, own *shared) *Conn {
	c := &Conn{under: under, own: own, limits: own.limits.Load()}
	c.wake.L = &c.mu
	return c
}

// BodyViolation gives the violation that ended the body of the request that is
// being handled, or nil. Any goroutine may call it.
func (c *Conn) BodyViolation() *Error { return c.body.Load() }

// Write sends bytes of responses. While the outcome of an upgrade is open it
// looks at them.
func (c *Conn) Write(p []byte) (int, error) {
	switch watchState(c.watch.Load()) {
	case watchOpen:
		c.observe(p)
	case watchSealed:
		return 0, net.ErrClosed
	}
	return c.under.Write(p)
}

// Close ends the connection. After a violation inside a body, and after Unread,
// the client may still be sending: the socket then lingers without its owner,
// for at most Limits.Linger, because a close with unread data would make the
// kernel send a reset that can destroy the handler's answer (RFC 9112 section
// 9.6). So does one that is retired: its client may just be sending another
// request.
func (c *Conn) Close() error {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	c.wake.Broadcast()
	c.mu.Unlock()
	unread := c.unread.Load() || c.Retired()
	if first && (c.body.Load() != nil || unread && watchState(c.watch.Load()) != watchSwitched) {
		go func() {
			c.linger()
			_ = c.under.Close() // the owner has gone
		}()
		return nil
	}
	return c.under.Close()
}

// Unread says that the client may go on sending a body that nobody reads, so
// that Close has to linger. Any goroutine may call it.
func (c *Conn) Unread() { c.unread.Store(true) }

// BodyHasCome reports whether the body of the request that is being handled has
// been read to its end, or can be without waiting for the client. Only who may
// call Read may call it.
func (c *Conn) BodyHasCome() bool {
	switch c.state {
	case inLength:
		return int64(c.waiting()) >= c.left
	case inChunked:
		all := c.chunks
		_, done, _ := all.Feed(c.buf[c.at:])
		return done
	case inBroken:
		return false
	}
	return true
}

// NetConn gives the connection below.
func (c *Conn) NetConn() net.Conn { return c.under }

// CloseWrite sends the end of the stream and leaves the other direction open.
// It fails with errors.ErrUnsupported when the connection below cannot.
func (c *Conn) CloseWrite() error {
	if w, ok := c.under.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}

// LocalAddr is the address of the connection below.
func (c *Conn) LocalAddr() net.Addr { return c.under.LocalAddr() }

// RemoteAddr is the address of the connection below.
func (c *Conn) RemoteAddr() net.Addr { return c.under.RemoteAddr() }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetWriteDeadline is that of the connection below.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.under.SetWriteDeadline(t) }
