package h1

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// listening is a listener as the loops have it.
type listening struct {
	e       *core
	ln      net.Listener
	fd      int // of our own, for the same socket
	stopped chan struct{}
}

// accepting is a listener as one loop has it.
type accepting struct {
	of     *listening
	slot   uint32
	paused bool
}

// acceptsAtOnce bounds how many connections come in before those that are there get their turn.
const acceptsAtOnce = 64

func (e *Engine) listen(ln net.Listener) (*Listener, error) {
	sc, ok := ln.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("h1: listen: %T gives no descriptor", ln)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("h1: listen: %w", err)
	}
	fd := -1
	if cerr := raw.Control(func(theirs uintptr) {
		fd, err = unix.FcntlInt(theirs, unix.F_DUPFD_CLOEXEC, 0)
	}); cerr != nil || err != nil {
		return nil, fmt.Errorf("h1: listen: %w", errors.Join(cerr, err))
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		rawClose(fd)
		return nil, fmt.Errorf("h1: listen: %w", err)
	}
	setSocket(fd)
	li := &Listener{listening{e: &e.core, ln: ln, fd: fd, stopped: make(chan struct{})}}
	if err := e.everyLoop(command{kind: cmdListen, listening: &li.listening}); err != nil {
		li.stop()
		return nil, fmt.Errorf("h1: listen: %w", err)
	}
	return li, nil
}

func (ln *Listener) stop() {
	ln.e.mu.Lock()
	select {
	case <-ln.stopped:
		ln.e.mu.Unlock()
		return
	default:
	}
	close(ln.stopped)
	ln.e.mu.Unlock()
	_ = ln.e.everyLoop(command{kind: cmdStopListening, listening: &ln.listening}) // an engine that is closed accepts nothing
	// Once more, and nothing to stop: whatever one loop has accepted and given to another is with that one now.
	_ = ln.e.everyLoop(command{kind: cmdStopListening, listening: &ln.listening})
	rawClose(ln.fd)
}

func (l *loop) startListening(of *listening) error {
	a := &accepting{of: of, slot: l.take(slotListen)}
	l.slots[a.slot].listen = a
	if err := l.register(of.fd, a.slot, unix.EPOLLIN|unix.EPOLLEXCLUSIVE); err != nil {
		l.giveBack(a.slot)
		return err
	}
	l.listeners = append(l.listeners, a)
	return nil
}

func (l *loop) stopListening(of *listening) {
	for i, a := range l.listeners {
		if a.of == of {
			if !a.paused {
				l.unregister(of.fd)
			}
			l.giveBack(a.slot)
			l.listeners = append(l.listeners[:i], l.listeners[i+1:]...)
			return
		}
	}
}

// accept takes connections in and gives each to the loop that has the fewest.
func (l *loop) accept(a *accepting) {
	var sa unix.RawSockaddrAny
	for range acceptsAtOnce {
		fd, e := rawAccept(a.of.fd, &sa)
		switch e {
		case 0:
			to := l.e.least(l)
			to.conns.Add(1) // at once, so that the next one goes elsewhere
			if to == l {
				l.welcome(a.of.ln, fd, addrPort(&sa))
			} else if !to.post(command{kind: cmdWelcome, fd: fd, from: a.of.ln, remote: addrPort(&sa)}) {
				rawClose(fd)
			}
			if l.e.files != nil && fd >= l.e.files() {
				l.pause(a, unix.EMFILE)
				return
			}
		case unix.ECONNABORTED, unix.EINTR, unix.EPERM:
		case unix.EAGAIN:
			return
		default:
			l.pause(a, e)
			return
		}
	}
}

// acceptPause is how long no connection is taken in when there are no descriptors or no memory.
const acceptPause = 50 * time.Millisecond

func (l *loop) pause(a *accepting, e syscall.Errno) {
	if l.e.short != nil {
		l.e.short(e)
	} else {
		l.e.log.Warn("connections are not accepted for a moment", "error", e)
	}
	l.unregister(a.of.fd)
	a.paused = true
	of := a.of
	time.AfterFunc(acceptPause, func() { l.post(command{kind: cmdResume, listening: of}) })
}

func (l *loop) resume(of *listening) {
	for _, a := range l.listeners {
		if a.of == of && a.paused {
			if !l.e.hasRoom(l.wakeup) {
				if l.e.short != nil {
					l.e.short(unix.EMFILE)
				}
				l.pauseAgain(of)
				return
			}
			if err := l.register(of.fd, a.slot, unix.EPOLLIN|unix.EPOLLEXCLUSIVE); err != nil {
				l.pauseAgain(of)
				return
			}
			a.paused = false
		}
	}
}

func (l *loop) pauseAgain(of *listening) {
	time.AfterFunc(acceptPause, func() { l.post(command{kind: cmdResume, listening: of}) })
}

// hasRoom reports whether one more descriptor would be below the bound. fd is any that is open.
func (e *core) hasRoom(fd int) bool {
	if e.files == nil {
		return true
	}
	next, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return false
	}
	rawClose(next)
	return next < e.files()
}
