package lb

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// instanceConn is a connection to an instance that knows whether its reader waits for bytes. http.Transport offers a connection for the next
// request before it has looked whether the instance has sent more than its response. In that moment a request would get the rest as its
// answer, which was meant for another client. A reader that waits has nothing left over.
type instanceConn struct {
	net.Conn
	reading atomic.Bool // a Read is under way
	waiting atomic.Bool // somebody waits for the reader
	written atomic.Int64

	mu      sync.Mutex
	closed  bool
	changed chan struct{} // closed when a Read begins, or with the connection
}

func (c *instanceConn) Read(p []byte) (int, error) {
	c.reading.Store(true)
	if c.waiting.Load() {
		c.wake(false)
	}
	n, err := c.Conn.Read(p)
	c.reading.Store(false)
	return n, err
}

// Write counts before it writes: what has begun may have arrived.
func (c *instanceConn) Write(p []byte) (int, error) {
	c.written.Add(int64(len(p)))
	return c.Conn.Write(p)
}

// Close also ends the wait: http.Transport closes what has something left over.
func (c *instanceConn) Close() error {
	c.wake(true)
	return c.Conn.Close()
}

// CloseWrite is for tunnels.
func (c *instanceConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return http.ErrNotSupported
}

func (c *instanceConn) wake(closing bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = c.closed || closing
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
	c.waiting.Store(false)
}

// quiet returns when the reader waits, so that nothing is left over, or the connection is closed or ctx ends. Only who holds the connection
// calls it.
func (c *instanceConn) quiet(ctx context.Context) {
	if c.reading.Load() {
		return
	}
	c.mu.Lock()
	changed := make(chan struct{})
	c.changed = changed
	c.waiting.Store(true)
	c.mu.Unlock()
	if c.reading.Load() || c.isClosed() {
		return
	}
	select {
	case <-changed:
	case <-ctx.Done():
	}
}

func (c *instanceConn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}
