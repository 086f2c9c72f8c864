package h3

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/quic-go/quic-go"
)

// protocolKey is under what the protocol is found that an extended CONNECT asks for.
type protocolKey struct{}

// Protocol gives what an extended CONNECT asks for (RFC 9220); "" for any other request.
func Protocol(ctx context.Context) string {
	p, _ := ctx.Value(protocolKey{}).(string)
	return p
}

// serve reads one request and has it answered.
func (c *Conn) serve(s *quic.Stream) {
	in := bufio.NewReaderSize(s, 1<<10)
	s.SetReadDeadline(time.Now().Add(c.bounds().HeadTimeout))
	r, protocol, err := c.readRequest(in)
	if err != nil {
		c.refuse(s, err)
		return
	}
	s.SetReadDeadline(time.Time{})
	c.frames.earn(wastedPerRequest)
	ctx := s.Context()
	if protocol != "" {
		ctx = context.WithValue(ctx, protocolKey{}, protocol)
	}
	state := c.quic.ConnectionState().TLS
	r.TLS, r.RemoteAddr = &state, c.quic.RemoteAddr().String()
	s.SetPriority(urgencyOf(r.Header["Priority"]), inTurn)
	w := &response{to: s, method: r.Method, header: http.Header{}}
	b := c.giveBody(r, w, s, in, protocol != "")
	whole := c.handle(w, r.WithContext(ctx))
	if whole {
		s.CancelRead(codeNone) // what is left of the body is not wanted
	}
	switch {
	case b.broken.Load(), !whole && takenBack(s.Context()):
		c.takesBack()
	case whole:
		c.resets.earn(1)
	}
}

// takesBack counts a request that its client has taken back, or has had ended by what it sent, which comes to the same.
func (c *Conn) takesBack() {
	if c.quic.Context().Err() == nil && !c.resets.spend() {
		c.fail(errReset)
	}
}

// takenBack reports whether it was the client that ended the stream.
func takenBack(ctx context.Context) bool {
	e, ok := errors.AsType[*quic.StreamError](context.Cause(ctx))
	return ok && e.Remote
}

// readRequest reads a head.
func (c *Conn) readRequest(in *bufio.Reader) (*http.Request, string, error) {
	o := c.bounds()
	grow, release := c.counts(o.Head)
	defer release()
	block, err := readHead(in, o.Head, grow)
	if err != nil {
		return nil, "", err
	}
	fields, err := decodeSection(block, o.Head, o.Lines)
	if err != nil {
		return nil, "", err
	}
	return fields.request()
}

// counts gives what counts the bytes of a head, or of trailers, that is not whole, and what forgets them.
func (c *Conn) counts(head int) (grow func(n int) error, release func()) {
	var held int64
	most := max(heads, int64(4*head))
	grow = func(n int) error {
		held += int64(n)
		if c.reading.Add(int64(n)) > most {
			return errHeads
		}
		return nil
	}
	return grow, func() { c.reading.Add(-held) }
}

// refuse ends a stream without a request that could be given to anybody.
func (c *Conn) refuse(s *quic.Stream, err error) {
	if _, ok := errors.AsType[*connError](err); ok {
		c.fail(err)
		return
	}
	if large, ok := errors.AsType[*tooLarge](err); ok {
		c.refused(large.reason)
		s.CancelRead(codeNone)
		w := &response{to: s, method: http.MethodGet, header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}, "Cache-Control": {"no-store"}}}
		w.WriteHeader(http.StatusRequestHeaderFieldsTooLarge)
		io.WriteString(w, large.reason+"\n")
		if w.finish() != nil {
			w.abort(codeInternal)
		}
		return
	}
	code := quic.StreamErrorCode(codeIncomplete)
	if ours, ok := errors.AsType[*streamError](err); ok {
		code = ours.code
		c.refused(ours.reason)
		c.takesBack()
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		c.refused("head timeout")
	} else { // taken back before it was whole
		c.takesBack()
	}
	s.CancelRead(code)
	s.CancelWrite(code)
}

// giveBody gives the request its body. One of a method that has none as a rule is waited for, so that the instance need not be told of a body which is then empty.
func (c *Conn) giveBody(r *http.Request, w *response, s *quic.Stream, in *bufio.Reader, tunnel bool) *body {
	b := &body{c: c, in: in, from: s, length: r.ContentLength, trailer: r.Trailer}
	r.Body = b
	if tunnel {
		return b
	}
	var by time.Time
	switch r.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodConnect:
	default:
		if r.ContentLength < 0 {
			by = time.Now().Add(c.bounds().HeadTimeout)
		}
	}
	if r.ContentLength == 0 || b.isOver(by) {
		r.Body, r.ContentLength = http.NoBody, 0
		return b
	}
	if strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		b.expects = w.wantBody
	}
	return b
}

// handle has the handler answer, and reports whether the response is whole.
func (c *Conn) handle(w *response, r *http.Request) (whole bool) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if p != http.ErrAbortHandler {
			c.o.Log.Error("handler of HTTP/3 has panicked", "panic", p, "stack", string(debug.Stack()))
		}
		w.abort(codeInternal)
		whole = false
	}()
	c.o.Handler.ServeHTTP(w, r)
	if w.finish() != nil {
		w.abort(codeInternal)
		return false
	}
	return true
}
