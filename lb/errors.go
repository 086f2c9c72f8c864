package lb

import (
	"context"
	"errors"
	"html"
	"io"
	"net/http"
	"strconv"
	"strings"
	"syscall"
)

var errNoModule = errors.New("no module serves this address")

// statusClientGone is what the access log shows when nobody was left to answer (nginx's 499).
const statusClientGone = 499

// failure is what the client is told. Neither an instance's name nor its address is in it.
type failure struct {
	status     int
	text       string
	retryAfter bool
}

// failureOf maps an error to what the client is told; bodyErr is the error of reading the client's own body, which is never
// blamed on the instance.
func failureOf(ctx context.Context, err, bodyErr error) failure {
	switch {
	case bodyErr != nil:
		return clientFailure(ctx, bodyErr)
	case errors.Is(err, errNoModule):
		return failure{status: http.StatusNotFound, text: "No application is available at this address."}
	case errors.Is(err, errRefused):
		return failure{http.StatusServiceUnavailable, "New sessions cannot be taken at the moment. Please try again.", true}
	case errors.Is(err, errUnavailable), errors.Is(err, errNoGroup), errors.Is(err, errClosed):
		return failure{http.StatusServiceUnavailable, "The application is not available at the moment. Please try again.", true}
	case errors.Is(err, context.DeadlineExceeded) || isTimeout(err):
		return failure{status: http.StatusGatewayTimeout, text: "The application did not answer in time."}
	default:
		return failure{status: http.StatusBadGateway, text: "The application gave no valid answer."}
	}
}

// describe is what the access log says about an error. Errors of net/http may quote what an instance sent, session ids included,
// so that only those of known kinds are shown as they are.
func describe(err error) string {
	for _, known := range []error{errNoModule, errRefused, errBusy, errFull, errSessionLost, errNoVersion, errUnavailable, errNoGroup, errClosed, errBadUpgrade, errBadStatus, errTooManyInterim,
		io.ErrUnexpectedEOF, io.EOF} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	var refused *connectError
	var errno syscall.Errno
	switch {
	case errors.As(err, &refused):
		return refused.Error()
	case errors.Is(err, errClientWrite):
		return errClientWrite.Error()
	case errors.Is(err, context.DeadlineExceeded) || isTimeout(err):
		return "timeout"
	case errors.As(err, &errno):
		return errno.Error()
	default:
		return "no valid response"
	}
}

// write answers in HTML or plain text, as the client prefers.
func (f failure) write(w http.ResponseWriter, r *http.Request) int64 {
	h := w.Header()
	clear(h)
	if f.retryAfter {
		h.Set("Retry-After", "1")
	}
	title := strconv.Itoa(f.status) + " " + http.StatusText(f.status)
	text := title + "\n" + f.text + "\n"
	h.Set("Content-Type", "text/plain; charset=utf-8")
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		h.Set("Content-Type", "text/html; charset=utf-8")
		text = "<!doctype html><title>" + title + "</title><h1>" + title + "</h1><p>" + html.EscapeString(f.text) + "</p>\n"
	}
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(f.status)
	if r.Method == http.MethodHead {
		return 0
	}
	n, _ := w.Write([]byte(text)) // a client that is gone needs no answer
	return int64(n)
}
