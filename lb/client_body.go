package lb

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// lingerTime is how long a finished exchange reads on in a request body that the instance did not want to see.
const lingerTime = 50 * time.Millisecond

// clientBody is the body of a request on its way to instances. Up to limit bytes of it are kept while they stream through, so that the
// body can be sent again from its beginning; once more have been read it cannot. It remembers whose fault a failure was.
type clientBody struct {
	src     io.ReadCloser
	wait    *headWait     // stands still while the client is waited for
	ended   chan struct{} // closed at the end of the body or at its first error
	first   bodyAttempt
	current atomic.Pointer[bodyAttempt]

	most     int64         // bytes that it may have; 0: no bound
	patience time.Duration // how long the client may take for a piece; 0: no bound
	conn     bodyEnder     // by which the wait for one that takes longer is ended

	turn   sync.Mutex    // held by whoever reads, also while the client is waited for
	invite func() bool   // tells the client that it may send, false: too late; nil: it does not wait for that, or has been told. Guarded by turn
	gone   chan struct{} // closed when no attempt is to have it any more
	left   atomic.Bool   // whoever still reads it is to wait for that

	mu     sync.Mutex
	kept   pieces // what another attempt is given at once, also while one before still waits for the client
	limit  int64  // bytes that may be kept
	err    error
	n      int64 // bytes read from the client
	direct bool  // a read is under way whose bytes will not be kept
	lost   bool  // bytes have been read that are not kept
	over   bool
	taken  bool // gone is closed
}

// bodyEnder ends a read of a client's body; there may be none under way.
type bodyEnder interface{ end() }

// bodyAttempt is the body as one attempt to send it sees it.
type bodyAttempt struct {
	body *clientBody
	at   int64
}

func newClientBody(src io.ReadCloser, limit int64, wait *headWait) *clientBody {
	c := &clientBody{src: src, limit: limit, wait: wait, ended: make(chan struct{}), gone: make(chan struct{})}
	c.first.body = c
	c.current.Store(&c.first)
	return c
}

var (
	// errBodyTooLarge says that the client sends more than it may, errBodyLate that it took too long for a piece.
	errBodyTooLarge = errors.New("the request body is larger than the limit")
	errBodyLate     = errors.New("the request body did not come in time")
	// errBodyUsed says that the body cannot be sent again.
	errBodyUsed = errors.New("more of the request body has been read than was kept")
	// errBodyNotKept says so to an attempt that has begun all the same.
	errBodyNotKept = errors.New("some of the request body was not kept, for want of memory")
	// errBodyTaken ends an attempt that another one has replaced.
	errBodyTaken = errors.New("the request body is no longer for this attempt")
	// errUninvited says that the final response has begun before the client was told that it may send.
	errUninvited = errors.New("the client has not been invited to send the request body")
)

// Read gives what an earlier attempt has read, then what the client sends.
func (a *bodyAttempt) Read(p []byte) (int, error) {
	n, err := a.next(p)
	if err == errUninvited || err != nil && err != io.EOF && a.body.left.Load() {
		<-a.body.gone // at an error http.Transport would close the connection to the instance, which may just be about to become a tunnel
		err = errBodyTaken
	}
	return n, err
}

// next is Read, but that it waits for nothing but the client.
func (a *bodyAttempt) next(p []byte) (int, error) {
	c := a.body
	if n := a.readKept(p); n > 0 {
		return n, nil
	}
	c.turn.Lock()
	defer c.turn.Unlock()
	if n := a.readKept(p); n > 0 { // the attempt before has read it meanwhile
		return n, nil
	}
	return c.read(a, p)
}

// readKept gives what is kept and the attempt has not had.
func (a *bodyAttempt) readKept(p []byte) int {
	c := a.body
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current.Load() != a {
		return 0
	}
	n := c.kept.readAt(p, a.at)
	a.at += int64(n)
	return n
}

// Close leaves the client's body open for another attempt; net/http closes the real one after the handler.
func (a *bodyAttempt) Close() error { return nil }

// read takes the next bytes from the client for an attempt that has had everything before, and keeps them if it may. The caller holds turn.
func (c *clientBody) read(a *bodyAttempt, p []byte) (int, error) {
	p, keep, err := c.beginRead(a, p)
	if err != nil || len(p) == 0 {
		return 0, err
	}
	if c.invite != nil {
		if !c.invite() {
			return 0, errUninvited
		}
		c.invite = nil
	}
	c.wait.pause()
	n, err := c.readInTime(p)
	c.wait.resume()
	c.mu.Lock()
	defer c.mu.Unlock()
	keep = keep && !c.lost && (n == 0 || c.kept.add(p[:n]))
	c.n += int64(n)
	if c.most > 0 && c.n > c.most {
		n, err = 0, errBodyTooLarge
	}
	c.lost, c.direct = c.lost || !keep && n > 0, false
	a.at += int64(n)
	if c.lost && c.current.Load() == a {
		c.kept.release() // it has had all of it, and there will be no other
	}
	if err != nil {
		c.over = true
		if err != io.EOF {
			c.err = err
		}
		close(c.ended)
	}
	return n, err
}

