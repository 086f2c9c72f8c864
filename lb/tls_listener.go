package lb

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-lb/holdfast/lb/h1"
)

// tlsListener accepts connections and gives those whose handshake is done. Handshakes run beside one another and bounded: in time, in number, and for each client,
// so that neither silence nor a flood of them keeps others out.
type tlsListener struct {
	net.Listener
	front *front
	done  chan accepted
	ended chan struct{} // closed when nothing comes any more
	hurry context.CancelFunc
	ctx   context.Context // of the handshakes
	under sync.WaitGroup
}

type accepted struct {
	conn net.Conn
	err  error
}

// lastShakes is how long handshakes may go on that are under way when a listener is removed.
const lastShakes = lastHandshakes

func newTLSListener(ln net.Listener, f *front) *tlsListener {
	l := &tlsListener{Listener: ln, front: f, done: make(chan accepted), ended: make(chan struct{})}
	l.ctx, l.hurry = context.WithCancel(f.b.ctx)
	go l.run()
	return l
}

// Accept implements net.Listener: what it gives has NetConn down to the clientSocket.
func (l *tlsListener) Accept() (net.Conn, error) {
	select {
	case a := <-l.done:
		return a.conn, a.err
	case <-l.ended:
		return nil, net.ErrClosed
	}
}

// run accepts until the listener below ends.
func (l *tlsListener) run() {
	defer close(l.ended)
	defer l.hurry()
	for {
		conn, err := l.Listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			break
		}
		if err != nil {
			select {
			case l.done <- accepted{err: err}: // net/http waits a little after temporary ones
				continue
			case <-l.ctx.Done():
				return
			}
		}
		l.begin(conn)
	}
	l.front.mu.Lock()
	until := l.front.until
	l.front.mu.Unlock()
	if until == nil {
		var stop context.CancelFunc
		until, stop = context.WithTimeout(l.ctx, lastShakes)
		defer stop()
	}
	stop := context.AfterFunc(until, l.hurry)
	defer stop()
	l.under.Wait()
}

// begin takes a new connection in: once it is certain whose it is, its handshake starts.
func (l *tlsListener) begin(conn net.Conn) {
	socket := &clientSocket{Conn: conn, who: &caller{front: l.front, local: localAddr(conn)}, fresh: true}
	if !l.front.edge.Load().expectsHeader() {
		l.count(socket, remoteAddr(conn))
		return
	}
	l.under.Go(func() {
		in, err := l.front.introduce(conn, nil)
		if err != nil {
			l.front.refuseHeader(conn, err)
			l.front.accepted.Add(1)
			return
		}
		socket.client = in.source
		if len(in.rest) > 0 {
			socket.before = in.rest
		}
		l.count(socket, addrPortOf(socket.RemoteAddr()).Addr())
	})
}

// count counts the connection of a client and starts its handshake.
func (l *tlsListener) count(socket *clientSocket, peer netip.Addr) {
	f := l.front
	s := f.secure.Load()
	held, err := f.admit(peer)
	if err != nil {
		// It cannot be told why: that would take the handshake which it must not have.
		f.refuse(socket.Conn, resultLimited)
		return
	}
	if !f.shakes.begin(peer, s, f.edge.Load().trusted.contains(peer)) {
		held.give()
		f.refuse(socket.Conn, resultFlood)
		return
	}
	socket.who.held = held
	l.under.Go(func() {
		defer f.shakes.end(peer)
		state, err := l.shake(socket, s)
		if err != nil {
			f.accepted.Add(1) // as far as anybody waits for it
			return
		}
		if f.toLoops(socket, state) {
			return
		}
		socket.SetDeadline(time.Time{}) // an error means that it is closed already
		conn := &secureConn{Conn: socket.who.tls.Conn, socket: socket}
		select {
		case l.done <- accepted{conn: conn}:
		case <-l.ctx.Done():
			conn.Close()
			f.accepted.Add(1)
		}
	})
}

// refuse closes a connection at once.
func (f *front) refuse(conn net.Conn, result string) {
	f.b.metrics.tls.handshake(f.name(), result, nil)
	f.accepted.Add(1)
	conn.Close()
}

// shake makes the handshake, after which socket.who.tls is there. After an error the socket is closed.
func (l *tlsListener) shake(socket *clientSocket, s *secure) (*tls.ConnectionState, error) {
	// A deadline and a word at the end, instead of HandshakeContext, which has a goroutine of its own wait for the context.
	stop := context.AfterFunc(l.ctx, func() { socket.SetDeadline(longAgo) })
	defer stop()
	err := socket.SetDeadline(time.Now().Add(s.timeout))
	base := h1.NewBase(socket)
	conn := tls.Server(base, s.config)
	if err == nil {
		err = conn.Handshake()
	}
	if err == nil {
		state := conn.ConnectionState()
		if state.NegotiatedProtocol == acmeProtocol {
			conn.Close()
			return nil, errChallenged
		}
		l.front.b.metrics.tls.handshake(l.front.name(), resultOf(&state), &state)
		t := &secured{Secured: h1.Secured{Conn: conn, Base: base}}
		t.cert, t.subject = identityOf(&state)
		socket.who.tls = t
		return &state, nil
	}
	l.front.b.metrics.tls.handshake(l.front.name(), failureResult(l.ctx, err), nil)
	if clear, ok := errors.AsType[tls.RecordHeaderError](err); ok && clear.Conn != nil && looksLikeHTTP(clear.RecordHeader[:]) {
		tellPlain(clear.Conn)
	}
	socket.Close()
	return nil, err
}

func looksLikeHTTP(b []byte) bool {
	switch string(b) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET", "PATCH", "CONNE", "TRACE":
		return true
	}
	return false
}

// tellPlain answers a client that speaks HTTP in clear.
func tellPlain(conn net.Conn) {
	if conn.SetDeadline(time.Now().Add(turnAwayTime)) != nil {
		return
	}
	const text = "This port speaks TLS: use https.\n"
	if _, err := io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 33\r\nConnection: close\r\n\r\n"+text); err == nil && closeWrite(conn) == nil {
		io.CopyN(io.Discard, conn, 64<<10) // a close with unread bytes would reset the connection, and the answer with it
	}
}

// shakes counts the handshakes that are under way.
type shakes struct {
	all atomic.Int64
	mu  sync.Mutex
	of  map[clientKey]int
}

// begin takes a place; false when there is none. A trusted proxy may have all of them: its connections are those of many clients.
func (h *shakes) begin(peer netip.Addr, s *secure, trusted bool) bool {
	client := keyOfClient(peer, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all.Load() >= s.most || !trusted && h.of[client] >= s.mostOfOne {
		return false
	}
	if h.of == nil {
		h.of = map[clientKey]int{}
	}
	h.of[client]++
	h.all.Add(1)
	return true
}

func (h *shakes) end(peer netip.Addr) {
	client := keyOfClient(peer, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.of[client]--; h.of[client] <= 0 {
		delete(h.of, client)
	}
	h.all.Add(-1)
}

// tlsOf gives the TLS connection below whatever is above it, nil for none.
func tlsOf(conn net.Conn) *tls.Conn {
	for conn != nil {
		if c, ok := conn.(*tls.Conn); ok {
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
