package lb

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// lingerTime is how long a finished exchange reads on in a request body that the instance did not want to see.
const lingerTime = 50 * time.Millisecond

// clientBody is the request body on its way to an instance. It remembers whose fault a failure was, and survives a
// transport that could not connect: Close does nothing, net/http closes the real one after the handler.
type clientBody struct {
	src   io.ReadCloser
	ended chan struct{} // closed at the end of the body or at its first error

	mu   sync.Mutex
	err  error
	n    int64
	over bool
}

func newClientBody(src io.ReadCloser) *clientBody {
	return &clientBody{src: src, ended: make(chan struct{})}
}

func (c *clientBody) Read(p []byte) (int, error) {
	n, err := c.src.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += int64(n)
	if err != nil && !c.over {
		c.over = true
		if err != io.EOF {
			c.err = err
		}
		close(c.ended)
	}
	return n, err
}

// Close leaves the body open for another instance.
func (c *clientBody) Close() error { return nil }

// failure is the error of reading the body from the client, nil when it was sound so far.
func (c *clientBody) failure() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// errBodyUsed stops http.Transport from sending a request again whose body has been read.
var errBodyUsed = errors.New("request body has been read already")

// again is the Request.GetBody of the outgoing request: the body is as good as new until its first byte is read.
func (c *clientBody) again() (io.ReadCloser, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n > 0 || c.over {
		return nil, errBodyUsed
	}
	return c, nil
}

// finish reads what is left of the body, so that the connection can be used again. When the end does not come in time, the
// connection is ended: nothing that follows on it may be read as a request. The rest must not be left to net/http, whose own
// attempt to read it after a full-duplex handler runs into its look-out for the next request (it panics in connReader.Read).
func (c *clientBody) finish(conn *clientConn) {
	select {
	case <-c.ended:
		return
	default:
	}
	late := time.AfterFunc(lingerTime, conn.end)
	defer late.Stop()
	if _, err := io.Copy(io.Discard, c); err != nil {
		conn.end()
	}
}

// clientFailure is what a client is told about its own body.
func clientFailure(ctx context.Context, err error) failure {
	if v := wire.Violation(ctx, err); v != nil {
		return failure{status: v.Status, text: "The body of the request is not valid: " + v.Reason + "."}
	}
	return failure{status: http.StatusBadRequest, text: "The body of the request could not be read."}
}
