package h3

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
)

// body is that of a request, one goroutine at a time in Read. Close may be called beside it.
type body struct {
	c       *Conn
	in      *bufio.Reader
	from    *quic.Stream
	left    uint64      // of the DATA frame
	length  int64       // of the body still to come; -1: the client has not said
	trailer http.Header // what was announced
	late    bool        // trailers have come
	err     error       // how it ended
	expects func()      // tells the client that its body is wanted; nil when it does not wait for that

	closed atomic.Bool
	broken atomic.Bool // by the client
}

// Read gives what has come. Every broken rule costs the stream, or the connection.
func (b *body) Read(p []byte) (n int, err error) {
	if b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	if b.err != nil {
		return 0, b.err
	}
	if b.expects != nil {
		b.expects()
		b.expects = nil
	}
	if len(p) == 0 {
		return 0, nil
	}
	if b.left == 0 {
		if err := b.next(); err != nil {
			return 0, b.ends(err)
		}
	}
	n, err = b.in.Read(p[:min(uint64(len(p)), b.left)])
	b.left -= uint64(n)
	if err == io.EOF && b.left == 0 {
		return n, nil // the stream ends with the frame, as the next call will find
	}
	if err != nil {
		return n, b.ends(cutShort(err))
	}
	return n, nil
}

// next goes on to the next DATA frame that has something in it.
func (b *body) next() error {
	for {
		kind, length, err := nextFrame(b.in)
		switch {
		case err == io.EOF && b.length > 0:
			return errLength
		case err != nil:
			return err
		case kind == frameData && length > 0 && !b.late:
			return b.data(length)
		case kind == frameHeaders && !b.late:
			err = b.trailers(length)
		case knownFrame(kind) && (kind != frameData || b.late), kind == frameHeaders:
			return errUnexpected
		default:
			if err = b.c.wasted(); err == nil {
				err = skip(b.in, length)
			}
		}
		if err != nil {
			return err
		}
	}
}

func (b *body) data(length uint64) error {
	b.c.frames.earn(1)
	if b.left = length; b.length < 0 {
		return nil
	}
	if length > uint64(b.length) {
		return errLength
	}
	b.length -= int64(length)
	return nil
}

// trailers takes those in that were announced; of others nothing is known, as in HTTP/2.
func (b *body) trailers(length uint64) error {
	b.late = true
	o := b.c.bounds()
	grow, release := b.c.counts(o.Head)
	defer release()
	late := time.AfterFunc(o.HeadTimeout, func() { b.from.CancelRead(codeIncomplete) }) // the deadline of the stream is its reader's
	block, err := readBlock(b.in, length, o.Head, grow)
	if !late.Stop() {
		return &streamError{codeIncomplete, "head timeout"}
	}
	if err != nil {
		return b.trailerError(err)
	}
	s, err := decodeSection(block, o.Head, o.Lines)
	switch {
	case err != nil:
		return b.trailerError(err)
	case len(s.pseudo) > 0:
		return malformed("pseudo-header field in trailers")
	}
	for name := range b.trailer {
		if values, ok := s.fields[name]; ok {
			b.trailer[name] = values
		}
	}
	return nil
}

func (b *body) trailerError(err error) error {
	if _, ok := errors.AsType[*tooLarge](err); ok {
		return &streamError{codeExcessiveLoad, "trailers too large"}
	}
	return err
}

// ends notes how the body ended, and has the client hear what it did wrong.
func (b *body) ends(err error) error {
	b.err = err
	if ours, ok := errors.AsType[*streamError](err); ok {
		b.c.refused(ours.reason)
		b.from.CancelRead(ours.code)
		b.broken.Store(true)
	}
	if theirs, ok := errors.AsType[*quic.StreamError](err); ok && theirs.Remote {
		b.broken.Store(true)
	}
	if _, ok := errors.AsType[*connError](err); ok {
		b.c.fail(err)
	}
	return err
}

// Close tells the client that no more of the body is wanted.
func (b *body) Close() error {
	b.closed.Store(true)
	b.from.CancelRead(codeNone)
	return nil
}

// isOver reports whether the stream has ended with the head: there is no body. A body that may follow at any time is waited for until by, the zero time: not at all.
func (b *body) isOver(by time.Time) bool {
	if by.IsZero() {
		by = time.Unix(1, 0)
	}
	b.from.SetReadDeadline(by)
	_, err := b.in.Peek(1)
	b.from.SetReadDeadline(time.Time{})
	return err == io.EOF
}
