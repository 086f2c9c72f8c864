package lb

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	copyBufferLen = 32 << 10
	// headDelay is how long the head of a short response waits for its body, so that both leave in one packet.
	headDelay = 5 * time.Millisecond
)

var copyBuffers = sync.Pool{New: func() any { return new([copyBufferLen]byte) }}

// errBadStatus is a status code that HTTP does not have.
var errBadStatus = errors.New("the instance's status code is below 100")

// errClientWrite says that the client no longer takes the response.
var errClientWrite = errors.New("write to the client")

// respond sends the response as it comes: each piece leaves when it has been read.
func (x *exchange) respond(resp *http.Response) error {
	x.info.close()
	x.hideInstances(resp.Header)
	h := x.w.Header()
	for name, values := range resp.Header {
		h[name] = values
	}
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // keeps net/http from guessing one
	}
	delete(resp.Trailer, lostHeader) // only Holdfast says so, in the head
	for name := range resp.Trailer {
		h.Add("Trailer", name)
	}
	announced := len(resp.Trailer)
	x.status, x.head = resp.StatusCode, true
	x.w.WriteHeader(resp.StatusCode)
	if x.r.Method != http.MethodHead {
		if err := x.copyBody(resp.Body, resp.ContentLength); err != nil {
			return err
		}
	}
	delete(resp.Trailer, lostHeader) // it may have come without having been announced
	if len(resp.Trailer) == 0 {
		return nil
	}
	if f, ok := x.w.(http.Flusher); ok {
		f.Flush() // forces chunks: only they can have trailers
	}
	for name, values := range resp.Trailer {
		if len(resp.Trailer) != announced {
			name = http.TrailerPrefix + name
		}
		h[name] = values
	}
	return nil
}

// copyBody copies length bytes (-1: to the end) to the client.
func (x *exchange) copyBody(body io.Reader, length int64) error {
	if length == 0 {
		return nil
	}
	buffer := copyBuffers.Get().(*[copyBufferLen]byte)
	defer copyBuffers.Put(buffer)
	out := &x.out
	out.w = x.w
	out.flusher, _ = x.w.(flusher)
	defer out.end()
	if length < 0 || length > copyBufferLen {
		out.ring()
	} else {
		defer newAlarm(out, headDelay).end()
	}
	for {
		n, err := body.Read(buffer[:])
		if n > 0 {
			x.sent += int64(n)
			if werr := out.write(buffer[:n], x.sent == length); werr != nil {
				return fmt.Errorf("%w: %w", errClientWrite, werr)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read response: %w", err)
		}
	}
}

// flusher is what net/http's ResponseWriter has.
type flusher interface{ FlushError() error }

// flushWriter writes through. Its lock is for the alarm that flushes the head of a response whose body is late.
type flushWriter struct {
	mu      sync.Mutex
	w       io.Writer
	flusher flusher // nil when w cannot
	started bool    // nothing is left to do for the alarm
}

// ring flushes the head, unless a piece of the body did that.
func (f *flushWriter) ring() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.started && f.flusher != nil {
		f.flusher.FlushError() // its error comes back from the next write
	}
	f.started = true
}

// write sends p on; last says that nothing follows, so that the end of the handler flushes.
func (f *flushWriter) write(p []byte, last bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.started = true
	if _, err := f.w.Write(p); err != nil {
		return err
	}
	if last || f.flusher == nil {
		return nil
	}
	return f.flusher.FlushError()
}

// end comes before the handler returns, whatever became of the response: nobody may touch w after that.
func (f *flushWriter) end() {
	f.mu.Lock()
	f.started = true
	f.mu.Unlock()
}
