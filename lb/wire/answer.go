package wire

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// answerTimeout is long enough for 300 bytes; who does not take them in that
// time is not waiting for them.
const answerTimeout = time.Second

// refuse notes that the head in work is not acceptable. What has been read of
// it is dropped: no byte of it or after it reaches the server.
func (c *Conn) refuse(bad *Error) error {
	c.fault, c.bodiless = bad, c.parser.isHead
	c.endHead()
	c.drop()
	c.state = inFault
	c.own.stats.Violation(bad)
	return c.disarm()
}

// spoil notes that the body in work breaks its framing.
func (c *Conn) spoil(bad *Error) {
	c.drop()
	c.state = inBroken
	c.body.Store(bad)
	c.own.stats.Violation(bad)
}

// readFault answers for a refused head when all earlier requests have been
// answered, then gives io.EOF.
//
// While a handler runs, net/http reads one byte ahead, and an error there
// cancels the handler's request, which is a good one. So that read gets a byte
// that means nothing. The server comes back for more only when that handler's
// response is out and the connection is to persist; if it is not, nobody asks
// again and nothing more may be sent (RFC 9112 section 9.6). One byte never
// makes a request: net/http peeks at four before it begins to parse.
func (c *Conn) readFault(p []byte) (int, error) {
	if c.served && !c.teased {
		c.teased = true
		p[0] = ' '
		return 1, nil
	}
	c.state = inEnd
	c.answer()
	return 0, io.EOF
}

// answer sends the refusal and waits until the client has had a chance to read
// it. Errors have no reader: the connection ends either way.
func (c *Conn) answer() {
	c.watch.Store(uint32(watchSealed))
	if err := c.under.SetWriteDeadline(time.Now().Add(answerTimeout)); err != nil {
		return
	}
	if _, err := c.under.Write(response(c.fault, c.bodiless, time.Now())); err != nil {
		return
	}
	c.linger()
}

// response is a complete HTTP/1.1 response; to HEAD without its content (RFC
// 9110 section 9.3.2). Without no-store a 414 and a 501 could be cached
// (section 15.1).
func response(e *Error, bodiless bool, now time.Time) []byte {
	if e == errPreface {
		return []byte(strangerEnd)
	}
	b := fmt.Appendf(nil, "HTTP/1.1 %d %s\r\n", e.Status, http.StatusText(e.Status))
	b = fmt.Appendf(b, "Date: %s\r\n", now.UTC().Format(http.TimeFormat))
	b = append(b, "Content-Type: text/plain; charset=utf-8\r\n"...)
	b = append(b, "X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n"...)
	b = fmt.Appendf(b, "Content-Length: %d\r\nConnection: close\r\n\r\n", len(e.Reason)+1)
	if bodiless {
		return b
	}
	return append(append(b, e.Reason...), '\n')
}

// linger closes the connection for writing and drops what the client still
// sends until it closes too, the time is up or it has sent too much: closing
// with unread data would reset the connection, and a reset can take the answer
// from the client's buffer (RFC 9112 section 9.6).
func (c *Conn) linger() {
	l := c.own.limits.Load() // another goroutine may close
	if l.Linger < 0 || c.CloseWrite() != nil || c.lingerDeadline(l.Linger) != nil {
		return
	}
	var first [1]byte // many may linger at once, and most get nothing: a buffer is for those that do
	if n, err := c.under.Read(first[:]); n == 0 || err != nil {
		return
	}
	b := c.own.buffer(smallBuffer, 0)
	defer c.own.release(b)
	for left := l.LingerBytes; left > 0; {
		n, err := c.under.Read(b[:cap(b)])
		if left -= n; err != nil {
			return
		}
	}
}

// lingerDeadline sets the deadline of linger; nothing sets another one after it.
func (c *Conn) lingerDeadline(d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lingers = true
	return c.under.SetReadDeadline(time.Now().Add(d))
}

// headError is for an error while part of a head is waiting.
func (c *Conn) headError(err error) error {
	switch {
	case err == nil:
		return nil
	case !c.parser.Begun():
		return c.idleError(err)
	case errors.Is(err, errExpired):
		return c.refuse(errTimeout)
	case errors.Is(err, io.EOF):
		return c.refuse(errCut) // RFC 9112 section 8
	}
	return err
}

// idleError is for an error before the first byte of a head.
func (c *Conn) idleError(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, errExpired) {
		c.state = inEnd
		err = io.EOF
	}
	_ = c.disarm() // err says more, and nothing is read any more after it
	return err
}
