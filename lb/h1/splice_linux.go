package h1

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// spliceLeast is from how many bytes on a body goes from socket to socket inside the kernel; fewer are cheaper to copy.
const spliceLeast = 64 << 10

// pipeSize is asked for; with less, a splice moves less at once.
const pipeSize = 1 << 20

// pipesKept is how many empty pipes a loop keeps. While both sides are fast it uses one.
const pipesKept = 16

// pipesFilled is how many pipes of a loop may hold something at once, so that clients that do not read cost no more than 64 MiB of the kernel's memory in them, and two descriptors
// for each. A user without privileges has as much for all pipes (pipe-user-pages-soft), and beyond it gets such small ones that copying is cheaper. What comes on top is copied: each
// body has one read at most in memory then.
const pipesFilled = 64

// spliceIn fills pipes from sockets; tests count by it.
var spliceIn = rawSplice

// pipe holds a piece of a body on its way.
type pipe struct {
	r, w int
	n    int // bytes in it
}

func newPipe() (*pipe, error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	_, _ = unix.FcntlInt(uintptr(p[0]), unix.F_SETPIPE_SZ, pipeSize) // a user with many large pipes keeps the usual size
	return &pipe{r: p[0], w: p[1]}, nil
}

func (p *pipe) close() {
	rawClose(p.r)
	rawClose(p.w)
}

// fillPipe moves bytes of a body with a length into an empty pipe. It gives EMFILE when there is none.
func (l *loop) fillPipe(f *flow, from *sock) (int, syscall.Errno) {
	p := f.pipe
	if p == nil {
		if l.filled >= pipesFilled {
			return 0, unix.EMFILE
		}
		if n := len(l.pipes); n > 0 {
			p, l.pipes = l.pipes[n-1], l.pipes[:n-1]
		} else {
			var err error
			if p, err = newPipe(); err != nil {
				return 0, unix.EMFILE
			}
		}
		f.pipe = p
		l.filled++
	}
	n, e := spliceIn(from.fd, p.w, int(min(f.left, pipeSize)))
	if e != 0 || n == 0 {
		if e == unix.EAGAIN {
			from.ready &^= canRead
		}
		l.returnPipe(f)
		return 0, e
	}
	p.n += n
	f.left -= int64(n)
	f.moved += int64(n)
	f.done = f.left == 0
	return n, 0
}

// empties moves what is in the pipe on. It gives false while something is left.
func (l *loop) empties(f *flow, to *sock) (bool, syscall.Errno) {
	for p := f.pipe; p.n > 0; {
		if !to.is(canWrite) {
			return false, 0
		}
		n, e := rawSplice(p.r, to.fd, p.n)
		if e == unix.EAGAIN {
			to.ready &^= canWrite
			return false, 0
		}
		if e != 0 {
			return false, e
		}
		p.n -= n
	}
	l.returnPipe(f)
	return true, 0
}

// returnPipe takes an empty pipe back, and closes one that is not.
func (l *loop) returnPipe(f *flow) {
	p := f.pipe
	if p == nil {
		return
	}
	f.pipe = nil
	l.filled--
	if p.n > 0 || len(l.pipes) >= pipesKept {
		p.close()
		return
	}
	l.pipes = append(l.pipes, p)
}
