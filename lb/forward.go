package lb

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/internal/mutant"
)

// delivery is how far a request has come on its way to an instance.
type delivery struct {
	wait      headWait
	trace     httptrace.ClientTrace
	out       *http.Request // of the present attempt, nil before the first
	firstByte atomic.Bool   // something of an answer to the present attempt has come
	conn      *instanceConn // that the present attempt has got, nil before
	before    int64         // bytes that had been written to it before

	listeners []*endpoint // tried ones of the chosen instance
	scratch   [1]*endpoint
	same      bool // the chosen instance has got the request again
	untouched bool // the present attempt has ended because the instance did not touch the request
	refusals  int  // times that the chosen instance has been asked again after that
	again     int  // times the request was sent after it may have reached an instance
	rules     repeatRules
	judged    bool // rules are set
}

// forward sends the request and returns the response's head. What happens after a failure is in retry.go. When a kept connection breaks
// before the first byte of the answer, http.Transport itself repeats the request on another one if its method is safe or it has an
// Idempotency-Key (RFC 9110, 9.2.2) and no pattern says otherwise (see hooks), and any request of which not a byte was sent.
func (x *exchange) forward() (*http.Response, error) {
	d := &x.deliver
	d.begin(x.patience())
	if d.out == nil {
		d.out = x.outbound()
	} else if d.out = x.outAgain(d.out); d.out == nil {
		return nil, errBodyUsed
	}
	for {
		resp, why, err := x.attempt()
		switch why {
		case whyNone:
			return resp, err
		case whyOwn:
			return nil, &shortError{err}
		}
		if !x.mayGoOn(why) {
			return resp, err
		}
		next, moveErr := x.nextTry(why)
		if next == stay {
			if why == whyConnect {
				err = errUnavailable
			}
			return resp, err
		}
		if resp != nil {
			discard(resp)
		}
		if moveErr != nil {
			return nil, moveErr
		}
		x.b.metrics.requestRetries.WithLabelValues(x.mod.cluster.name, string(why)).Inc()
		if d.out = x.outAgain(d.out); d.out == nil {
			return nil, err
		}
	}
}

// attempt makes one attempt, or takes the outcome of the one that a loop has made.
func (x *exchange) attempt() (*http.Response, failureKind, error) {
	d := &x.deliver
	if a := x.after; a != nil && a.to != nil {
		x.after = nil
		d.tried(a.to)
		d.firstByte.Store(a.heard)
		x.counted = x.in.state
		return nil, a.why, a.err
	}
	chosen := x.in.state
	if err := x.admit(d.out.Header); err != nil {
		return nil, whyNone, err
	}
	if x.in.state != chosen { // what was decided no longer stood
		d.listeners, d.same, d.refusals = d.listeners[:0], false, 0
	}
	return x.send(d.out)
}

// send hands the request over to the chosen instance, and tells its health how that went.
func (x *exchange) send(out *http.Request) (*http.Response, failureKind, error) {
	d := &x.deliver
	d.untouched = false
	e := x.listener()
	if e == nil {
		return nil, whyConnect, errUnavailable
	}
	d.tried(e)
	x.info.expect(x.disguise())
	out.URL.Scheme, out.URL.Host = e.scheme, e.hostPort
	out.Header[activationHeader] = activation(x.in.phase)
	sent := time.Now()
	if x.ended() {
		return nil, whyNone, errEnded
	}
	resp, err := e.transport.RoundTrip(out)
	d.untouched = err != nil && isUnprocessed(err)
	if mutant.On(mutant.ForwardedTwice) && err == nil && out.Method == http.MethodPost {
		if body, kept := x.body.again(); kept == nil {
			resp.Body.Close()
			out.Body = body
			resp, err = e.transport.RoundTrip(out)
		}
	}
	if late := d.wait.answered(); late != nil {
		if resp != nil {
			resp.Body.Close()
		}
		resp, err = nil, late
	}
	if x.ended() {
		if resp != nil {
			resp.Body.Close()
		}
		return nil, whyNone, errEnded
	}
	return resp, x.noteResult(e, sent, resp, err), err
}

// begin makes the first attempt ready, or the first one after a response that was dropped.
func (d *delivery) begin(responseTimeout time.Duration) {
	d.wait.limit = responseTimeout
	d.listeners, d.same, d.refusals = nil, false, 0
	d.firstByte.Store(false)
}

func (d *delivery) tried(e *endpoint) {
	if d.listeners == nil {
		d.listeners = d.scratch[:0] // spares most requests an allocation
	}
	d.listeners = append(d.listeners, e)
}

// activationHeader tells an instance whether it gets unassigned requests, as mod_jk's JK_LB_ACTIVATION does.
const activationHeader = "X-Holdfast-Activation"

var isActive, isQuiescing = []string{"active"}, []string{"quiescing"}

func activation(p fsm.Phase) []string {
	if p == fsm.PhaseQuiescing {
		return isQuiescing
	}
	return isActive
}

// outAgain makes the request for another attempt: http.Transport may still read the one before. nil means that meanwhile more of the body
// has been read than was kept.
func (x *exchange) outAgain(before *http.Request) *http.Request {
	d := &x.deliver
	d.firstByte.Store(false)
	d.conn = nil
	out := before.WithContext(httptrace.WithClientTrace(d.wait.begin(x.r.Context()), &d.trace))
	out.URL, out.Header = new(url.URL), maps.Clone(before.Header)
	*out.URL = *before.URL
	x.r.Header = out.Header // so that what is still said to the instance reaches this attempt
	if x.body == nil {
		return out
	}
	body, err := x.bodyAgain()
	if err != nil {
		return nil
	}
	out.Body = body
	return out
}

// hooks lets http.Transport tell how an attempt goes on.
func (x *exchange) hooks() {
	d := &x.deliver
	d.trace.Got1xxResponse = x.info.got
	d.trace.GotFirstResponseByte = func() { d.firstByte.Store(true) }
	d.trace.GotConn = func(got httptrace.GotConnInfo) {
		d.wait.connected()
		conn, ok := got.Conn.(*instanceConn)
		switch {
		case !ok:
		case d.hasLeft() && x.rules().never() && !x.mod.cluster.h2: // http.Transport repeats it by itself; a pattern of the module has taken it out. By HTTP/2 it does so when nothing was touched, and others use the connection.
			conn.Close()
		default:
			d.conn, d.before = conn, conn.written.Load()
			if got.Reused {
				conn.quiet(x.r.Context())
			}
		}
	}
}

// hasLeft reports whether a byte of the present attempt has been written to a connection.
func (d *delivery) hasLeft() bool { return d.conn != nil && d.conn.written.Load() != d.before }

// discard ends a response that the client does not get. It waits for no more of it than lingerTime.
func discard(resp *http.Response) {
	late := time.AfterFunc(lingerTime, func() { resp.Body.Close() })
	defer late.Stop()
	io.CopyN(io.Discard, resp.Body, 4<<10) // a short one leaves its connection usable
	resp.Body.Close()
}

// isRefused gives the error of a request that could not be handed over.
func isRefused(err error) (*connectError, bool) {
	var refused *connectError
	ok := errors.As(err, &refused)
	return refused, ok
}