// readInTime reads from the client. One that takes too long is not read from again.
func (c *clientBody) readInTime(p []byte) (int, error) {
	if c.patience <= 0 {
		return c.src.Read(p)
	}
	late := time.AfterFunc(c.patience, c.conn.end)
	n, err := c.src.Read(p)
	if !late.Stop() {
		return 0, errBodyLate
	}
	return n, err
}

// beginRead says how many bytes may be read, and whether they will be kept.
func (c *clientBody) beginRead(a *bodyAttempt, p []byte) (_ []byte, keep bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.over && c.err != nil:
		return nil, false, c.err
	case c.over && a.at >= c.n:
		return nil, false, io.EOF
	case c.current.Load() != a:
		return nil, false, errBodyTaken
	case a.at < c.n:
		return nil, false, errBodyNotKept // it began while there was still memory to keep what was read meanwhile
	}
	room := c.limit - c.n
	if keep = room > 0 && !c.lost; keep {
		return p[:min(int64(len(p)), room)], true, nil
	}
	c.direct = len(p) > 0
	return p, false, nil
}

// failure is the error of reading the body from the client, nil when it was sound so far.
func (c *clientBody) failure() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// settle keeps nothing more: there is a response, so the request is not sent again. What streams for hours must not hold on to what it began with and more.
func (c *clientBody) settle() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = 0
	if c.current.Load().at >= c.kept.n && c.kept.n > 0 {
		c.lost = true
		c.kept.release()
	}
}

// leave keeps nothing and gives nothing any more: the connection becomes a tunnel, which may last for days.
func (c *clientBody) leave() {
	if c == nil {
		return
	}
	c.left.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.takeLocked()
	c.lost = true // a read may be under way
	c.kept.release()
}

// repeatable reports whether the body is sound and can be sent from its beginning; whole asks that it has been read to its end, too.
func (c *clientBody) repeatable(whole bool) bool {
	if c == nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err == nil && !c.lost && !c.direct && (c.over || !whole)
}

// again gives the body from its beginning, and ends the attempt that has it. It is also the Request.GetBody of outgoing requests.
func (c *clientBody) again() (io.ReadCloser, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost || c.direct {
		return nil, errBodyUsed
	}
	a := &bodyAttempt{body: c}
	c.current.Store(a)
	return a, nil
}

// finish reads what is left of the body, so that the connection can be used again, and so that a client who writes all of it before it reads gets that far: beyond what wire
// drops of what nobody reads, a reset could take the answer from it. When the end does not come in time, or the connection is not to be used again anyway, it is ended then:
// nothing that follows on it may be read as a request. One that was never invited to send is not waited for. The rest must not be left to net/http, whose own attempt to read it
// after a full-duplex handler runs into its look-out for the next request (it panics in connReader.Read), and knows no end in time.
func (c *clientBody) finish(conn bodyEnder, last bool) {
	rest := c.take()
	defer c.release()
	select {
	case <-c.ended:
		if c.failure() != nil {
			conn.end()
		}
		return
	default:
	}
	late := time.AfterFunc(lingerTime, conn.end)
	defer late.Stop()
	if _, err := io.Copy(io.Discard, rest); err != nil || last {
		conn.end()
	}
}

// hasCome reports whether all of the body is here, or can be read without waiting for the client; length is what it is said to have. waits tells it of what has
// not been read, and is asked while nobody reads.
func (c *clientBody) hasCome(length int64, waits func() bool) bool {
	over, whole := c.progress(length)
	if over || whole {
		return whole
	}
	if !c.turn.TryLock() {
		return false // an attempt waits for the client
	}
	defer c.turn.Unlock()
	if over, whole = c.progress(length); over {
		return whole
	}
	if c.invite != nil {
		return false // it is too late to invite the client, so that nothing is read any more
	}
	return waits()
}

// progress tells whether nothing more is read, and whether all has been.
func (c *clientBody) progress(length int64) (over, whole bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.over, c.err == nil && (c.over || c.n == length)
}

// take ends every attempt; what is left of the body is in the result and kept no more.
func (c *clientBody) take() io.Reader {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.taken {
		c.taken = true
		close(c.gone)
	}
	return c.takeLocked()
}

// takeLocked makes the attempt that nobody comes after. The caller holds mu.
func (c *clientBody) takeLocked() *bodyAttempt {
	c.limit = 0
	a := &bodyAttempt{body: c, at: math.MaxInt64 / 2} // behind all that was kept
	c.current.Store(a)
	return a
}

// release gives the kept bytes back. No attempt may want them any more.
func (c *clientBody) release() {
	c.turn.Lock()
	defer c.turn.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept.release()
}

// clientFailure is what a client is told about its own body.
func clientFailure(ctx context.Context, err error) failure {
	switch {
	case errors.Is(err, errBodyTooLarge):
		return failure{status: http.StatusRequestEntityTooLarge, text: "The body of the request is too large."}
	case errors.Is(err, errBodyLate):
		return failure{status: http.StatusRequestTimeout, text: "The body of the request did not come in time."}
	}
	if v := wire.Violation(ctx, err); v != nil {
		return failure{status: v.Status, text: "The body of the request is not valid: " + v.Reason + "."}
	}
	return failure{status: http.StatusBadRequest, text: "The body of the request could not be read."}
}
