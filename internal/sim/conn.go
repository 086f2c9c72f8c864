package sim

import (
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"time"
)

// segment is what one write sends: bytes, or the end of the stream, or a reset.
type segment struct {
	at   time.Time // when it arrives
	data []byte
	err  error
}

// lane is one direction of a connection. What is in it arrives in order, each segment at its time; while the way is cut nothing does.
type lane struct {
	net *network
	way way
	to  *end

	mu    sync.Mutex
	queue []segment
	timer *time.Timer
	since time.Time // since when the first segment waits because of a cut; zero: it does not
}

// send puts a segment on its way. It never blocks.
func (l *lane) send(s segment) {
	l.net.mu.Lock()
	d := l.net.delay(l.way)
	l.net.mu.Unlock()
	l.mu.Lock()
	s.at = time.Now().Add(d)
	if n := len(l.queue); n > 0 && s.at.Before(l.queue[n-1].at) {
		s.at = l.queue[n-1].at.Add(1)
	}
	l.queue = append(l.queue, s)
	first := len(l.queue) == 1
	l.mu.Unlock()
	if first {
		l.pump()
	}
}

// forget drops what is on its way.
func (l *lane) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue, l.since = nil, time.Time{}
}

// pump delivers what is due, and has itself called again.
func (l *lane) pump() {
	l.net.mu.Lock()
	cut := l.net.blocked(l.way)
	l.net.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) > 0 {
		now, s := time.Now(), &l.queue[0]
		if cut {
			if l.since.IsZero() {
				l.since = now
			}
			if now.Sub(l.since) >= deaf {
				l.queue = nil
				go l.to.timedOut()
				return
			}
			l.again(deaf - now.Sub(l.since))
			return
		}
		if !l.since.IsZero() { // it is sent again
			l.since = time.Time{}
			s.at = now.Add(l.net.chance.between(resend/10, resend))
		}
		if wait := s.at.Sub(now); wait > 0 {
			l.again(wait)
			return
		}
		l.to.take(*s)
		l.queue[0] = segment{}
		l.queue = l.queue[1:]
	}
	l.queue = nil
}

// again has pump called after d. mu is held.
func (l *lane) again(d time.Duration) {
	if l.timer == nil {
		l.timer = time.AfterFunc(d, l.pump)
		return
	}
	l.timer.Reset(d)
}

// end is one end of a connection: a net.Conn.
type end struct {
	net           *network
	id            int
	name          string
	local, remote string
	in, out       *lane
	peer          *end

	mu       sync.Mutex
	buf      []byte
	err      error // of the next read when buf is empty, and of each write unless it is io.EOF
	closed   bool
	deadline time.Time
	expire   *time.Timer
	wake     chan struct{} // closed at each change
}

// pair makes a connection. net.mu is held.
func (n *network) pair(from, to string) (near, far *end) {
	n.nextID++
	id := n.nextID
	mk := func(side int, local, remote string) *end {
		return &end{net: n, id: 2*id + side, name: from + ">" + to + "#" + strconv.Itoa(id), local: local, remote: remote, wake: make(chan struct{})}
	}
	near, far = mk(0, from, to), mk(1, to, from)
	near.peer, far.peer = far, near
	near.out = &lane{net: n, way: way{from, to}, to: far}
	far.out = &lane{net: n, way: way{to, from}, to: near}
	near.in, far.in = far.out, near.out
	n.ends[near], n.ends[far] = struct{}{}, struct{}{}
	return near, far
}

// signal wakes readers. mu is held.
func (e *end) signal() {
	close(e.wake)
	e.wake = make(chan struct{})
}

// take is the arrival of a segment.
func (e *end) take(s segment) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.net.trace.silent(e.name+" "+e.local, s.data)
	if e.closed || e.err != nil {
		return
	}
	e.buf = append(e.buf, s.data...)
	e.err = s.err
	e.signal()
}

// fail ends this end at once.
func (e *end) fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err == nil || e.err == io.EOF {
		e.err = err
		e.buf = nil
		e.signal()
	}
}

// timedOut is that nothing has come through for too long: both kernels give up.
func (e *end) timedOut() {
	e.fail(errGone)
	e.peer.fail(errGone)
}

func (e *end) Read(b []byte) (int, error) {
	for {
		e.mu.Lock()
		switch {
		case e.closed:
			e.mu.Unlock()
			return 0, opError("read", e.remote, net.ErrClosed)
		case !e.deadline.IsZero() && !time.Now().Before(e.deadline):
			e.mu.Unlock()
			return 0, opError("read", e.remote, os.ErrDeadlineExceeded)
		case len(b) == 0:
			e.mu.Unlock()
			return 0, nil
		case len(e.buf) > 0:
			n := copy(b, e.buf)
			if e.buf = e.buf[n:]; len(e.buf) == 0 {
				e.buf = nil
			}
			e.mu.Unlock()
			return n, nil
		case e.err == io.EOF:
			e.mu.Unlock()
			return 0, io.EOF
		case e.err != nil:
			err := e.err
			e.mu.Unlock()
			return 0, opError("read", e.remote, err)
		}
		wake := e.wake
		e.mu.Unlock()
		<-wake
	}
}

// Write never blocks: there is room for everything on the way.
func (e *end) Write(b []byte) (int, error) {
	e.mu.Lock()
	closed, err := e.closed, e.err
	e.mu.Unlock()
	switch {
	case closed:
		return 0, opError("write", e.remote, net.ErrClosed)
	case err != nil && err != io.EOF:
		return 0, opError("write", e.remote, err)
	}
	e.out.send(segment{data: append([]byte(nil), b...)})
	return len(b), nil
}

func (e *end) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return opError("close", e.remote, net.ErrClosed)
	}
	e.closed = true
	if e.expire != nil {
		e.expire.Stop()
	}
	e.signal()
	e.mu.Unlock()
	e.net.mu.Lock()
	delete(e.net.ends, e)
	e.net.mu.Unlock()
	e.out.send(segment{err: io.EOF})
	return nil
}

func (e *end) LocalAddr() net.Addr  { return address(e.local) }
func (e *end) RemoteAddr() net.Addr { return address(e.remote) }

func (e *end) SetDeadline(t time.Time) error { return e.SetReadDeadline(t) }

func (e *end) SetReadDeadline(t time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return opError("set deadline", e.remote, net.ErrClosed)
	}
	e.deadline = t
	if e.expire != nil {
		e.expire.Stop()
		e.expire = nil
	}
	if !t.IsZero() {
		e.expire = time.AfterFunc(time.Until(t), func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.signal()
		})
	}
	return nil
}

// SetWriteDeadline has no effect: writes do not wait.
func (e *end) SetWriteDeadline(time.Time) error { return nil }
