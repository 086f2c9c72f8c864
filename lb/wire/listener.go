package wire

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
)

// NewListener gives a listener whose connections are guarded: each is a *Conn
// over one of inner's. A nil Stats is allowed. Limits are bytes and durations
// as documented there.
func NewListener(inner net.Listener, l Limits, s Stats) *Listener {
	return &Listener{Listener: inner, shared: newShared(l, s)}
}

// Listener gives guarded connections.
type Listener struct {
	net.Listener
	shared *shared
}

// SetLimits puts other limits into force. The heads that are in work keep
// theirs, and an idle connection the time that it began to wait with.
func (l *Listener) SetLimits(limits Limits) { l.shared.setLimits(limits) }

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err // net/http tells temporary errors apart by their type
	}
	return newConn(c, l.shared), nil
}

// shared is what the connections of a listener have in common. Buffers and
// parsers are lent to a connection only while part of a head waits in it, so
// an idle connection holds neither.
type shared struct {
	limits  atomic.Pointer[Limits]
	stats   Stats
	small   sync.Pool // *[smallBuffer]byte
	large   sync.Pool // *[]byte of the limit for heads that held when it was made
	parsers sync.Pool // *Parser
}

// smallBuffer is what net/http reads at once.
const smallBuffer = 4 << 10

func newShared(l Limits, s Stats) *shared {
	if s == nil {
		s = noStats{}
	}
	h := &shared{stats: s}
	h.setLimits(l)
	h.small.New = func() any { return new([smallBuffer]byte) }
	h.parsers.New = func() any { return new(Parser) }
	return h
}

func (h *shared) setLimits(l Limits) {
	l = l.withDefaults()
	h.limits.Store(&l)
}

func (h *shared) parser(l *Limits) *Parser {
	p := h.parsers.Get().(*Parser)
	p.Reset()
	p.head, p.target, p.lines = l.Head, l.Target, l.Lines
	return p
}

// buffer gives one of length 0 that holds at least size bytes, and most where
// that is more than a small one.
func (h *shared) buffer(size, most int) []byte {
	if size <= smallBuffer {
		return h.small.Get().(*[smallBuffer]byte)[:0]
	}
	if b, ok := h.large.Get().(*[]byte); ok && cap(*b) >= max(size, most) {
		return (*b)[:0]
	}
	return make([]byte, 0, max(size, most))
}

func (h *shared) release(b []byte) {
	switch cap(b) {
	case 0:
	case smallBuffer:
		h.small.Put((*[smallBuffer]byte)(b[:smallBuffer]))
	default:
		b = b[:cap(b)]
		h.large.Put(&b)
	}
}

type contextKey struct{}

// ConnContext belongs into http.Server.ConnContext: it lets Violation find the
// connection of a request.
func ConnContext(ctx context.Context, conn net.Conn) context.Context {
	if c := FromConn(conn); c != nil {
		return context.WithValue(ctx, contextKey{}, c)
	}
	return ctx
}

// FromConn gives the guarded connection, also below wrappers that have a
// NetConn method, or nil.
func FromConn(conn net.Conn) *Conn {
	for conn != nil {
		if c, ok := conn.(*Conn); ok {
			return c
		}
		w, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		conn = w.NetConn()
	}
	return nil
}

// Violation tells a handler whether its client broke the framing of this
// request's body: then the answer is the error's status and reason, not a 502.
// It looks for the error in err's chain and then at the connection of ctx (a
// request's context, see ConnContext), since transports wrap and replace what
// a body's Read gave them. Nil when there was none.
func Violation(ctx context.Context, err error) *Error {
	if v, ok := errors.AsType[*Error](err); ok {
		return v
	}
	if c, ok := ctx.Value(contextKey{}).(*Conn); ok {
		return c.BodyViolation()
	}
	return nil
}
