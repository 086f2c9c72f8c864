package h1

import (
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// command is what other goroutines ask of a loop.
type command struct {
	kind      commandKind
	conn      *Conn
	origin    *Origin
	listening *listening
	fd        int
	from      net.Listener
	remote    netip.AddrPort
	rest      []byte
	tls       *Secured
	served    bool
	http2     bool
	tag       any
	setup     func(*Conn)
	chosen    func(*Trip) bool
	answer    chan error
}

type commandKind uint8

const (
	cmdLook          commandKind = iota // at a connection's orders
	cmdForget                           // the pool of an origin
	cmdListen                           // answer follows
	cmdStopListening                    // answer follows
	cmdResume
	cmdWelcome // a connection that another loop has accepted
	cmdAdopt
	cmdEnd     // answer follows
	cmdClosing // no more than what is under way
	cmdQuit
)

type order uint8

const (
	orderClose order = iota
	orderLetGo
	orderResume
)

// post leaves a command for the loop. It gives false when the loop is over.
func (l *loop) post(c command) bool {
	l.mu.Lock()
	if l.over {
		l.mu.Unlock()
		return false
	}
	l.inbox = append(l.inbox, c)
	ring := !l.waiting
	l.waiting = true
	if ring {
		one := uint64(1)
		rawWake(l.wakeup, &one) // under the lock: the descriptor is open while the loop is not over
	}
	l.mu.Unlock()
	return true
}

// order asks something of the connection's loop.
func (c *Conn) order(o order) {
	c.orders.Or(1 << o)
	c.wake()
}

// wake has the loop look at what is asked of the connection.
func (c *Conn) wake() {
	if c.l != nil {
		c.l.post(command{kind: cmdLook, conn: c})
	}
}

// takeInbox carries out what has been asked.
func (l *loop) takeInbox() {
	rawDrain(l.wakeup)
	l.mu.Lock()
	list := l.inbox
	l.inbox, l.spare, l.waiting = l.spare[:0], nil, false
	l.mu.Unlock()
	for i := range list {
		l.carryOut(&list[i])
		list[i] = command{}
	}
	l.spare = list
}

func (l *loop) carryOut(c *command) {
	switch c.kind {
	case cmdLook:
		l.look(c.conn)
	case cmdForget:
		l.forget(c.origin)
	case cmdListen:
		c.answer <- l.startListening(c.listening)
	case cmdStopListening:
		l.stopListening(c.listening)
		c.answer <- nil
	case cmdResume:
		l.resume(c.listening)
	case cmdWelcome:
		l.welcome(c.from, c.fd, c.remote)
	case cmdAdopt:
		l.admit(c)
	case cmdEnd:
		l.endTrips(c.chosen)
		c.answer <- nil
	case cmdClosing:
		l.beginClosing()
	case cmdQuit:
		l.quit = true
	}
}

// refuse is for a command that came too late.
func (c *command) refuse(e *core) {
	switch c.kind {
	case cmdListen, cmdStopListening, cmdEnd:
		c.answer <- ErrClosed
	case cmdWelcome, cmdAdopt:
		rawClose(c.fd)
		if c.kind == cmdAdopt {
			e.director.Gone(&Conn{Tag: c.tag})
		}
	}
}

// look carries out the orders of a connection.
func (l *loop) look(c *Conn) {
	if c.phase == phaseOver {
		return
	}
	o := c.orders.Swap(0)
	if o&(1<<orderClose) != 0 {
		l.fail(c, FailClosed, errClosed)
		return
	}
	c.letGo = c.letGo || o&(1<<orderLetGo) != 0
	if o&(1<<orderResume) != 0 {
		l.resumeTrip(c)
	}
	l.settle(c) // Retire and Stay move its deadline
}

// newConn brings a connection into the loop, which has counted it.
func (l *loop) newConn(fd int, remote netip.AddrPort) *Conn {
	var sa unix.RawSockaddrAny
	c := &Conn{Remote: remote}
	c.l, c.fd, c.limits = l, fd, l.e.limits
	c.timer.conn = c
	if rawSockname(fd, &sa) == 0 {
		c.Local = addrPort(&sa)
	}
	if !remote.IsValid() && rawPeername(fd, &sa) == 0 {
		c.Remote = addrPort(&sa)
	}
	c.since.Store(int64(l.now))
	return c
}

// enter registers the connection for events.
func (l *loop) enter(c *Conn) error {
	c.slot = l.take(slotConn)
	l.slots[c.slot].conn = c
	if err := l.register(c.fd, c.slot, socketEvents); err != nil {
		l.giveBack(c.slot)
		return err
	}
	return nil
}

// welcome takes in a connection that was accepted.
func (l *loop) welcome(from net.Listener, fd int, remote netip.AddrPort) {
	c := l.newConn(fd, remote)
	if l.closing || !l.e.director.Accept(c, from) {
		l.turnAway(c)
		return
	}
	if err := l.enter(c); err != nil {
		l.turnAway(c)
		l.e.director.Gone(c)
		return
	}
	l.settle(c)
}

func (l *loop) turnAway(c *Conn) {
	rawClose(c.fd)
	c.phase = phaseOver
	l.uncount()
}

// uncount notes that a connection has left.
func (l *loop) uncount() {
	if l.conns.Add(-1) == 0 && l.closing {
		l.quit = true
	}
}

// admit takes in a connection that comes from elsewhere.
func (l *loop) admit(a *command) {
	c := l.newConn(a.fd, netip.AddrPort{})
	c.Tag, c.served = a.tag, a.served
	if a.tls != nil {
		l.secure(c, a.tls)
	}
	if a.setup != nil {
		a.setup(c)
	}
	if err := l.enter(c); err != nil || l.closing {
		if err == nil {
			l.giveBack(c.slot)
		}
		l.turnAway(c)
		l.e.director.Gone(c)
		return
	}
	if len(a.rest) > 0 {
		c.in = append(l.bufs.get(len(a.rest)), a.rest...)
	}
	if a.http2 {
		l.beginMux(c)
	}
	l.settle(c)
}

// beginClosing ends what has nothing under way.
func (l *loop) beginClosing() {
	l.closing = true
	for len(l.listeners) > 0 {
		l.stopListening(l.listeners[0].of)
	}
	for i := range l.slots {
		if s := &l.slots[i]; s.kind == slotConn {
			c := s.conn
			c.quiet.CompareAndSwap(0, 1)
			l.settle(c)
		}
	}
	if l.conns.Load() == 0 {
		l.quit = true
	}
}

func (l *loop) unregister(fd int) {
	_ = unix.EpollCtl(l.ep, unix.EPOLL_CTL_DEL, fd, nil)
}

// resetOnClose has the close of the socket reset the connection.
func resetOnClose(fd int) {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 0})
}

func (c *Conn) use(l *Limits) { c.limits = l }
