package raftnode

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// errNotSent: the request has not left this node.
var errNotSent = errors.New("not sent")

// writeWait bounds the writing of one frame: a peer that does not read is given up.
const writeWait = 5 * time.Second

// callConn is one connection to a peer on which many requests are under way at once.
type callConn struct {
	nc   net.Conn
	dead chan struct{} // closed when the connection is
	// wordless: the process there does not know callWord. Another one has another connection.
	wordless atomic.Bool

	wmu  sync.Mutex
	wbuf []byte

	mu      sync.Mutex
	err     error // why it is dead
	nextID  uint64
	waiting map[uint64]chan frame
}

func newCallConn(nc net.Conn) *callConn {
	c := &callConn{nc: nc, dead: make(chan struct{}), waiting: make(map[uint64]chan frame)}
	go c.read()
	return c
}

// call sends one request and waits for its reply, at most until ctx ends. A failed reply is a *failure; an error that is
// neither that nor errNotSent leaves it open whether the peer has done what was asked.
func (c *callConn) call(ctx context.Context, kind callKind, payload []byte) ([]byte, error) {
	if len(payload) > maxPayload {
		return nil, fmt.Errorf("%w: request of %d bytes is too large", errNotSent, len(payload))
	}
	if ctx.Err() != nil { // nobody waits any more: the peer must not do it after all
		return nil, fmt.Errorf("%w: %w", errNotSent, timeout(ctx))
	}
	reply := make(chan frame, 1)
	c.mu.Lock()
	if c.err != nil {
		err := c.err
		c.mu.Unlock()
		return nil, fmt.Errorf("%w: %w", errNotSent, err)
	}
	c.nextID++
	id := c.nextID
	c.waiting[id] = reply
	c.mu.Unlock()
	defer c.forget(id)

	f := frame{id: id, kind: kind, payload: payload, deadline: maxCallTime}
	if at, ok := ctx.Deadline(); ok {
		f.deadline = min(max(time.Until(at), time.Millisecond), maxCallTime)
	}
	if err := c.write(f); err != nil {
		return nil, err
	}
	select {
	case r := <-reply:
		return c.result(r)
	case <-ctx.Done():
		return nil, timeout(ctx)
	case <-c.dead:
	}
	select { // the reply may have come just before the end
	case r := <-reply:
		return c.result(r)
	default:
		return nil, fmt.Errorf("connection to %s: %w", c.nc.RemoteAddr(), c.reason())
	}
}

func (c *callConn) result(r frame) ([]byte, error) {
	if r.kind == replyOK {
		return r.payload, nil
	}
	f, err := decodeFailure(r.payload)
	if err != nil {
		c.close(err)
		return nil, err
	}
	return nil, f
}

func (c *callConn) write(f frame) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.wbuf = appendFrame(c.wbuf[:0], f)
	_ = c.nc.SetWriteDeadline(time.Now().Add(writeWait))
	_, err := c.nc.Write(c.wbuf)
	if cap(c.wbuf) > 1<<20 {
		c.wbuf = nil
	}
	if err != nil {
		// A part may have gone out, so nothing more can be sent here. The peer drops what is not whole; but whether it was
		// the last byte that failed is not known.
		c.close(err)
		return fmt.Errorf("connection to %s: %w", c.nc.RemoteAddr(), err)
	}
	return nil
}

func (c *callConn) read() {
	r := bufio.NewReaderSize(c.nc, 32<<10)
	for {
		f, err := readFrame(r, maxPayload)
		if err == nil && f.kind != replyOK && f.kind != replyFailed {
			err = fmt.Errorf("%w: kind %d is no reply", errFrame, f.kind)
		}
		if err != nil {
			c.close(err)
			return
		}
		c.mu.Lock()
		reply := c.waiting[f.id] // nil when the caller has given up
		delete(c.waiting, f.id)
		c.mu.Unlock()
		if reply != nil {
			reply <- f
		}
	}
}

func (c *callConn) forget(id uint64) {
	c.mu.Lock()
	delete(c.waiting, id)
	c.mu.Unlock()
}

// close ends the connection and all that wait on it; only the first reason counts.
func (c *callConn) close(reason error) {
	c.mu.Lock()
	first := c.err == nil
	if first {
		c.err = reason
	}
	c.mu.Unlock()
	if first {
		close(c.dead)
		_ = c.nc.Close()
	}
}

func (c *callConn) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}
