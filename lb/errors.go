package lb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"syscall"

	"github.com/holdfast-lb/holdfast/lb/hello"
)

var errNoModule = errors.New("no module serves this address")

// errMaintenance says that every cluster which has the module has it disabled.
var errMaintenance = fmt.Errorf("%w: the module is disabled", errUnavailable)

// errOutOfService says that what this node knows may be wrong, so that it must not decide where anybody goes. Another node does.
var errOutOfService = errors.New("this node is out of service")

// statusClientGone is what the access log shows when nobody was left to answer (nginx's 499).
const statusClientGone = 499

// failure is what the client is told. Neither an instance's name nor its address is in it.
type failure struct {
	status      int
	text        string
	retryAfter  int  // seconds; 0: nothing is said
	maintenance bool // the application is not there on purpose
}

// failureOf maps an error to what the client is told; bodyErr is the error of reading the client's own body, which is never
// blamed on the instance.
func failureOf(ctx context.Context, err, bodyErr error) failure {
	var limit *limitError
	var short *shortError
	switch {
	case bodyErr != nil:
		return clientFailure(ctx, bodyErr)
	case errors.Is(err, errNoFile):
		return failure{status: http.StatusNotFound, text: "There is no such file."}
	case errors.Is(err, errFileMethod):
		return failure{status: http.StatusMethodNotAllowed, text: "A file can only be read: GET or HEAD."}
	case errors.Is(err, errNoModule):
		return failure{status: http.StatusNotFound, text: "No application is available at this address."}
	case errors.Is(err, errOutOfService):
		return failure{http.StatusServiceUnavailable, "This server is out of service at the moment. Please try again.", 1, false}
	case errors.Is(err, errRefused):
		return failure{http.StatusServiceUnavailable, "New sessions cannot be taken at the moment. Please try again.", 1, false}
	case errors.As(err, &short):
		return failure{http.StatusServiceUnavailable, "This server cannot take the request at the moment. Please try again.", 1, false}
	case errors.As(err, &limit) && limit.mine:
		return failure{http.StatusTooManyRequests, "Too many requests. Please wait a moment.", limit.after, false}
	case errors.As(err, &limit):
		return failure{http.StatusServiceUnavailable, "Too many requests at the moment. Please try again.", limit.after, false}
	case errors.Is(err, errBodyTooLarge):
		return failure{status: http.StatusRequestEntityTooLarge, text: "The body of the request is too large."}
	case errors.Is(err, errMaintenance):
		return failure{http.StatusServiceUnavailable, "The application is being worked on. Please try again later.", 1, true}
	case errors.Is(err, errEnded):
		return failure{http.StatusServiceUnavailable, "The server that worked on the request has been stopped. Please try again.", 1, false}
	case errors.Is(err, errUnavailable), errors.Is(err, errNoGroup), errors.Is(err, errClosed):
		return failure{http.StatusServiceUnavailable, "The application is not available at the moment. Please try again.", 1, false}
	case errors.Is(err, context.DeadlineExceeded) || isTimeout(err):
		return failure{status: http.StatusGatewayTimeout, text: "The application did not answer in time."}
	default:
		return failure{status: http.StatusBadGateway, text: "The application gave no valid answer."}
	}
}

// describe is what the access log says about an error. Errors of net/http may quote what an instance sent, session ids included,
// so that only those of known kinds are shown as they are.
func describe(err error) string {
	for _, known := range []error{errOutOfService, errNoModule, errRefused, errBusy, errFull, errSessionLost, errNoVersion, errUncertain, errStray, errOutcast, errMaintenance, errEnded, errNoFile, errFileMethod, errBodyTooLarge, errUnavailable, errNoGroup, errClosed, errBadUpgrade, errBadStatus, errOptions,
		errTooManyInterim, errHeaderForged,
		io.ErrUnexpectedEOF, io.EOF} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	var refused *connectError
	var wrong *hello.Error
	var errno syscall.Errno
	var limit *limitError
	var short *shortError
	switch {
	case errors.As(err, &short):
		return short.Error()
	case errors.As(err, &limit):
		return limit.Error()
	case errors.As(err, &refused):
		return refused.Error()
	case errors.As(err, &wrong):
		return wrong.Error()
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

// write sends the answer. A page of the configuration takes the place of the usual one; the client gets HTML, JSON or plain text, as it prefers.
func (x *exchange) write(f failure) int64 {
	h := x.w.Header()
	clear(h)
	x.sayLast(h)
	if x.grpc {
		return x.writeStatus(f)
	}
	own := x.edge.pages.use(&f)
	if f.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(f.retryAfter))
	}
	if (x.astray || x.ended() || f.status == http.StatusRequestTimeout || f.status == http.StatusRequestEntityTooLarge) && !x.multiplexed() {
		h["Connection"] = []string{"close"} // the rest of the body is not read, or another node is to be asked
	}
	if f.status == http.StatusMethodNotAllowed {
		h.Set("Allow", "GET, HEAD")
	}
	x.tellRequestID(h)
	x.tellHSTS(h)
	x.tellAltSvc(h)
	body, mediaType := own.compose(x.r.Header["Accept"], &pageValues{f.status, f.text, x.requestID, http.StatusText(f.status)})
	h.Set("Content-Type", mediaType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	x.w.WriteHeader(f.status)
	if x.r.Method == http.MethodHead {
		return 0
	}
	if x.multiplexed() {
		x.boundSend()
	}
	n := 0
	x.inTime(func() (err error) {
		n, err = x.w.Write(body)
		return err
	}) // a client that is gone needs no answer
	return int64(n)
}
