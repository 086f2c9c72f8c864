package lb

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// compressDelay is how long what an instance has sent may wait for more before it leaves, compressed: a flush at each read makes bodies that come in small pieces
// longer than they were.
const compressDelay = 5 * time.Millisecond

// compressCopy is a body on its way through an encoder. Its lock is for the alarm that flushes.
type compressCopy struct {
	mu      sync.Mutex
	x       *exchange
	to      io.Writer
	flusher flusher
	e       *encoder
	owing   bool // something has been taken in that has not left
	over    bool // nobody may touch the client's writer any more
	failed  error
	shut    *shut
	in, out int64 // bytes
}

// Write takes what the encoder puts out. It is called with the lock held.
func (c *compressCopy) Write(p []byte) (int, error) {
	if c.x.edge.send > 0 {
		c.x.boundSend()
	}
	n, err := c.to.Write(p)
	c.out += int64(n)
	if err != nil {
		c.failed = err
	}
	return n, err
}

// ring flushes what has waited long enough.
func (c *compressCopy) ring() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || !c.owing || c.failed != nil {
		return
	}
	c.shut.begin()
	defer c.shut.stop()
	c.flush()
}

func (c *compressCopy) flush() {
	c.owing = false
	if err := c.e.Flush(); err != nil && c.failed == nil {
		c.failed = err
	}
	if c.failed == nil && c.flusher != nil {
		c.failed = c.flusher.FlushError()
	}
}

// take compresses a piece and reports whether the alarm has to be set.
func (c *compressCopy) take(p []byte) (wake bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed != nil {
		return false, c.failed
	}
	c.in += int64(len(p))
	if _, err := c.e.Write(p); err != nil {
		return false, err
	}
	wake, c.owing = !c.owing, true
	return wake, nil
}

// close writes the end of the encoding.
func (c *compressCopy) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed != nil {
		return c.failed
	}
	c.owing = false
	return c.e.Close()
}

// finish comes before the handler returns, whatever became of the response.
func (c *compressCopy) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	c.x.sent = c.out
	c.x.b.metrics.compression.count(c.e.coding, c.in, c.out)
	c.e.end()
}

// copyCompressed does what copyBody does, through an encoder, which it ends. Only a body that has come to its end gets the end of the encoding.
func (x *exchange) copyCompressed(body io.Reader, e *encoder) error {
	buffer := copyBuffers.Get().(*[copyBufferLen]byte)
	defer copyBuffers.Put(buffer)
	c := &compressCopy{x: x, to: x.w, e: e}
	c.flusher, _ = x.w.(flusher)
	e.Reset(c)
	c.owing = true // the head, whose body may be late
	shut := x.newShut()
	c.shut = shut
	alarm := newAlarm(c, compressDelay)
	defer shut.end()
	defer c.finish()
	defer alarm.end()
	stall := newStall(body, x.edge.responseBody)
	defer stall.stop()
	for {
		stall.begin()
		n, err := body.Read(buffer[:])
		stall.stop()
		if n > 0 {
			shut.begin()
			wake, werr := c.take(buffer[:n])
			if shut.stop(); werr != nil {
				return fmt.Errorf("%w: %w", errClientWrite, werr)
			}
			if wake {
				alarm.timer.Reset(compressDelay)
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("read response: %w", stall.cause(err))
		}
	}
	shut.begin()
	defer shut.stop()
	if err := c.close(); err != nil {
		return fmt.Errorf("%w: %w", errClientWrite, err)
	}
	return nil
}

// sendBody sends the body to the client, through e unless that is nil.
func (x *exchange) sendBody(resp *http.Response, e *encoder) error {
	switch {
	case x.r.Method != http.MethodHead && e != nil:
		return x.copyCompressed(resp.Body, e)
	case x.r.Method != http.MethodHead:
		return x.copyBody(resp.Body, resp.ContentLength)
	case e != nil:
		e.end()
	}
	return nil
}
