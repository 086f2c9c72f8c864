package lb

import (
	"cmp"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
)

const (
	// http3Protocol is HTTP/3 in ALPN and Alt-Svc.
	http3Protocol = "h3"
	// http3Silence is how long nothing may come from a client; it is asked after http3Ping whether it is there.
	http3Silence, http3Ping = time.Minute, 20 * time.Second
	// http3AltSvc is how long a client may remember that there is HTTP/3.
	http3AltSvc = 24 * time.Hour
)

// http3Front is the half of a listener that speaks HTTP/3: on the same port, of UDP. It has the address as soon as the other half is bound, and tries until it has. While it
// has not, the listener serves without it, and tells nobody of it.
type http3Front struct {
	*front        // to which its connections belong; it ends by itself when HTTP/3 is switched off
	over   *front // the other half, whose settings hold for both

	unproven atomic.Int64 // handshakes of clients that may be anybody

	inherited HTTP3Socket // of the process before, until it is used; for run alone

	umu       sync.Mutex
	listener  *quic.Listener
	transport *quic.Transport
	socket    *quicSocket
	finished  bool
}

// reconcileHTTP3 begins and ends HTTP/3 as the listeners say, and touches nothing else. It works under Balancer.mu.
func (b *Balancer) reconcileHTTP3() {
	for _, f := range b.fronts {
		e := f.edge.Load()
		switch wanted := e.overTLS() && e.config.HTTP3; {
		case wanted && f.http3 == nil:
			f.http3 = b.newHTTP3Front(f)
		case wanted:
			f.http3.edge.Store(e)
		case f.http3 != nil:
			h := f.http3
			f.http3 = nil
			h.stopAccepting()
			f.answeredBefore += h.answered.Load() // what it still answers is not counted by listener
			b.closing.Go(func() { h.close(b.ctx) })
		}
	}
}

// quietQUIC keeps quic-go from writing to standard error by itself when the machine allows only small buffers: the log says it.
var quietQUIC = sync.OnceFunc(func() { os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true") })

func (b *Balancer) newHTTP3Front(over *front) *http3Front {
	quietQUIC()
	ctx, cancel := context.WithCancel(b.ctx)
	requests, kill := context.WithCancel(b.ctx)
	h := &http3Front{over: over, front: &front{
		b: b, address: over.address, requests: requests, cancel: cancel, kill: kill, done: make(chan struct{}), stopped: make(chan struct{}), err: errors.New("not bound yet"),
	}}
	h.edge.Store(over.edge.Load())
	if b.opts.InheritedHTTP3 != nil { // now: what nobody asks for is closed when this process says that it serves
		h.inherited = b.opts.InheritedHTTP3(over.address)
	}
	go h.run(ctx)
	return h
}

// run binds and accepts until it is to end.
func (h *http3Front) run(ctx context.Context) {
	defer close(h.done)
	defer func() { h.inherited.Close() }() // it may have been used by then
	wait := bindRetryFirst
	for ctx.Err() == nil {
		err := h.bind(ctx)
		if err == nil {
			wait = bindRetryFirst
			if err = h.acceptConns(ctx); ctx.Err() != nil {
				return // who ends it lets the connections finish
			}
			h.shut()
		}
		if !errors.Is(err, errOtherHalf) {
			h.failed(fmt.Errorf("HTTP/3: %w", bindError(h.address, err)))
		}
		retry := time.NewTimer(wait)
		wait = min(2*wait, bindRetryMost)
		select {
		case <-retry.C:
		case <-ctx.Done():
			retry.Stop()
		}
	}
}

var errOtherHalf = errors.New("the listener is not bound yet")

// bind takes the port that the other half has.
func (h *http3Front) bind(ctx context.Context) error {
	_, at, err := h.over.state()
	if err != nil {
		return errOtherHalf
	}
	host, _, err := net.SplitHostPort(h.address)
	if err != nil {
		return err
	}
	port := at.(*net.TCPAddr).Port
	reset, token, err := h.groupKeys()
	if err != nil {
		return err
	}
	socket, err := h.listen(ctx, net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return err
	}
	t := &quic.Transport{
		Conn: socket, ConnectionIDGenerator: socket.ids, StatelessResetKey: reset, TokenGeneratorKey: token, VerifySourceAddress: h.mustProve, ConnContext: h.arrives,
	}
	ln, err := t.Listen(h.tlsConfig(), &quic.Config{GetConfigForClient: h.quicConfig})
	if err != nil {
		socket.Close()
		return err
	}
	h.umu.Lock()
	h.listener, h.transport, h.socket = ln, t, socket
	finished := h.finished
	h.umu.Unlock()
	if finished { // meanwhile
		h.shut()
		return net.ErrClosed
	}
	h.mu.Lock()
	h.err = nil
	h.mu.Unlock()
	h.b.log.Info("listening", "listener", h.name(), "address", socket.LocalAddr().String(), "protocol", "http3", "connectionIDs", socket.ids.String())
	told := fmt.Sprintf(`%s=":%d"; ma=%d`, http3Protocol, port, int(http3AltSvc/time.Second))
	h.over.altSvc.Store(&told)
	return nil
}

// listen gives the socket: that of the process before, once that has left it to this one, or a new one.
func (h *http3Front) listen(ctx context.Context, address string) (*quicSocket, error) {
	s, err := h.b.listenQUIC(ctx, address, h.inherited.Packets)
	if err != nil || h.inherited.Way == nil {
		h.inherited.Packets = nil
		return s, err
	}
	way, err := newQUICWay(h.inherited.Way)
	if err == nil {
		limited, cancel := context.WithTimeout(ctx, http3Yield)
		defer cancel()
		err = s.takeOver(limited, way)
	}
	if err != nil { // it is asked again: the socket has to have one reader
		return nil, err
	}
	h.inherited = HTTP3Socket{}
	return s, nil
}

// groupKeys are of the group, so that every node can tell a client that its connection is gone, whichever node had it, and believes the same tokens.
func (h *http3Front) groupKeys() (*quic.StatelessResetKey, *quic.TokenGeneratorKey, error) {
	g := h.b.view.Group()
	if g == nil {
		return nil, nil, errNoGroup
	}
	reset, err := hkdf.Key(sha256.New, g.Secret, nil, "http3 stateless reset", 32)
	if err != nil {
		return nil, nil, err
	}
	token, err := hkdf.Key(sha256.New, g.Secret, nil, "http3 address token", 32)
	if err != nil {
		return nil, nil, err
	}
	r, t := quic.StatelessResetKey(reset), quic.TokenGeneratorKey(token)
	return &r, &t, nil
}

var errNoTLS = errors.New("the listener has no TLS yet")

// tlsConfig has each handshake made by what is in force then.
func (h *http3Front) tlsConfig() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{http3Protocol}, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		if s := h.over.secure.Load(); s != nil && s.quic != nil {
			return s.quic, nil
		}
		return nil, errNoTLS
	}}
}

