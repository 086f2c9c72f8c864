package lb

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/holdfast-lb/holdfast/lb/proxyproto"
)

const (
	// halfStream is how long a stream that one side has ended may be silent if nothing else bounds it: who has closed its end for good, and not only for
	// writing, cannot be told from outside.
	halfStream = time.Hour
	// bulkAfter is how many pieces that fill a buffer have a stream go on by splice(2), bulkLen how many bytes go so before the next look, and bulkPatience how
	// long a pause has it wait without a pipe again: one that is idle holds neither a pipe nor a buffer.
	bulkAfter    = 4
	bulkLen      = 4 << 20
	bulkPatience = time.Second
)

// join carries the stream both ways until both sides have ended it, or one has broken it.
func (x *exchange) join(client *streamSocket, instance *net.TCPConn) {
	t := &tunnel{client: client, instance: instance, patience: x.edge.idle}
	if !x.b.tunnels.add(t) {
		t.close()
		x.problem = errClosed.Error()
		return
	}
	defer x.b.tunnels.remove(t)
	x.endBy(t.close)
	x.b.conns.upgrade(client.who) // from now on it ends when its protocol ends
	defer x.keepInUse()()
	defer t.watch()()
	up := &flow{to: instance, from: client.TCPConn, moved: &t.moved, suspect: client.suspect, before: client.before}
	client.before = nil
	down := &flow{to: client.TCPConn, from: instance, moved: &t.moved}
	ends := make(chan *flow, 2)
	for _, f := range []*flow{up, down} {
		go func() {
			f.run()
			if ends <- f; f.failed() { // in this order: the other direction breaks because of that
				f.abort()
			}
		}()
	}
	first := <-ends
	if !first.failed() && t.patience <= 0 {
		t.patience = halfStream
		defer t.watch()()
	}
	<-ends
	t.close()
	x.received, x.sent = up.bytes, down.bytes
	if x.noteStream(first, down); errors.Is(up.readErr, errHeaderForged) {
		client.who.front.noteHeader(client.source.Addr(), errHeaderForged)
		x.problem = describe(errHeaderForged) // also when the instance has ended first
	}
	if t.expired.Load() {
		x.problem = "nothing was sent for too long"
	}
}

// noteStream tells the instance's health, and the log, how the stream ended.
func (x *exchange) noteStream(first, down *flow) {
	e := x.deliver.listeners[len(x.deliver.listeners)-1]
	switch {
	case down.bytes > 0:
		e.health.good()
	case first == down && first.readErr != nil && isReset(first.readErr):
		x.noteFailure(e, x.start, first.readErr)
	}
	if err := first.err(); err != nil && !errors.Is(err, net.ErrClosed) {
		x.problem = describe(err)
	}
}

// flow is one direction of a stream.
type flow struct {
	to, from          *net.TCPConn
	moved             *atomic.Int64 // raised whenever something has gone through
	bytes             int64
	suspect           bool   // it must not begin with a header of the PROXY protocol
	before            []byte // what had been read of it before, if it is suspect
	withheld          []byte // the beginning of what may be one
	readErr, writeErr error
}

func (f *flow) failed() bool { return f.readErr != nil || f.writeErr != nil }

func (f *flow) err() error {
	if f.readErr != nil {
		return f.readErr
	}
	return f.writeErr
}

// abort has both sides see that the stream has broken: an end in order would make what has come look like all of it.
func (f *flow) abort() {
	for _, c := range []*net.TCPConn{f.to, f.from} {
		c.SetLinger(0)
		c.Close()
	}
}

// run copies until the end of the stream, which it passes on.
func (f *flow) run() {
	raw, err := f.from.SyscallConn()
	if err != nil {
		f.readErr = err
		return
	}
	r := pieceReader{raw: raw}
	r.ready = r.take
	f.begin()
	full := 0
	for !f.failed() {
		if full == bulkAfter {
			full = 0
			f.bulk()
			continue
		}
		piece, err := r.next()
		if err != nil {
			f.readErr = err
			break
		}
		if f.suspect {
			if piece, err = f.inspect(piece); err != nil {
				f.readErr = err
				break
			}
			if f.suspect { // not certain yet
				r.done()
				continue
			}
		}
		if len(piece) == 0 { // the end
			f.writeErr = f.to.CloseWrite()
			break
		}
		if full++; len(piece) < copyBufferLen {
			full = 0
		}
		f.wrote(f.to.Write(piece))
		r.done()
	}
	r.done()
}

// begin sends what had been read before, once it is certain that it begins no header.
func (f *flow) begin() {
	if len(f.before) == 0 {
		return
	}
	piece, err := f.inspect(f.before)
	f.before = nil
	switch {
	case err != nil:
		f.readErr = err
	case len(piece) > 0:
		f.wrote(f.to.Write(piece))
	}
}

func (f *flow) wrote(n int, err error) {
	f.bytes += int64(n)
	f.moved.Add(1)
	f.writeErr = err
}

// inspect looks at what the client begins with, until it is certain that it is no header. An empty piece is the end of the stream.
func (f *flow) inspect(piece []byte) ([]byte, error) {
	f.withheld = append(f.withheld, piece...)
	switch {
	case proxyproto.Begins(f.withheld):
		return nil, errHeaderForged
	case len(piece) > 0 && proxyproto.MayBegin(f.withheld):
		return nil, nil
	}
	f.suspect = false
	piece, f.withheld = f.withheld, nil
	return piece, nil
}

// bulk moves what comes without a copy through this process, until there is a pause.
func (f *flow) bulk() {
	for {
		f.from.SetReadDeadline(time.Now().Add(bulkPatience))
		n, err := io.CopyN(f.to, f.from, bulkLen)
		f.from.SetReadDeadline(time.Time{})
		if f.bytes += n; n > 0 {
			f.moved.Add(1)
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded), err == io.EOF: // the next read says so again
			return
		default:
			f.blame(err)
			return
		}
	}
}

// blame finds out which side an error of a copy is from: the reader of the other side goes on, so it must be the writer that tells.
func (f *flow) blame(err error) {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "write" || errors.Is(err, syscall.EPIPE) {
		f.writeErr = err
		return
	}
	f.readErr = err
}

// pieceReader reads as much as there is. It holds a buffer only while there is something in it.
type pieceReader struct {
	raw   syscall.RawConn
	ready func(uintptr) bool // take; kept, so that a piece costs no allocation
	buf   *[copyBufferLen]byte
	n     int
	err   error
}

// next waits for something; an empty piece is the end of the stream. The piece is good until done.
func (r *pieceReader) next() ([]byte, error) {
	if err := r.raw.Read(r.ready); err != nil {
		return nil, err
	}
	if r.err != nil {
		return nil, &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", r.err)}
	}
	return r.buf[:r.n], nil
}

// take reads once the socket has something; false when it has not after all.
func (r *pieceReader) take(fd uintptr) bool {
	if r.buf == nil {
		r.buf = copyBuffers.Get().(*[copyBufferLen]byte)
	}
	r.n, r.err = readOnce(fd, r.buf[:])
	if r.err == syscall.EAGAIN {
		r.done()
		return false
	}
	r.n = max(r.n, 0)
	return true
}

// readOnce reads what a socket has, however often a signal comes in between.
func readOnce(fd uintptr, p []byte) (n int, err error) {
	for {
		if n, err = syscall.Read(int(fd), p); err != syscall.EINTR {
			return n, err
		}
	}
}

// done gives the buffer back.
func (r *pieceReader) done() {
	if r.buf != nil {
		copyBuffers.Put(r.buf)
		r.buf = nil
	}
}
