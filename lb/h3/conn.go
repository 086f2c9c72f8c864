package h3

import (
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"
)

// Options are what a connection is served by. Handler is required.
type Options struct {
	Handler http.Handler
	// Head bounds the fields of a head, packed and unpacked, in bytes (0: 32 KiB); Lines their number (0: 100). A head that goes beyond is answered with 431.
	Head, Lines int
	// HeadTimeout is the time that a client has for a head, and for the end of a request that has no body (0: 10 s).
	HeadTimeout time.Duration
	// Idle is how long a connection without requests is kept (0: 75 s).
	Idle time.Duration
	// Latest gives the four above as they are to hold from now on: it is asked for each request, and when the last of those that are open has ended. nil: they stay.
	Latest func() Options
	// Refused is told in a few words, of a small fixed set, what a client was refused, or cut off, for.
	Refused func(reason string)
	// Log takes panics of the handler; nil: slog.Default.
	Log *slog.Logger
}

const (
	// OneWayStreams is how many streams a client needs at once on which it alone sends, with some to spare for types that are yet to be invented.
	OneWayStreams = 16
	// What a client may send that asks for nothing: so much at once, and each second. A request explains some of it.
	mostWasted, wastedPerSecond, wastedPerRequest = 1000, 100, 10
	// How many requests a client may take back more than it lets finish: so many at once, and each second.
	mostResets, resetsPerSecond = 500, 50
	// heads is what all heads that are not whole may take, in bytes: at least this, and four times the bound of one.
	heads = 1 << 20
	// linger is how long after the last response the connection stays, so that what was lost of it can be sent again.
	linger = time.Second
	// controlTime is how long a client may take no byte of the control stream.
	controlTime = 5 * time.Second
	// lastStream is the highest number that a stream of requests can have.
	lastStream = 1<<62 - 4
)

// Conn is a connection of HTTP/3.
type Conn struct {
	quic     *quic.Conn
	o        Options
	frames   *budget // that ask for nothing
	resets   *budget
	critical [4]atomic.Bool // by type: it is there
	reading  atomic.Int64   // bytes of heads that are not whole
	work     sync.WaitGroup
	failed   sync.Once

	mu      sync.Mutex
	control *quic.SendStream
	active  int // requests that are being read or answered
	next    quic.StreamID
	stopped bool // next and above are refused
	idle    *time.Timer
	last    time.Time // when the last request ended
}

// NewConn makes a Conn of a connection whose handshake is done.
func NewConn(q *quic.Conn, o Options) *Conn {
	o.complete()
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Refused == nil {
		o.Refused = func(string) {}
	}
	return &Conn{quic: q, o: o, frames: newBudget(mostWasted, wastedPerSecond), resets: newBudget(mostResets, resetsPerSecond)}
}

// complete puts the defaults of the bounds where none are said.
func (o *Options) complete() {
	if o.Head <= 0 {
		o.Head = 32 << 10
	}
	if o.Lines <= 0 {
		o.Lines = 100
	}
	if o.HeadTimeout <= 0 {
		o.HeadTimeout = 10 * time.Second
	}
	if o.Idle <= 0 {
		o.Idle = 75 * time.Second
	}
}

// bounds are those that hold now.
func (c *Conn) bounds() Options {
	if c.o.Latest == nil {
		return c.o
	}
	o := c.o.Latest()
	o.complete()
	return o
}

