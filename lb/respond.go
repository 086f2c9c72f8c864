package lb

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

const (
	copyBufferLen = 32 << 10
	// headDelay is how long the head of a short response waits for its body, so that both leave in one packet.
	headDelay = 5 * time.Millisecond
)

var copyBuffers = sync.Pool{New: func() any { return new([copyBufferLen]byte) }}

// errBadStatus is a status code that HTTP does not have.
var errBadStatus = errors.New("the instance's status code is below 100")

// errOptions is a response of which the loops, too, pass nothing on: see wire.MaxOptions.
var errOptions = errors.New("the instance's response has too many options in Connection")

// errClientWrite says that the client no longer takes the response.
var errClientWrite = errors.New("write to the client")

// respond sends the response as it comes: each piece leaves when it has been read.
func (x *exchange) respond(resp *http.Response) error {
	if err := x.beginsSending(); err != nil {
		return err
	}
	defer x.endsSending()
	x.info.close()
	x.body.settle()
	x.hideInstances(resp.Header)
	x.boundSend()
	h := x.w.Header()
	for name, values := range resp.Header {
		h[name] = values
	}
	if resp.StatusCode == http.StatusNoContent {
		delete(h, "Content-Length") // it has none (RFC 9110, 8.6), and clients of HTTP/2 would wait for so much
	}
	x.tellRequestID(h)
	x.tellHSTS(h)
	x.tellAltSvc(h)
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // keeps net/http from guessing one
	}
	dropTrailers(resp.Trailer)
	for name := range resp.Trailer {
		h.Add("Trailer", name)
	}
	announced := len(resp.Trailer)
	if announced > 0 && !x.multiplexed() {
		delete(h, "Content-Length") // HTTP/2 knows both at once, HTTP/1.1 has trailers behind chunks alone
	}
	enc := x.compressed(resp, h)
	if x.b.conns.ending.Load() > 0 {
		clientConnOf(x.r.Context()).sayClose(h)
	}
	x.sayUnread(h)
	x.status, x.head = resp.StatusCode, true
	x.w.WriteHeader(resp.StatusCode)
	if err := x.sendBody(resp, enc); err != nil {
		return err
	}
	dropTrailers(resp.Trailer) // some may have come without having been announced
	if x.coding != codingNone {
		for _, name := range singular {
			delete(resp.Trailer, name)
		}
	}
	if len(resp.Trailer) == 0 {
		return nil
	}
	if f, ok := x.w.(http.Flusher); ok {
		x.inTime(func() error { f.Flush(); return nil }) // forces chunks: only they can have trailers
	}
	for name, values := range resp.Trailer {
		if len(resp.Trailer) != announced {
			name = http.TrailerPrefix + name
		}
		h[name] = values
	}
	return nil
}

// dropTrailers takes out what a client could merge into the head (RFC 9110 section 6.5.1), what only Holdfast says, in the head, and names that are none: a response of
// HTTP/2 that had no other trailers would never end.
func dropTrailers(trailer http.Header) {
	delete(trailer, lostHeader)
	for name := range trailer {
		if wire.ForbiddenTrailer(name) || !isToken(name) {
			delete(trailer, name)
		}
	}
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
	if x.edge.send > 0 {
		out.bound = x.boundSend
	}
	shut := x.newShut()
	out.shut = shut
	defer shut.end()
	defer out.end()
	stall := newStall(body, x.edge.responseBody)
	defer stall.stop()
	if length < 0 || length > copyBufferLen {
		if err := out.begin(); err != nil {
			return fmt.Errorf("%w: %w", errClientWrite, err)
		}
	} else {
		defer newAlarm(out, headDelay).end()
	}
	for {
		stall.begin()
		n, err := body.Read(buffer[:])
		stall.stop()
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
			return fmt.Errorf("read response: %w", stall.cause(err))
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
	bound   func()  // sets the deadline of the next write; nil: it has none
	shut    *shut   // bounds each, and the wait for the alarm's
}

// ring flushes the head, unless a piece of the body did that.
func (f *flushWriter) ring() {
	f.begin() // its error comes back from the next write
}

func (f *flushWriter) begin() (err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.started && f.flusher != nil {
		f.shut.begin()
		defer f.shut.stop()
		err = f.flusher.FlushError()
	}
	f.started = true
	return err
}

// write sends p on; last says that nothing follows, so that the end of the handler flushes.
func (f *flushWriter) write(p []byte, last bool) error {
	f.shut.begin()
	defer f.shut.stop()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.started = true
	if f.bound != nil {
		f.bound()
	}
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
