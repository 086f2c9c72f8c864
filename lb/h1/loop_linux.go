package h1

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

const (
	scratchSize  = 64 << 10
	eventsAtOnce = 256
	// turnBytes is how much one connection may move before the others get their turn.
	turnBytes = 1 << 20
	trimEvery = 10 * time.Second
)

// loop is one goroutine with its connections. Nothing of it is touched by another goroutine but inbox and what is atomic.
type loop struct {
	e      *core
	ep     int
	wakeup int // eventfd: something is in the inbox
	now    time.Duration
	events []unix.EpollEvent
	wheel  wheel
	bufs   buffers

	slots []slot
	empty []uint32 // unused slots

	again, later []*Conn // connections that have more to do than a turn allows
	muxes        []*mux  // connections of HTTP/2 with frames to send
	unused       []*exchange
	pools        map[*Origin]*pool
	pipes        []*pipe
	filled       int // pipes that bodies have

	scratch, gather, head []byte
	plain, sealed         []byte // what goes into records, and the records
	decoded               []byte // content of a chunked body
	number                [24]byte
	interim               Edits // of the head of an interim response
	parts                 [][]byte
	one                   [1][]byte
	frames                []byte // what has been read of a connection of HTTP/2
	fields, cookie, page  []byte // of a header block in work; of a refusal
	vector                [8]unix.Iovec
	message               unix.Msghdr
	date                  dateLine
	trimmed               time.Duration

	listeners []*accepting
	conns     atomic.Int64 // open ones, with those on their way here

	mu      sync.Mutex
	inbox   []command
	spare   []command // memory for the next inbox; of the loop
	waiting bool      // a wake-up is on its way
	over    bool      // takes no more commands

	quit    bool
	closing bool
	done    chan struct{}
}

type slotKind uint8

const (
	slotFree slotKind = iota
	slotWake
	slotListen
	slotConn
	slotUp
	slotBridge
)

// slot is what an event leads to. The generation tells events of a descriptor that has been closed since.
type slot struct {
	kind   slotKind
	gen    uint32
	conn   *Conn
	up     *upstream
	listen *accepting
	bridge *bridge
}

func newLoop(e *core) (*loop, error) {
	l := &loop{
		e: e, now: Now(), events: make([]unix.EpollEvent, eventsAtOnce), pools: map[*Origin]*pool{}, done: make(chan struct{}),
		scratch: make([]byte, scratchSize), gather: make([]byte, 0, gatherLimit), head: make([]byte, 0, 16<<10), decoded: make([]byte, scratchSize),
		parts: make([][]byte, 0, 8), frames: make([]byte, scratchSize),
	}
	l.bufs.most = 16 << 20
	l.wheel.init(l.now)
	var err error
	if l.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if l.wakeup, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		rawClose(l.ep)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	s := l.take(slotWake)
	if err := l.register(l.wakeup, s, unix.EPOLLIN|unix.EPOLLET); err != nil {
		rawClose(l.wakeup)
		rawClose(l.ep)
		return nil, err
	}
	return l, nil
}

// take gives an unused slot.
func (l *loop) take(k slotKind) uint32 {
	if n := len(l.empty); n > 0 {
		i := l.empty[n-1]
		l.empty = l.empty[:n-1]
		l.slots[i].kind = k
		return i
	}
	l.slots = append(l.slots, slot{kind: k})
	return uint32(len(l.slots) - 1)
}

func (l *loop) giveBack(i uint32) {
	l.slots[i] = slot{gen: l.slots[i].gen + 1}
	l.empty = append(l.empty, i)
}

func (l *loop) register(fd int, slot uint32, events uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(slot), Pad: int32(l.slots[slot].gen)}
	if err := unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("epoll: add: %w", err)
	}
	return nil
}

const socketEvents = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET

// run is the loop.
func (l *loop) run() {
	defer close(l.done)
	defer l.free()
	for n := 0; !l.quit; {
		n = l.wait(n)
		l.now = Now()
		for i := range n {
			l.event(&l.events[i])
		}
		l.runAgain()
		l.wheel.expire(l.now, l.expired)
		l.sendMuxes()
		if l.now-l.trimmed > trimEvery {
			l.trimmed = l.now
			l.trim()
		}
	}
}

// busyEvents is from how many events in a turn on more are likely to be there after it.
const busyEvents = 3

