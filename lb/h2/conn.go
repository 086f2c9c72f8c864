package h2

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// readBuffer is what one read takes at once: the server would read heads and payloads apart.
	readBuffer = 4 << 10
	// lastTime is how long a client that is cut off gets to read why, and lastBytes how much of what it still sends is dropped meanwhile.
	lastTime  = 250 * time.Millisecond
	lastBytes = 256 << 10

	noError         = 0x0
	enhanceYourCalm = 0xb
	everyStream     = 1<<31 - 1
)

// Options are what a Conn keeps to.
type Options struct {
	// HeadTimeout is how long a header block may take from its first byte to its last; 0: no bound.
	HeadTimeout time.Duration
	// Latest gives HeadTimeout as it is to hold from the next header block on; nil: it stays.
	Latest func() time.Duration
	// Refused is told once why the client is cut off; nil: nobody is.
	Refused func(*Violation)
	// Now is the clock, time.Now when nil.
	Now func() time.Time
}

// Conn is a client's connection as the server gets it. The first byte is that of the client's preface.
type Conn struct {
	net.Conn
	opts Options

	// Of the goroutine in Read.
	in       scanner
	watch    watch
	settings settingsFilter
	got      []byte // read and judged, and not passed on: the rest of ready
	ready    []byte
	buffer   []byte
	timed    bool  // the header block in work has its deadline
	over     error // nothing is passed on any more

	last atomic.Uint32 // the highest stream of the client's

	notice atomic.Bool // GOAWAY is to be sent

	sent sent

	mu   sync.Mutex // held while something is written; guards what follows
	out  scanner
	said bool // the server has begun: its first frame must be SETTINGS
}

// NewConn puts a Conn in front of a connection. before are the bytes that have been read already.
func NewConn(under net.Conn, before []byte, o Options) *Conn {
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Conn{Conn: under, opts: o, in: scanner{skip: len(preface)}, watch: newWatch(o.Now)}
	if v := c.judge(before); v != nil {
		c.over = v
	} else {
		c.got = c.ready
	}
	return c
}

// NetConn gives the connection below.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// Read gives what the client sends. Its error is a *Violation when the client has been cut off.
func (c *Conn) Read(p []byte) (int, error) {
	for len(c.got) == 0 && c.over == nil {
		if err := c.receive(); err != nil {
			return 0, err
		}
	}
	if c.over != nil {
		return 0, c.end()
	}
	n := copy(p, c.got)
	c.got = c.got[n:]
	return n, nil
}

// receive reads and judges.
func (c *Conn) receive() error {
	if err := c.timeHead(); err != nil {
		return err
	}
	if c.buffer == nil {
		c.buffer = make([]byte, readBuffer)
	}
	n, err := c.Conn.Read(c.buffer)
	if n > 0 {
		err = nil // it comes again
	}
	if c.timed && errors.Is(err, os.ErrDeadlineExceeded) {
		c.over = ErrHeadTimeout
		return nil
	}
	if v := c.judge(c.buffer[:n]); v != nil {
		c.over = v
		return nil
	}
	c.got = c.ready
	return err
}

// timeHead bounds the time of a header block. Nobody else sets a deadline for reading.
func (c *Conn) timeHead() error {
	in := c.watch.block || c.in.within(typeHeaders) || c.in.within(typeContinuation)
	if in == c.timed {
		return nil
	}
	if in && c.opts.Latest != nil {
		c.opts.HeadTimeout = c.opts.Latest()
	}
	switch {
	case in && c.opts.HeadTimeout <= 0:
		return nil
	case in:
		c.timed = true
		return c.SetReadDeadline(c.opts.Now().Add(c.opts.HeadTimeout))
	}
	c.timed = false
	return c.SetReadDeadline(time.Time{})
}

