package raftnode

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// maxCallTime bounds how long a request may keep this node busy, whatever its caller says.
	maxCallTime = 30 * time.Second
	// maxCalls is how many requests of one connection are served at once. More wait in the socket.
	maxCalls = 64
	// maxSlowCalls is how many of them may be such that wait for something; more are refused. So session operations and
	// read indexes never stand behind them.
	maxSlowCalls = 32
	// frameWait bounds the time from the first byte of a frame to its last.
	frameWait = 10 * time.Second
)

// caller is who sent a request: both are proven by its certificate.
type caller struct {
	name string
	id   raft.ServerID
}

// handler answers one kind of request. Its error is told to the caller (see asFailure).
type handler func(ctx context.Context, from caller, payload []byte) ([]byte, error)

// callServer serves the connections of other nodes.
type callServer struct {
	handlers map[callKind]handler
	count    func(ok bool)
	// refuses is why requests of this kind of a caller are not answered, nil when they are.
	refuses func(from caller, kind callKind) error

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]struct{}
	wg     sync.WaitGroup
}

func newCallServer(handlers map[callKind]handler, count func(ok bool)) *callServer {
	return &callServer{handlers: handlers, count: count, conns: make(map[net.Conn]struct{})}
}

// serve takes over an authenticated connection and returns when it has ended.
func (s *callServer) serve(ctx context.Context, nc net.Conn, from caller) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		_ = nc.Close()
		return
	}
	s.conns[nc] = struct{}{}
	s.wg.Add(1)
	s.mu.Unlock()
	defer func() {
		_ = nc.Close()
		s.mu.Lock()
		delete(s.conns, nc)
		s.mu.Unlock()
		s.wg.Done()
	}()
	ctx, cancel := context.WithCancel(ctx) // ends with the connection: nobody waits for the answers then
	defer cancel()
	c := &servedConn{server: s, nc: nc, from: from, slots: make(chan struct{}, maxCalls), slow: make(chan struct{}, maxSlowCalls)}
	c.run(ctx)
	c.wg.Wait()
}

func (s *callServer) close() {
	s.mu.Lock()
	s.closed = true
	for nc := range s.conns {
		_ = nc.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

type servedConn struct {
	server *callServer
	nc     net.Conn
	from   caller
	slots  chan struct{}
	slow   chan struct{}
	wg     sync.WaitGroup

	wmu  sync.Mutex
	wbuf []byte
}

func (c *servedConn) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := bufio.NewReaderSize(c.nc, 32<<10)
	for {
		// Between two frames a peer may be silent; within one it may not.
		_ = c.nc.SetReadDeadline(time.Time{})
		if _, err := r.Peek(1); err != nil {
			return
		}
		_ = c.nc.SetReadDeadline(time.Now().Add(frameWait))
		f, err := readFrame(r, maxPayload)
		if err != nil || f.kind >= replyOK {
			return // a peer that breaks the framing cannot be told so in it
		}
		c.slots <- struct{}{}
		c.wg.Add(1)
		go func() {
			defer func() { <-c.slots; c.wg.Done() }()
			c.answer(ctx, f)
		}()
	}
}

func (c *servedConn) answer(ctx context.Context, f frame) {
	ctx, cancel := context.WithTimeout(ctx, min(max(f.deadline, time.Millisecond), maxCallTime))
	defer cancel()
	reply := frame{id: f.id, kind: replyOK}
	var err error
	if reply.payload, err = c.handle(ctx, f); err != nil {
		reply.kind, reply.payload = replyFailed, asFailure(err).encode()
	}
	c.server.count(err == nil)
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.wbuf = appendFrame(c.wbuf[:0], reply)
	_ = c.nc.SetWriteDeadline(time.Now().Add(writeWait))
	if _, err := c.nc.Write(c.wbuf); err != nil {
		_ = c.nc.Close()
	}
	if cap(c.wbuf) > 1<<20 {
		c.wbuf = nil
	}
}

func (c *servedConn) handle(ctx context.Context, f frame) ([]byte, error) {
	h := c.server.handlers[f.kind]
	if h == nil {
		return nil, &failure{code: failUnsupported, text: fmt.Sprintf("request of kind %d", f.kind)}
	}
	if c.server.refuses != nil {
		if err := c.server.refuses(c.from, f.kind); err != nil {
			return nil, err
		}
	}
	if !f.kind.quick() {
		select {
		case c.slow <- struct{}{}:
			defer func() { <-c.slow }()
		default:
			return nil, retryLater("too many requests of this kind at once")
		}
	}
	return h(ctx, c.from, f.payload)
}
