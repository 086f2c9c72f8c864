package h1

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sock is a socket in a loop. The kernel tells of changes only (edge-triggered), so what it has said is kept here until a call finds the contrary: no call is
// made to be told that there is nothing, and the descriptor is registered once in its life.
type sock struct {
	fd    int
	slot  uint32
	ready ready
	out   []byte // what the peer has not taken yet: out[at:]; nil when there is nothing
	at    int
	tls   *session // nil in clear text
	// stream is what bodies of this client flow through instead of a socket: one of HTTP/2. nil for all others.
	stream *stream
}

type ready uint8

const (
	canRead  ready = 1 << iota
	canWrite       // until a write finds no room
	ended          // the peer has sent the end of its stream
	broken         // reset, or shut down both ways
)

func (s *sock) is(r ready) bool { return s.ready&r != 0 }

// note takes over what an event says.
func (s *sock) note(events uint32) {
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		s.ready |= canRead
		if s.tls != nil {
			s.tls.open = true
		}
	}
	if events&unix.EPOLLOUT != 0 {
		s.ready |= canWrite
	}
	if events&(unix.EPOLLRDHUP|unix.EPOLLHUP) != 0 {
		s.ready |= ended
	}
	if events&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		s.ready |= broken
	}
}

// read gives 0 and EAGAIN when there is nothing, 0 and no error at the end of the stream.
func (s *sock) read(b []byte) (int, syscall.Errno) {
	n, e := rawReceive(s.fd, b)
	if e != 0 {
		if e == unix.EAGAIN {
			s.ready &^= canRead
		}
		return 0, e
	}
	if n < len(b) && n > 0 && !s.is(ended) {
		s.ready &^= canRead // epoll(7): a short read of a stream has taken everything
	}
	return n, 0
}

// blocked reports whether something waits for the peer to take it.
func (s *sock) blocked() bool { return len(s.out) > 0 }

// flush sends what waits. It gives false while something is left, and an error when the peer takes nothing any more.
func (l *loop) flush(s *sock) (bool, syscall.Errno) {
	if s.stream != nil {
		return l.flushStream(s.stream.conn), 0
	}
	for len(s.out) > s.at {
		if !s.is(canWrite) {
			return false, 0
		}
		n, e := rawSend(s.fd, s.out[s.at:])
		if e == unix.EAGAIN {
			s.ready &^= canWrite
			return false, 0
		}
		if e != 0 {
			return false, e
		}
		s.at += n
	}
	l.dropOut(s)
	return true, 0
}

func (l *loop) dropOut(s *sock) {
	if s.out != nil {
		l.bufs.put(s.out)
		s.out, s.at = nil, 0
	}
}

// gatherLimit is up to where parts are copied together: one plain call costs less then than one with a vector.
const gatherLimit = 4 << 10

// send gives the parts in l.parts to the kernel in one call, and keeps what it does not take. The caller sees to it that nothing more is sent while something waits,
// but for what one event brings.
func (l *loop) send(s *sock) syscall.Errno {
	if s.stream != nil {
		l.sendStream(s.stream.conn)
		return 0
	}
	if s.tls != nil && len(l.parts) > 0 {
		if e := l.seal(s); e != 0 {
			return e
		}
	}
	return l.push(s)
}

// push is send without TLS, or below it.
func (l *loop) push(s *sock) syscall.Errno {
	parts := l.parts
	l.parts = l.parts[:0]
	if s.blocked() || !s.is(canWrite) {
		l.keep(s, parts, 0)
		return 0
	}
	total := 0
	for _, p := range parts {
		total += len(p)
	}
	var n int
	var e syscall.Errno
	switch {
	case total == 0:
		return 0
	case len(parts) == 1:
		n, e = rawSend(s.fd, parts[0])
	case total <= gatherLimit:
		b := l.gather[:0]
		for _, p := range parts {
			b = append(b, p...)
		}
		n, e = rawSend(s.fd, b)
	default:
		n, e = l.sendVector(s.fd, parts)
	}
	if e == unix.EAGAIN {
		n, e = 0, 0
	}
	if e != 0 {
		return e
	}
	if n < total {
		s.ready &^= canWrite
		l.keep(s, parts, n)
	}
	return 0
}

func (l *loop) sendVector(fd int, parts [][]byte) (int, syscall.Errno) {
	n := 0
	for _, p := range parts {
		if len(p) > 0 && n < len(l.vector) {
			l.vector[n].Base = unsafe.SliceData(p)
			l.vector[n].SetLen(len(p))
			n++
		}
	}
	l.message.Iov = &l.vector[0]
	l.message.SetIovlen(n)
	return rawSendVector(fd, &l.message)
}

// keepParts is send for a socket that is not connected yet.
func (l *loop) keepParts(s *sock) {
	parts := l.parts
	l.parts = l.parts[:0]
	l.keep(s, parts, 0)
}

// keep stores the parts without their first skip bytes behind what waits.
func (l *loop) keep(s *sock, parts [][]byte, skip int) {
	total := -skip
	for _, p := range parts {
		total += len(p)
	}
	if total == 0 {
		return
	}
	if len(s.out)+total > cap(s.out) {
		larger := append(l.bufs.get(len(s.out)-s.at+total), s.out[s.at:]...)
		l.bufs.put(s.out)
		s.out, s.at = larger, 0
	}
	for _, p := range parts {
		if skip >= len(p) {
			skip -= len(p)
			continue
		}
		s.out = append(s.out, p[skip:]...)
		skip = 0
	}
}