// judge looks at what has come. ready is what of it may be passed on.
func (c *Conn) judge(p []byte) *Violation {
	c.ready = c.ready[:0]
	if v := c.charge(); v != nil {
		return v
	}
	for len(p) > 0 {
		n, f, complete := c.in.next(p)
		c.ready = c.settings.pass(c.ready, p[:n], f, complete, c.in.n > 0)
		p = p[n:]
		if !complete {
			continue
		}
		if v := c.verdict(f); v != nil {
			return v
		}
	}
	c.last.Store(c.watch.last)
	return nil
}

// verdict judges a frame, by what has been sent to the client meanwhile when it does not stand otherwise.
func (c *Conn) verdict(f frame) *Violation {
	v := c.watch.take(f)
	if v != nil && c.settle() {
		v = c.watch.take(f)
	}
	return v
}

// charge counts what the server has had to reset, as what the client itself would have sent.
func (c *Conn) charge() *Violation {
	for range c.sent.broken.Swap(0) {
		if !c.watch.resets.spend(c.watch.now) && !(c.settle() && c.watch.resets.spend(c.watch.now)) {
			return ErrResets
		}
	}
	for range c.sent.beside.Swap(0) {
		if v := c.watch.idle(); v != nil && !(c.settle() && c.watch.idle() == nil) {
			return v
		}
	}
	return nil
}

// Broken counts a request that was answered although its client broke it off without a reset: as one taken back, and what the answer earns is taken back too. It may be called at any time.
func (c *Conn) Broken() { c.sent.broken.Add(2) }

// settle takes in what has been sent to the client meanwhile. It reports whether that was anything.
func (c *Conn) settle() bool {
	control, ended := int(c.sent.control.Swap(0)), int(c.sent.ended.Swap(0))
	c.watch.control.earn(control)
	c.watch.resets.earn(ended)
	return control+ended > 0
}

// end tells the client why it is cut off, once, and lets it read that: a close with unread bytes would reset the connection.
func (c *Conn) end() error {
	v, ok := c.over.(*Violation)
	if !ok {
		return c.over
	}
	c.over = net.ErrClosed
	if c.opts.Refused != nil {
		c.opts.Refused(v)
	}
	if !c.mu.TryLock() {
		return v // it does not read
	}
	if c.said && c.out.between() && c.SetWriteDeadline(time.Now().Add(lastTime)) == nil {
		c.Conn.Write(goAway(c.last.Load(), enhanceYourCalm))
	}
	c.mu.Unlock()
	if c.SetReadDeadline(time.Now().Add(lastTime)) != nil {
		return v
	}
	if c.buffer == nil {
		c.buffer = make([]byte, readBuffer)
	}
	for left := lastBytes; left > 0; {
		n, err := c.Conn.Read(c.buffer)
		if left -= n; err != nil {
			break
		}
	}
	return v
}

// Write sends bytes of the server.
func (c *Conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	n, err := c.Conn.Write(p)
	for b := p[:n]; len(b) > 0; {
		used, f, complete := c.out.next(b)
		switch b = b[used:]; {
		case complete:
			c.said = true
			c.sent.add(f)
		case c.out.reset():
			c.sent.reset(c.out.stream, c.out.code)
		}
	}
	c.mu.Unlock()
	c.deliver()
	return n, err
}

// GoAway tells the client that no further stream will be served on the connection, as soon as a frame of the server has ended: those that are open, and
// those that it opens before it knows, are (RFC 9113, section 6.8). It may take as long as a write.
func (c *Conn) GoAway() {
	c.notice.Store(true)
	c.deliver()
}

// deliver sends the notice, if one is wanted and this is the time. Whoever holds the lock looks again when it has let go.
func (c *Conn) deliver() {
	for c.notice.Load() && c.mu.TryLock() {
		done := c.said && c.out.between()
		if done && c.notice.Swap(false) {
			c.Conn.Write(goAway(everyStream, noError)) // a connection that is broken needs none
		}
		c.mu.Unlock()
		if !done {
			return // the write that ends the frame comes here
		}
	}
}
