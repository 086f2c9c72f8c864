package raftnode

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// streamLayer gives raft's NetworkTransport connections that are authenticated already. It implements raft.StreamLayer.
type streamLayer struct {
	addr peerAddr
	// dial opens a connection to the node at an address, and checks that it is the node that has it by the membership.
	dial func(ctx context.Context, addr string) (net.Conn, error)

	accepted chan net.Conn
	closed   chan struct{}

	warmed warmed

	mu    sync.Mutex
	conns map[net.Conn]struct{} // nil once closed
}

var _ raft.StreamLayer = (*streamLayer)(nil)

// peerAddr is the advertised address: by it raft knows this node, whatever the socket is bound to.
type peerAddr string

func (a peerAddr) Network() string { return "tcp" }
func (a peerAddr) String() string  { return string(a) }

func newStreamLayer(addr string, dial func(context.Context, string) (net.Conn, error)) *streamLayer {
	return &streamLayer{addr: peerAddr(addr), dial: dial, accepted: make(chan net.Conn), closed: make(chan struct{}),
		conns: make(map[net.Conn]struct{})}
}

// keep remembers a connection: raft closes neither those it has accepted nor those in its pool.
func (s *streamLayer) keep(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		_ = c.Close()
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *streamLayer) forget(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// hand gives an authenticated connection to raft.
func (s *streamLayer) hand(c net.Conn) {
	if !s.keep(c) {
		return
	}
	select {
	case s.accepted <- &raftConn{Conn: c, layer: s, deadlines: true}:
	case <-s.closed:
	}
}

func (s *streamLayer) Accept() (net.Conn, error) {
	select {
	case c := <-s.accepted:
		return c, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

// Close ends all connections too: what others see is that the node is gone.
func (s *streamLayer) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		return nil
	}
	close(s.closed)
	for c := range s.conns {
		_ = c.Close()
	}
	s.conns = nil
	return nil
}

func (s *streamLayer) Addr() net.Addr { return s.addr }

func (s *streamLayer) Dial(addr raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if c := s.warmConn(ctx, string(addr)); c != nil {
		return &raftConn{Conn: c, layer: s}, nil
	}
	c, err := s.dial(ctx, string(addr))
	if err != nil {
		return nil, err
	}
	if !s.keep(c) {
		return nil, net.ErrClosed
	}
	return &raftConn{Conn: c, layer: s}, nil
}

// messageWait bounds the silence within one message of Raft.
const messageWait = 10 * time.Second

// raftConn is a connection in raft's hands. For dialed ones raft sets deadlines itself. For accepted ones it sets none, and
// it reads a snapshot on its main goroutine: a peer that is frozen in the middle of one would keep this node from voting.
// So here a read that follows another read, without an answer between them, is within a message and has a deadline.
type raftConn struct {
	net.Conn
	layer     *streamLayer
	deadlines bool
	within    bool // of the reading goroutine, which is also the one that writes
}

func (c *raftConn) Read(b []byte) (int, error) {
	if !c.deadlines {
		return c.Conn.Read(b)
	}
	var until time.Time
	if c.within {
		until = time.Now().Add(messageWait)
	}
	_ = c.SetReadDeadline(until)
	n, err := c.Conn.Read(b)
	c.within = true
	return n, err
}

func (c *raftConn) Write(b []byte) (int, error) {
	if c.deadlines {
		c.within = false
		_ = c.SetWriteDeadline(time.Now().Add(messageWait))
	}
	return c.Conn.Write(b)
}

func (c *raftConn) Close() error {
	c.layer.forget(c.Conn)
	return c.Conn.Close()
}
