package h3

import (
	"bytes"
	"errors"
	"net/http"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"golang.org/x/net/http/httpguts"
)

// response writes what a handler answers. What is small is kept until it is flushed or the handler has returned. Its lock is for the body of the request, whose reader has the
// client told to send it.
type response struct {
	to     *quic.Stream
	method string
	header http.Header

	mu     sync.Mutex
	buf    []byte
	status int   // of the final response; 0: not yet
	left   int64 // of the body that the header announces; -1: it announces none
	err    error // of a write: nothing that comes after can be read as it is meant

	timing sync.Mutex // is not held for a write
	by     time.Time  // the deadline that was set
	brief  bool       // an interim response has one of its own
}

// mostBuffered is how much a response keeps, in bytes.
const mostBuffered = 4 << 10

const (
	// briefTime is how long an interim response may wait for the client: who reads nothing holds nobody up with one.
	briefTime = 10 * time.Millisecond
	// finishTime is how long the end of a response may where no deadline was set.
	finishTime = 5 * time.Minute
)

var (
	errShort = errors.New("http3: the response is shorter than its Content-Length")
	errNoWay = errors.New("http3: no body is allowed here")
)

// Header implements http.ResponseWriter.
func (w *response) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter. Interim responses leave at once.
func (w *response) WriteHeader(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.status != 0 || status < 100 || status == http.StatusSwitchingProtocols:
	case status < 200:
		w.interim(status, w.header)
	default:
		w.begin(status)
	}
}

// interim sends an interim response, of which what does not fit into the client's window goes along with the next one or the final one. Nobody needs to get any, and so those that come
// when too much waits are dropped.
func (w *response) interim(status int, header http.Header) {
	if w.err != nil || len(w.buf) > mostBuffered {
		return
	}
	w.section(status, header)
	w.timing.Lock()
	w.brief = true
	if by := time.Now().Add(briefTime); w.by.IsZero() || w.by.After(by) {
		w.to.SetWriteDeadline(by)
	}
	w.timing.Unlock()
	n, err := w.to.Write(w.buf)
	w.buf = w.buf[:copy(w.buf, w.buf[n:])]
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		w.err = err
	}
	w.timing.Lock()
	w.brief = false
	w.to.SetWriteDeadline(w.by)
	w.timing.Unlock()
}

// wantBody answers Expect: 100-continue.
func (w *response) wantBody() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.status == 0 {
		w.interim(http.StatusContinue, nil)
	}
}

func (w *response) begin(status int) {
	w.status, w.left = status, -1
	if _, ok := w.header["Date"]; !ok {
		w.header["Date"] = []string{time.Now().UTC().Format(http.TimeFormat)}
	}
	if n, err := strconv.ParseInt(w.header.Get("Content-Length"), 10, 64); err == nil && w.hasBody() {
		w.left = n
	}
	w.section(status, w.header)
}

// hasBody reports whether the response may have one.
func (w *response) hasBody() bool {
	return w.method != http.MethodHead && w.status != http.StatusNoContent && w.status != http.StatusNotModified && (w.method != http.MethodConnect || w.status/100 != 2)
}

// section puts a HEADERS frame into the buffer; status is 0 for trailers.
func (w *response) section(status int, header http.Header) {
	var block bytes.Buffer
	e := qpack.NewEncoder(&block)
	if status != 0 {
		e.WriteField(qpack.HeaderField{Name: ":status", Value: strconv.Itoa(status)})
	}
	for name, values := range header {
		if strings.HasPrefix(name, http.TrailerPrefix) || connectionField(name) || !httpguts.ValidHeaderFieldName(name) {
			continue // the client would end the stream for a name that is none, see RFC 9114, section 4.2
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				continue
			}
			e.WriteField(qpack.HeaderField{Name: strings.ToLower(name), Value: value})
		}
	}
	if block.Len() == 0 {
		return // trailers of which nothing is left
	}
	w.buf = append(appendFrame(w.buf, frameHeaders, uint64(block.Len())), block.Bytes()...)
}

// connectionField reports whether a field is about a connection of HTTP/1.1: it must not be sent.
func connectionField(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// Write implements http.ResponseWriter.
func (w *response) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.status == 0 {
		w.begin(http.StatusOK)
	}
	switch {
	case w.err != nil:
		return 0, w.err
	case w.method == http.MethodHead:
		return len(p), nil
	case w.method != http.MethodConnect && !w.hasBody():
		return 0, errNoWay
	case len(p) == 0:
		return 0, nil
	case w.left >= 0 && int64(len(p)) > w.left:
		return 0, http.ErrContentLength
	}
	if w.left > 0 {
		w.left -= int64(len(p))
	}
	w.buf = appendFrame(w.buf, frameData, uint64(len(p)))
	if len(w.buf)+len(p) <= mostBuffered {
		w.buf = append(w.buf, p...)
		return len(p), nil
	}
	if err := w.flush(); err != nil {
		return 0, err
	}
	n, err := w.to.Write(p)
	w.err = err
	return n, err
}

// flush sends what is kept.
func (w *response) flush() error {
	if w.err == nil && len(w.buf) > 0 {
		_, w.err = w.to.Write(w.buf)
		w.buf = w.buf[:0]
	}
	return w.err
}

// FlushError sends what has been written so far.
func (w *response) FlushError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.status == 0 {
		w.begin(http.StatusOK)
	}
	return w.flush()
}

// Flush implements http.Flusher.
func (w *response) Flush() { w.FlushError() }

// SetReadDeadline bounds the reads of the request's body.
func (w *response) SetReadDeadline(t time.Time) error { return w.to.SetReadDeadline(t) }

// SetWriteDeadline bounds the writes; one that is late costs the stream.
func (w *response) SetWriteDeadline(t time.Time) error {
	w.timing.Lock()
	defer w.timing.Unlock()
	if w.by = t; w.brief && (t.IsZero() || t.After(time.Now())) {
		return nil
	}
	return w.to.SetWriteDeadline(t)
}

// finish sends what is left, and the trailers. An error means that the response is not whole.
func (w *response) finish() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.status == 0 {
		w.begin(http.StatusOK)
	}
	if w.left > 0 {
		return errShort
	}
	if trailers := w.trailers(); len(trailers) > 0 {
		w.section(0, trailers)
	}
	w.timing.Lock()
	if w.by.IsZero() {
		w.to.SetWriteDeadline(time.Now().Add(finishTime))
	}
	w.timing.Unlock()
	if err := w.flush(); err != nil {
		return err
	}
	return w.to.Close()
}

// trailers are the fields that were announced before the head left, and those that say by their prefix that they are some.
func (w *response) trailers() http.Header {
	all := http.Header{}
	for _, list := range w.header["Trailer"] {
		for name := range strings.SplitSeq(list, ",") {
			name = textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name))
			if values := w.header[name]; len(values) > 0 {
				all[name] = values
			}
		}
	}
	for name, values := range w.header {
		if rest, ok := strings.CutPrefix(name, http.TrailerPrefix); ok && len(values) > 0 {
			all[textproto.CanonicalMIMEHeaderKey(rest)] = values
		}
	}
	return all
}

// abort ends a response that is not whole.
func (w *response) abort(code quic.StreamErrorCode) {
	w.to.CancelRead(code)
	w.to.CancelWrite(code)
}
