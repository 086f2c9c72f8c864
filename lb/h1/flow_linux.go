package h1

import (
	"bytes"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

type pumpState uint8

const (
	pumpDone         pumpState = iota // all of the body has been taken
	pumpWaitSource                    // nothing has come
	pumpWaitTarget                    // the other side has no room
	pumpAgain                         // there is more to do than one turn allows
	pumpSourceFailed                  // with an error, or the end of the stream where the body had not ended
	pumpTargetFailed
	pumpBad // the body breaks its framing
)

// pump moves a body from one socket to the other until one of them blocks. It reads nothing while something waits to be taken, so a body never has
// more in memory than one read. ahead, if not nil, gets what was read behind the body.
func (l *loop) pump(f *flow, from, to *sock, ahead *Conn) (pumpState, syscall.Errno, *wire.Error) {
	for moved := 0; ; {
		if flushed, e := l.flush(to); e != 0 {
			return pumpTargetFailed, e, nil
		} else if !flushed {
			return pumpWaitTarget, 0, nil
		}
		if f.pipe != nil {
			if emptied, e := l.empties(f, to); e != 0 {
				return pumpTargetFailed, e, nil
			} else if !emptied {
				return pumpWaitTarget, 0, nil
			}
		}
		switch {
		case f.done:
			return pumpDone, 0, nil
		case moved >= turnBytes:
			return pumpAgain, 0, nil
		case !from.is(canRead):
			return pumpWaitSource, 0, nil
		}
		var n int
		var e syscall.Errno
		spliced := f.framing == wire.FramingLength && !f.chunk && f.left >= spliceLeast && from.tls == nil && to.tls == nil && from.stream == nil && to.stream == nil
		if spliced {
			if n, e = l.fillPipe(f, from); e == unix.EMFILE {
				spliced = false
			}
		}
		if !spliced {
			limit := int64(scratchSize)
			if f.framing == wire.FramingLength {
				limit = min(limit, f.left)
			}
			if to.stream != nil {
				if limit = min(limit, int64(to.stream.allowed(l))); limit == 0 {
					return pumpWaitTarget, 0, nil
				}
			}
			n, e = l.receive(from, l.scratch[:limit])
		}
		switch {
		case e == unix.EAGAIN:
			return pumpWaitSource, 0, nil
		case e != 0 || n == 0 && f.framing != wire.FramingClose:
			return pumpSourceFailed, e, nil
		}
		moved += n
		if spliced {
			continue
		}
		if bad, e := l.passRead(f, to, l.scratch[:n], ahead); bad != nil {
			return pumpBad, 0, bad
		} else if e != 0 {
			return pumpTargetFailed, e, nil
		}
	}
}

// passRead sends what has been read of a body; nothing is the end of one that ends with its connection.
func (l *loop) passRead(f *flow, to *sock, b []byte, ahead *Conn) (*wire.Error, syscall.Errno) {
	if len(b) == 0 {
		f.done = true
		if f.chunk {
			l.parts = append(l.parts, lastChunk)
		}
		return nil, l.send(to)
	}
	taken, bad := l.pass(f, b)
	if bad != nil {
		l.parts = l.parts[:0]
		return bad, 0
	}
	if taken < len(b) {
		if ahead != nil {
			ahead.ahead = append(l.bufs.get(len(b)-taken), b[taken:]...)
		} else {
			f.surplus = true
		}
	}
	return nil, l.send(to)
}

var (
	crlf      = []byte("\r\n")
	lastChunk = []byte("0\r\n\r\n")
	zeroChunk = []byte("0\r\n")
)

// pass takes bytes of a body as they came and adds what goes out for them to l.parts. It gives how many belong to the body.
func (l *loop) pass(f *flow, b []byte) (int, *wire.Error) {
	taken := len(b)
	data := b
	switch f.framing {
	case wire.FramingNone:
		return 0, nil
	case wire.FramingLength:
		taken = int(min(int64(len(b)), f.left))
		data = b[:taken]
		f.left -= int64(taken)
		f.done = f.left == 0
	case wire.FramingChunked:
		var n int
		var bad *wire.Error
		if len(b) > len(l.decoded) {
			l.decoded = make([]byte, len(b)) // a head's buffer may be larger
		}
		if n, taken, f.done, bad = f.chunks.Decode(l.decoded, b); bad != nil {
			return 0, bad
		}
		data = l.decoded[:n]
	}
	f.moved += int64(len(data))
	if len(data) > 0 {
		if !f.chunk {
			l.parts = append(l.parts, data)
		} else {
			size := append(strconv.AppendInt(l.number[:0], int64(len(data)), 16), "\r\n"...)
			l.parts = append(l.parts, size, data, crlf)
		}
	}
	if f.done && f.chunk {
		if t := f.chunks.Trailers(); len(t) > len(crlf) {
			l.parts = append(l.parts, zeroChunk, l.ownTrailers(t))
		} else {
			l.parts = append(l.parts, lastChunk)
		}
	}
	return taken, nil
}

// ownTrailers takes the lines out that only the director may send. t is well formed, and changed in place.
func (l *loop) ownTrailers(t []byte) []byte {
	out := t[:0]
	for len(t) > 0 {
		n := bytes.IndexByte(t, '\n') + 1
		line := t[:n]
		t = t[n:]
		if name, _, ok := bytes.Cut(line, []byte{':'}); !ok || !l.e.isOwn(name) {
			out = append(out, line...)
		}
	}
	return out
}
