package lb

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	maxDatagram = 64 << 10
	// flowIdle is the idleTimeout of flows that is meant by 0.
	flowIdle = time.Minute
	// flowLook is how often a flow looks whether it may stay where it is.
	flowLook = time.Second
	// lastAnswers is after how much silence a flow ends whose client's next datagram another process gets: that of an instance that has answered, and of one that may still.
	lastAnswers, lastAnswer = 2 * time.Second, 5 * time.Second
	// A flow keeps so many datagrams, and bytes, until it is certain where they go. More are lost, as datagrams may be.
	flowQueue, flowQueueBytes = 64, 128 << 10
)

// packetFlow is one flow of datagrams.
type packetFlow struct {
	front  *packetFront
	key    flowKey
	edge   *edge
	held   hold
	back   *net.UDPConn // by which the client is answered
	source []byte       // says from which address

	last atomic.Int64 // when something came from either side, Unix ns
	sent atomic.Int64 // bytes to the instance
	asks atomic.Bool  // the client's last datagram is not answered

	mu      sync.Mutex
	conn    net.Conn // to the instance; nil until it is certain which
	ended   error    // why the flow takes no more
	waiting [][]byte
	bytes   int // of waiting
}

// toInstance passes a datagram of the client on. Only the front's reader calls it.
func (f *packetFlow) toInstance(data []byte) {
	f.last.Store(time.Now().UnixNano())
	f.asks.Store(true)
	f.mu.Lock()
	conn := f.conn
	switch {
	case f.ended != nil:
	case conn == nil && len(f.waiting) < flowQueue && f.bytes+len(data) <= flowQueueBytes:
		f.waiting = append(f.waiting, append([]byte(nil), data...))
		f.bytes += len(data)
	case conn == nil:
		f.front.b.metrics.streams.lost.Inc()
	}
	f.mu.Unlock()
	if conn != nil {
		f.write(conn, data)
	}
}

// write sends one; what the machine of the instance refused meets the next one.
func (f *packetFlow) write(conn net.Conn, data []byte) {
	n, err := conn.Write(data)
	if f.sent.Add(int64(n)); err != nil && errors.Is(err, syscall.ECONNREFUSED) {
		f.end(err)
	}
}

// end has the flow end; the first reason counts.
func (f *packetFlow) end(why error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended == nil {
		f.ended = why
	}
	if f.conn != nil {
		f.conn.SetReadDeadline(longAgo)
	}
}

func (f *packetFlow) over() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ended
}

// run decides where the flow goes and brings the answers back until it ends.
func (f *packetFlow) run() {
	b := f.front.b
	x := &exchange{inquiry: inquiry{b: b}, r: opening(f.front.requests, "UDP"), start: time.Now(), edge: f.edge, streamsTo: f.edge.streams}
	x.from = x
	x.client = x.edge.identify(netip.AddrPortFrom(plainAddr(f.key.client.Addr()), f.key.client.Port()).String(), false, "", nil)
	f.last.Store(x.start.UnixNano())
	defer x.doneStream()
	defer f.leave()
	conn, err := x.toInstance()
	if err != nil {
		x.problem, x.status = describe(err), failureOf(x.r.Context(), err, nil).status
		return
	}
	defer conn.Close()
	x.status = http.StatusOK
	defer x.keepInUse()()
	x.endBy(func() { f.end(errEnded) })
	f.open(conn)
	err = f.answers(x, conn)
	x.received = f.sent.Load()
	e := x.deliver.listeners[len(x.deliver.listeners)-1]
	if errors.Is(err, syscall.ECONNREFUSED) {
		x.noteFailure(e, time.Now(), &connectError{err})
		x.problem = "connect: " + syscall.ECONNREFUSED.Error()
	} else if x.sent > 0 {
		e.health.good()
	}
}

// leave takes the flow out.
func (f *packetFlow) leave() {
	f.front.leave(f.key)
	f.held.give()
}

// patience is how long the flow may be silent.
func (f *packetFlow) patience() time.Duration {
	idle := f.edge.idle
	if idle <= 0 {
		idle = flowIdle
	}
	switch {
	case !f.front.handed.Load():
		return idle
	case f.asks.Load():
		return min(idle, lastAnswer)
	}
	return min(idle, lastAnswers)
}

// open sends what has been waiting, in order.
func (f *packetFlow) open(conn net.Conn) {
	for {
		f.mu.Lock()
		list := f.waiting
		f.waiting = nil
		if len(list) == 0 {
			f.conn = conn
		}
		f.mu.Unlock()
		if len(list) == 0 {
			return
		}
		for _, data := range list {
			f.write(conn, data)
		}
	}
}

// answers brings datagrams back until the flow ends: nothing has come for too long, its instance may not have it any more, or refuses it.
func (f *packetFlow) answers(x *exchange, conn net.Conn) error {
	raw, err := conn.(*net.UDPConn).SyscallConn()
	if err != nil {
		return err
	}
	r := datagramReader{raw: raw}
	defer r.done()
	for {
		now := time.Now()
		left := f.patience() - now.Sub(time.Unix(0, f.last.Load()))
		conn.SetReadDeadline(now.Add(min(left, flowLook)))
		why := f.over() // after the deadline is set: end sets another one
		switch {
		case why != nil:
			return why
		case left <= 0:
			return nil
		case !x.mayStay():
			return nil
		}
		data, err := r.next()
		switch {
		case err == nil:
			f.last.Store(time.Now().UnixNano())
			f.asks.Store(false)
			n, _, err := f.back.WriteMsgUDPAddrPort(data, f.source, f.key.client)
			if x.sent += int64(n); errors.Is(err, net.ErrClosed) {
				return err
			}
		case errors.Is(err, os.ErrDeadlineExceeded):
		default:
			return err
		}
		r.done()
	}
}

// mayStay reports whether a flow may go on where it is. Every datagram stands for itself, so that flows do what streams cannot: they leave an instance that is stopped or out of service.
func (x *exchange) mayStay() bool {
	return x.in.takesAssigned() && (x.b.routing.Load() == x.rt || x.stillStands())
}

// datagramReader reads one datagram at a time. It holds a buffer only while there is something in it.
type datagramReader struct {
	raw syscall.RawConn
	buf *[maxDatagram]byte
	n   int
	err error
}

var datagramBuffers = sync.Pool{New: func() any { return new([maxDatagram]byte) }}

// next waits for a datagram, which is good until done.
func (r *datagramReader) next() ([]byte, error) {
	if err := r.raw.Read(r.take); err != nil {
		return nil, err
	}
	if r.err != nil {
		return nil, os.NewSyscallError("read", r.err)
	}
	return r.buf[:r.n], nil
}

func (r *datagramReader) take(fd uintptr) bool {
	if r.buf == nil {
		r.buf = datagramBuffers.Get().(*[maxDatagram]byte)
	}
	r.n, r.err = readOnce(fd, r.buf[:])
	if r.err == syscall.EAGAIN {
		r.done()
		return false
	}
	return true
}

func (r *datagramReader) done() {
	if r.buf != nil {
		datagramBuffers.Put(r.buf)
		r.buf = nil
	}
}
