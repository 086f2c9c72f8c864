package lb

import (
	"io"
	"sync"
)

// detachedRead is how many bytes one read of a detached body takes: a message of most calls, and half a frame of HTTP/2.
const detachedRead = 8 << 10

// detachedBody is a body of a request that can be let go of while a client is waited for. A transport of HTTP/2 ends no attempt before its read of
// the body has returned, although the instance has long reset the stream, or is gone. The read that is under way then goes on for whoever needs the rest.
type detachedBody struct {
	from   io.Reader
	buffer []byte
	waits  bool // a read is under way
	came   chan detachedPiece
	rest   []byte // read and not yet given
	err    error  // that comes after rest
	closed chan struct{}
	once   sync.Once // closes closed
}

type detachedPiece struct {
	n   int
	err error
}

func newDetachedBody(from io.Reader) *detachedBody {
	return &detachedBody{from: from, came: make(chan detachedPiece, 1), closed: make(chan struct{})}
}

// Read implements io.Reader; one goroutine at a time calls it.
func (d *detachedBody) Read(p []byte) (int, error) {
	if len(d.rest) == 0 && d.err == nil {
		if d.buffer == nil {
			d.buffer = make([]byte, detachedRead)
		}
		if !d.waits {
			d.waits = true
			go func() {
				n, err := d.from.Read(d.buffer)
				d.came <- detachedPiece{n, err}
			}()
		}
		select {
		case piece := <-d.came:
			d.waits, d.rest, d.err = false, d.buffer[:piece.n], piece.err
		case <-d.closed:
			return 0, errBodyTaken
		}
	}
	n := copy(p, d.rest)
	if d.rest = d.rest[n:]; len(d.rest) > 0 {
		return n, nil
	}
	return n, d.err
}

// Close lets go. The client's body stays open, for another attempt.
func (d *detachedBody) Close() error {
	d.once.Do(func() { close(d.closed) })
	return nil
}

// bodyFor gives the body as an attempt to send it to an instance of the cluster needs it.
func (x *exchange) bodyFor(body io.ReadCloser) io.ReadCloser {
	if x.mod.cluster.h2 {
		return newDetachedBody(body)
	}
	return body
}

// bodyAgain gives the body anew, for http.Request.GetBody and for another attempt.
func (x *exchange) bodyAgain() (io.ReadCloser, error) {
	body, err := x.body.again()
	if err != nil {
		return nil, err
	}
	return x.bodyFor(body), nil
}