// quicConfig is that of a new connection. 0-RTT is off: what comes by it can be sent again by anybody who has seen it.
func (h *http3Front) quicConfig(*quic.ClientInfo) (*quic.Config, error) {
	c := &quic.Config{
		MaxIdleTimeout: http3Silence, KeepAlivePeriod: http3Ping, MaxIncomingStreams: http2Streams, MaxIncomingUniStreams: h3OneWay, RequireStreamCreditRelease: true,
		InitialStreamReceiveWindow: http2Upload, MaxStreamReceiveWindow: http2Upload, InitialConnectionReceiveWindow: http2UploadAll, MaxConnectionReceiveWindow: http2UploadAll,
	}
	if s := h.over.secure.Load(); s != nil {
		c.HandshakeIdleTimeout = s.timeout / 2 // quic-go allows twice this for all of it
	}
	return c, nil
}

// acceptConns takes connections whose handshake is done.
func (h *http3Front) acceptConns(ctx context.Context) error {
	for {
		conn, err := h.listener.Accept(ctx)
		if err != nil {
			return err
		}
		if c := http3ConnOf(conn.Context()); c != nil {
			c.begin(conn)
		}
	}
}

// stopAccepting has nobody begin a connection any more. Those that are there go on.
func (h *http3Front) stopAccepting() {
	h.over.altSvc.Store(nil)
	h.cancel()
	h.umu.Lock()
	h.finished = true
	ln := h.listener
	h.umu.Unlock()
	if ln != nil {
		ln.Close()
	}
}

// shut gives the socket up, with all connections.
func (h *http3Front) shut() {
	h.over.altSvc.Store(nil)
	h.umu.Lock()
	defer h.umu.Unlock()
	if h.transport != nil {
		h.transport.Close()
		h.socket.Close()
		h.transport, h.listener = nil, nil
	}
}

// close ends it: each connection is told, and ends when its requests have been answered, or when ctx does.
func (h *http3Front) close(ctx context.Context) error {
	var err error
	if h.handed.Load() {
		err = h.handOn(ctx) // with an error of ctx, what follows takes no time
	}
	h.stopAccepting()
	<-h.done
	err = cmp.Or(h.b.conns.drain(ctx, h.front), err)
	if err != nil {
		h.b.conns.cutAll(func(s *caller) bool { return s.front == h.front })
	}
	h.shut()
	h.kill()
	return err
}

// closes begins to end it, if there is one; the result comes when it has.
func (h *http3Front) closes(ctx context.Context) <-chan error {
	done := make(chan error, 1)
	if h == nil {
		done <- nil
		return done
	}
	go func() { done <- h.close(ctx) }()
	return done
}

// serves reports whether clients can speak HTTP/3 now.
func (h *http3Front) serves() bool { return h.over.altSvc.Load() != nil }
