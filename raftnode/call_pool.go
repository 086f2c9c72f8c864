package raftnode

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// peerKey is where and, if known, who a peer is. A connection to the right address with the wrong node is refused.
type peerKey struct{ addr, name string }

// callPool keeps one connection for each peer and dials again when it breaks.
type callPool struct {
	dial func(ctx context.Context, addr, name string) (net.Conn, error)

	mu     sync.Mutex
	closed bool
	peers  map[peerKey]*poolPeer
}

func newCallPool(dial func(ctx context.Context, addr, name string) (net.Conn, error)) *callPool {
	return &callPool{dial: dial, peers: make(map[peerKey]*poolPeer)}
}

// poolPeer is one peer. At most one dial is under way; after a failed one the next waits for a while.
type poolPeer struct {
	pool *callPool
	key  peerKey

	mu      sync.Mutex
	conn    *callConn
	dialing chan struct{} // closed when the dial is done
	lastErr error
	wait    backoff
	notTill time.Time
	closed  bool
}

// call sends a request to the node at addr; name, when not empty, is the name that it must have.
func (p *callPool) call(ctx context.Context, addr, name string, kind callKind, payload []byte) ([]byte, error) {
	c, err := p.connect(ctx, addr, name)
	if err != nil {
		return nil, err
	}
	return c.call(ctx, kind, payload)
}

// connect gives the connection to the node at addr.
func (p *callPool) connect(ctx context.Context, addr, name string) (*callConn, error) {
	peer, err := p.peer(peerKey{addr, name})
	if err != nil {
		return nil, err
	}
	return peer.connect(ctx)
}

// drop closes the connection to a peer that does not answer, so that the next request dials.
func (p *callPool) drop(addr, name string, reason error) {
	p.mu.Lock()
	peer := p.peers[peerKey{addr, name}]
	p.mu.Unlock()
	if peer == nil {
		return
	}
	peer.mu.Lock()
	c := peer.conn
	peer.conn = nil
	peer.mu.Unlock()
	if c != nil {
		c.close(reason)
	}
}

func (p *callPool) peer(key peerKey) (*poolPeer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, fmt.Errorf("%w: %w", errNotSent, ErrClosed)
	}
	peer := p.peers[key]
	if peer == nil {
		peer = &poolPeer{pool: p, key: key, wait: backoff{base: 20 * time.Millisecond, limit: time.Second}}
		p.peers[key] = peer
	}
	return peer, nil
}

// connect gives the live connection, or waits for one until ctx ends. It gives up at the first failed dial.
func (p *poolPeer) connect(ctx context.Context) (*callConn, error) {
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return nil, fmt.Errorf("%w: %w", errNotSent, ErrClosed)
		}
		if p.conn != nil {
			select {
			case <-p.conn.dead:
				p.conn = nil
			default:
				c := p.conn
				p.mu.Unlock()
				return c, nil
			}
		}
		if wait := time.Until(p.notTill); wait > 0 && p.dialing == nil {
			err := p.lastErr
			p.mu.Unlock()
			return nil, fmt.Errorf("%w: %w", errNotSent, err)
		}
		if p.dialing == nil {
			p.dialing = make(chan struct{})
			go p.dial(p.dialing)
		}
		done := p.dialing
		p.mu.Unlock()
		select {
		case <-done:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", errNotSent, timeout(ctx))
		}
	}
}

func (p *poolPeer) dial(done chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), handshakeWait)
	defer cancel()
	nc, err := p.pool.dial(ctx, p.key.addr, p.key.name)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dialing = nil
	switch {
	case err == nil && p.closed:
		_ = nc.Close()
	case err == nil:
		p.conn = newCallConn(nc)
		p.wait.reset()
	default:
		p.lastErr = err
		p.notTill = time.Now().Add(p.wait.next())
	}
	close(done)
}

func (p *callPool) close() {
	p.mu.Lock()
	p.closed = true
	peers := p.peers
	p.peers = make(map[peerKey]*poolPeer)
	p.mu.Unlock()
	for _, peer := range peers {
		peer.mu.Lock()
		peer.closed = true
		c, dialing := peer.conn, peer.dialing
		peer.mu.Unlock()
		if c != nil {
			c.close(ErrClosed)
		}
		if dialing != nil {
			<-dialing
		}
	}
}