// wait gives events. While there is much to do it asks for them without telling the scheduler; otherwise it waits through it, so that other goroutines get the processor. last is how
// many events the turn before had.
func (l *loop) wait(last int) int {
	now := Now()
	if last >= busyEvents || len(l.again) > 0 {
		n, e := rawWait(l.ep, l.events)
		if e == 0 && n > 0 || len(l.again) > 0 {
			return max(n, 0)
		}
	}
	d := l.wheel.wait(now)
	if (l.bufs.kept > 0 || len(l.unused) > 0) && (d < 0 || d > trimEvery) {
		d = trimEvery
	}
	n, e := blockingWait(l.ep, l.events, d)
	if e != 0 {
		if e != unix.EINTR {
			l.e.log.Error("h1: epoll_wait failed", "error", e) // cannot happen with a descriptor that is ours
			runtime.Gosched()
		}
		return 0
	}
	return n
}

func (l *loop) event(ev *unix.EpollEvent) {
	s := &l.slots[ev.Fd]
	if s.gen != uint32(ev.Pad) {
		return
	}
	switch s.kind {
	case slotConn:
		c := s.conn
		c.note(ev.Events)
		l.clientEvent(c)
		l.settle(c)
	case slotUp:
		u := s.up
		u.note(ev.Events)
		if c := u.conn; c != nil {
			l.upEvent(u)
			l.settle(c)
		} else if u.is(canRead) {
			l.dropUp(u) // a byte, or the end, before a request: nothing good can come of it
		}
	case slotBridge:
		b := s.bridge
		b.note(ev.Events)
		l.bridgeEvent(b)
		l.settle(b.m.c)
	case slotListen:
		l.accept(s.listen)
	case slotWake:
		l.takeInbox()
	}
}

// runAgain goes on with the connections that had more to do.
func (l *loop) runAgain() {
	if len(l.again) == 0 {
		return
	}
	l.again, l.later = l.later[:0], l.again
	for i, c := range l.later {
		l.later[i] = nil
		c.queued = false
		if c.phase != phaseOver {
			l.goOn(c)
			l.settle(c)
		}
	}
}

// sealedKept is what a loop keeps for records and for what goes into them: more than one read makes.
const sealedKept = 4 * scratchSize

// trim gives half of what is kept for later back, so that a rush is forgotten within a minute.
func (l *loop) trim() {
	l.bufs.trim()
	half := len(l.unused) / 2
	clear(l.unused[half:])
	l.unused = l.unused[:half]
	if cap(l.sealed) > sealedKept {
		l.sealed = nil
	}
	if cap(l.plain) > sealedKept {
		l.plain = nil
	}
}

// goLater has c continue in the next turn.
func (l *loop) goLater(c *Conn) {
	if !c.queued {
		c.queued = true
		l.again = append(l.again, c)
	}
}

// expired is told of a deadline.
func (l *loop) expired(t *timer) {
	switch {
	case t.conn != nil:
		l.connExpired(t.conn)
		l.settle(t.conn)
	case t.up != nil:
		l.dropUp(t.up)
	}
}

// free gives everything back when the loop has ended.
func (l *loop) free() {
	for i := range l.slots {
		switch s := l.slots[i]; s.kind {
		case slotConn:
			l.fail(s.conn, FailClosed, errClosed)
		case slotUp:
			l.dropUp(s.up)
		}
	}
	l.mu.Lock()
	rest := l.inbox
	l.inbox, l.over = nil, true
	l.mu.Unlock()
	for i := range rest {
		rest[i].refuse(l.e)
	}
	for _, p := range l.pipes {
		p.close()
	}
	rawClose(l.wakeup)
	rawClose(l.ep)
}

// exchange gives an unused one.
func (l *loop) exchange() *exchange {
	if n := len(l.unused); n > 0 {
		x := l.unused[n-1]
		l.unused[n-1] = nil
		l.unused = l.unused[:n-1]
		return x
	}
	return &exchange{parser: wire.NewParser(wire.Limits{})}
}

// maxUnused bounds how many exchanges a loop keeps: 3 KiB each.
const maxUnused = 1024

func (l *loop) recycle(x *exchange) {
	if len(l.unused) < maxUnused {
		l.unused = append(l.unused, x)
	}
}