// Serve returns when the connection has ended, and every handler has returned.
func (c *Conn) Serve() {
	defer c.work.Wait()
	defer c.quic.CloseWithError(codeNone, "")
	control, err := c.quic.OpenUniStream()
	if err != nil {
		return // it has ended, or its client allows no streams that HTTP/3 needs
	}
	if _, err := control.Write(ourSettings(c.bounds().Head)); err != nil {
		return
	}
	c.mu.Lock()
	c.control, c.last = control, time.Now()
	c.idle = time.AfterFunc(c.bounds().Idle, c.rest)
	c.mu.Unlock()
	defer c.over()
	c.work.Go(c.acceptOneWay)
	for {
		s, err := c.quic.AcceptStream(c.quic.Context())
		if err != nil {
			return
		}
		if !c.begins(s.StreamID()) {
			s.CancelRead(codeRequestRejected)
			s.CancelWrite(codeRequestRejected)
			s.ReleaseStreamCredit()
			c.fail(c.wasted())
			continue
		}
		c.work.Go(func() {
			defer s.ReleaseStreamCredit() // now: there are never more handlers than streams
			defer c.ends()
			c.serve(s)
		})
	}
}

// over comes when nothing more is taken in.
func (c *Conn) over() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.control = nil
	c.idle.Stop()
}

// begins takes a request in; false when it comes after the last one.
func (c *Conn) begins(id quic.StreamID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return false
	}
	c.next = max(c.next, id+4)
	c.active++
	c.idle.Stop()
	return true
}

// ends comes when a request has been answered.
func (c *Conn) ends() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = time.Now()
	if c.active--; c.active == 0 && c.control != nil {
		c.waits()
	}
}

// waits sets when the connection ends that has nothing to do; the caller holds mu.
func (c *Conn) waits() {
	if c.stopped {
		c.idle.Reset(max(0, linger-time.Since(c.last)))
	} else {
		c.idle.Reset(c.bounds().Idle)
	}
}

// rest ends a connection that has had nothing to do for long enough.
func (c *Conn) rest() {
	c.mu.Lock()
	wait := c.bounds().Idle
	if c.stopped {
		wait = linger
	}
	over := c.active == 0 && time.Since(c.last) >= wait
	if !over && c.active == 0 && c.control != nil {
		c.waits() // it was set for another time
	}
	c.mu.Unlock()
	if over {
		c.quic.CloseWithError(codeNone, "")
	}
}

// GoAway tells the client to open no more streams, without ending any: those that it opens before it has heard are served.
func (c *Conn) GoAway() { c.goAway(lastStream) }

// Shut serves what has come, refuses all that comes later, which the client may send again elsewhere, and closes the connection when everything has been answered.
func (c *Conn) Shut() {
	c.mu.Lock()
	if c.stopped || c.control == nil {
		c.mu.Unlock()
		return
	}
	c.stopped = true
	next := c.next
	c.last = time.Now() // the word must arrive before the end does
	if c.active == 0 {
		c.waits()
	}
	c.mu.Unlock()
	c.goAway(next)
}

func (c *Conn) goAway(id quic.StreamID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	control := c.control
	if control == nil {
		return // nothing has been said yet, or it is over
	}
	b := appendFrame(nil, frameGoAway, uint64(quicvarint.Len(uint64(id))))
	b = quicvarint.Append(b, uint64(id))
	c.work.Go(func() {
		control.SetWriteDeadline(time.Now().Add(controlTime))
		control.Write(b) // an error means that the connection ends, or that its client reads nothing
	})
}

// Close ends the connection at once.
func (c *Conn) Close() error {
	c.mu.Lock()
	code := quic.ApplicationErrorCode(codeNone)
	if c.active > 0 {
		code = codeInternal
	}
	c.mu.Unlock()
	return c.quic.CloseWithError(code, "")
}

// wasted counts what asks for nothing.
func (c *Conn) wasted() error {
	if !c.frames.spend() {
		return errFlood
	}
	return nil
}

func (c *Conn) refused(reason string) { c.o.Refused(reason) }

// fail ends the connection for what the client has done; nil does nothing.
func (c *Conn) fail(err error) {
	ours, ok := errors.AsType[*connError](err)
	if !ok {
		return
	}
	c.failed.Do(func() {
		if c.quic.Context().Err() == nil {
			c.refused(ours.reason)
			c.quic.CloseWithError(ours.code, ours.reason)
		}
	})
}
