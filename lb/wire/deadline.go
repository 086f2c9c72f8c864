package wire

import (
	"net"
	"os"
	"time"
)

// SetReadDeadline sets the server's deadline. The guard may have an earlier
// one of its own for a head or an idle connection. A call from another
// goroutine ends a blocked Read, as net/http needs it.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.server = t
	c.wake.Broadcast()
	if c.lingers {
		return nil
	}
	return c.under.SetReadDeadline(earlier(c.server, c.guard))
}

// arm sets the guard's deadline, d from now.
func (c *Conn) arm(d time.Duration) error { return c.setGuard(time.Now().Add(d)) }

// disarm removes it.
func (c *Conn) disarm() error {
	if c.guard.IsZero() { // only the goroutine in Read ever writes it
		return nil
	}
	return c.setGuard(time.Time{})
}

func (c *Conn) setGuard(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.guard = t
	return c.under.SetReadDeadline(earlier(c.server, c.guard))
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// readUnder reads from the connection below. It gives errExpired when the
// guard's deadline was the one that passed; the server's own wins over it.
func (c *Conn) readUnder(p []byte) (int, error) {
	for {
		n, err := c.under.Read(p)
		if n > 0 {
			c.idle = false
			return n, nil // an error comes again
		}
		if t, ok := err.(net.Error); !ok || !t.Timeout() {
			return 0, err
		}
		if c.nudged.Swap(false) {
			if err := c.look(); err != nil {
				return 0, err
			}
			continue
		}
		if c.guard.IsZero() {
			return 0, err
		}
		c.mu.Lock()
		now := time.Now()
		server := !c.server.IsZero() && !now.Before(c.server)
		guard := !now.Before(c.guard)
		c.mu.Unlock()
		if server {
			return 0, err
		}
		if guard {
			if n := c.lastLook(p); n > 0 {
				c.idle = false
				return n, nil
			}
			return 0, errExpired
		}
	}
}

// waitOutcome blocks until the outcome of an upgrade is known, the server's
// deadline passes or the connection is closed, without reading.
func (c *Conn) waitOutcome() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for watchState(c.watch.Load()) == watchOpen {
		if c.closed {
			return net.ErrClosed
		}
		if c.server.IsZero() {
			c.wake.Wait()
			continue
		}
		left := time.Until(c.server)
		if left <= 0 {
			return os.ErrDeadlineExceeded
		}
		t := time.AfterFunc(left, func() {
			c.mu.Lock() // so that it cannot come before the Wait
			defer c.mu.Unlock()
			c.wake.Broadcast()
		})
		c.wake.Wait()
		t.Stop()
	}
	return nil
}
