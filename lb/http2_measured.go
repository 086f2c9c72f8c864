package lb

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync/atomic"
)

// measuredBody is the body of a request of HTTP/2 that says how long it is. x/net ends a stream in order whose body ends too early, so that a client could have an instance begin one request
// after the other, and no reset would show.
type measuredBody struct {
	io.ReadCloser
	r      *http.Request
	broken func()
	closed atomic.Bool
	told   atomic.Bool
}

// Read implements io.Reader. The error of a body that is too short is none of those that the client, a deadline or we ourselves bring about.
func (b *measuredBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF && !errors.Is(err, os.ErrDeadlineExceeded) && !b.closed.Load() && b.r.Context().Err() == nil && !b.told.Swap(true) {
		b.broken()
	}
	return n, err
}

// Close implements io.Closer.
func (b *measuredBody) Close() error {
	b.closed.Store(true)
	return b.ReadCloser.Close()
}
