package raftnode

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-lb/holdfast/raftnode/pki"
)

// The protocols of the peer port (ALPN). The first two need a node certificate, the last a join token.
const (
	protoRaft = "holdfast-raft/1"
	protoCall = "holdfast-call/1"
	protoJoin = "holdfast-join/1"
)

// handshakeWait bounds a TLS handshake, in both directions.
const handshakeWait = 5 * time.Second

var errAuth = errors.New("peer is not authenticated")

// listener is the peer port. Every connection proves itself in a goroutine of its own, of which there are at most
// maxPending; only then is it handed on.
type listener struct {
	tcp     net.Listener
	tls     atomic.Pointer[tls.Config]
	pending *pendingConns
	refused func(reason string)
	// accept takes over an authenticated connection; join one of protoJoin, which has not shown who it is and stays
	// among the pending ones until join returns. Both run in the connection's goroutine.
	accept func(c *tls.Conn, proto string, from caller)
	join   func(c *tls.Conn)

	wg sync.WaitGroup
}

func newListener(tcp net.Listener, creds *pki.Credentials, now func() time.Time, refused func(string)) (*listener, error) {
	l := &listener{tcp: tcp, pending: newPendingConns(refused), refused: refused}
	if err := l.use(creds, now); err != nil {
		return nil, err
	}
	return l, nil
}

// use has handshakes from now on made with creds; connections that are open stay as they are.
func (l *listener) use(creds *pki.Credentials, now func() time.Time) error {
	cfg, err := pki.ServerTLS(creds, pki.ServerOptions{Mutual: []string{protoRaft, protoCall}, Open: []string{protoJoin}, Now: now})
	if err != nil {
		return fmt.Errorf("peer port: %w", err)
	}
	l.tls.Store(cfg)
	return nil
}

// run accepts until the port is closed.
func (l *listener) run() {
	wait := backoff{base: 5 * time.Millisecond, limit: time.Second}
	for {
		c, err := l.tcp.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Out of descriptors, most likely: the port must live on when there are some again.
			l.refused("accept failed")
			time.Sleep(wait.next())
			continue
		}
		wait.reset()
		l.pending.add(c)
		l.wg.Add(1)
		go func() {
			defer l.wg.Done()
			l.handshake(c)
		}()
	}
}

func (l *listener) handshake(c net.Conn) {
	setKeepAlive(c)
	t := tls.Server(c, l.tls.Load())
	ctx, cancel := context.WithTimeout(context.Background(), handshakeWait)
	err := t.HandshakeContext(ctx)
	cancel()
	if err != nil {
		l.pending.done(c)
		_ = c.Close()
		l.refused("handshake failed")
		return
	}
	state := t.ConnectionState()
	if state.NegotiatedProtocol == protoJoin {
		l.join(t)
		l.pending.done(c)
		return
	}
	l.pending.done(c)
	from, err := callerOf(state)
	if err != nil {
		_ = c.Close()
		l.refused("not a node")
		return
	}
	l.accept(t, state.NegotiatedProtocol, from)
}

// callerOf reads the peer's name and id from its certificate, which the handshake has verified.
func callerOf(state tls.ConnectionState) (caller, error) {
	name, err := pki.PeerName(state)
	if err != nil {
		return caller{}, fmt.Errorf("%w: %w", errAuth, err)
	}
	id, err := nodeIDOf(state.PeerCertificates[0].PublicKey)
	if err != nil {
		return caller{}, fmt.Errorf("%w: %w", errAuth, err)
	}
	return caller{name: name, id: serverID(name, id)}, nil
}

func (l *listener) close() {
	_ = l.tcp.Close()
	l.pending.closeAll()
}

// setKeepAlive finds a peer that vanished without a word within 15 s.
func setKeepAlive(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 6 * time.Second, Interval: 3 * time.Second, Count: 3})
	}
}

// dialPeer opens an authenticated connection to the node at addr. name, when not empty, is the name that it must have.
func dialPeer(ctx context.Context, over Network, creds *pki.Credentials, proto, addr, name string, now func() time.Time) (*tls.Conn, error) {
	cfg, err := pki.ClientTLS(creds, proto, name, now)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	return dialTLS(ctx, over, cfg, addr)
}

func dialTLS(ctx context.Context, over Network, cfg *tls.Config, addr string) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeWait)
	defer cancel()
	c, err := over.Dial(ctx, addr)
	if err != nil {
		return nil, err // says "dial tcp ADDR" itself
	}
	setKeepAlive(c)
	t := tls.Client(c, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	return t, nil
}
