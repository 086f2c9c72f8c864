package lb

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/holdfast-lb/holdfast/lb/h1"
	"github.com/holdfast-lb/holdfast/lb/wire"
)

// afterwards is what a loop has decided about a request that goes away, and found out by an attempt: net/http goes on from there as if it had done so itself.
type afterwards struct {
	rt       *routing
	mod      *module
	in       *instance
	s        session
	assigned bool
	rejected bool
	commit   *commit   // the record of the new session s, which has begun
	to       *endpoint // of the attempt; nil before one
	why      failureKind
	err      error
	heard    bool // something of an answer has come
	whole    bool // all of the request has
}

// Failed implements h1.Director.
func (d *director) Failed(t *h1.Trip, kind h1.Failure, err error) h1.Verdict {
	r := t.Note.(*direct)
	switch kind {
	case h1.FailClient:
		if err == wire.BodyTimeout {
			f := clientFailure(context.Background(), errBodyLate)
			return r.tell(f, f.text)
		}
		return h1.Refuse
	case h1.FailClosed:
		return h1.Refuse
	case h1.FailEnded:
		return r.refuse(errEnded)
	case h1.FailBad:
		return r.unreadable(err)
	case h1.FailReset:
		if t.Reused && !t.Heard && t.Whole && r.again() {
			return h1.Forward
		}
	}
	err = failureError(t, kind, err)
	why := whyReset
	switch ended := t.Conn.Ended(); {
	case ended && kind == h1.FailTimeout:
		return r.refuse(err) // as likely as not the client has given up
	case ended && kind == h1.FailReset: // nor is the instance blamed for a connection on which it may have heard of that
	default:
		why = r.noteFailure(r.to, r.handed(), err)
	}
	if why == whyOwn {
		return r.refuse(&shortError{err})
	}
	if kind == h1.FailConnect || t.Whole && r.keptLen() <= r.mod.cluster.bodyBuffer {
		r.goAway(&afterwards{why: why, err: err, heard: t.Heard})
		return h1.Away
	}
	return r.refuse(err)
}

// keptLen is how much of the request's body would have to be kept for another attempt.
func (r *direct) keptLen() int64 {
	if r.t.Head.Framing == wire.FramingNone {
		return 0
	}
	return r.t.Received
}

// unreadable ends a request whose response the loops could not read. When the other engine may be able to, it gets all that follow to the same listener, and this one as
// well where it may be sent twice.
func (r *direct) unreadable(err error) h1.Verdict {
	bad, ok := errors.AsType[*wire.Error](err)
	if !ok {
		return r.refuse(errNoAnswer)
	}
	form, any := wire.TakenElsewhere(bad)
	if any && r.to.odd() {
		r.b.log.Warn("responses of an instance are not strictly HTTP/1.1, or have very long heads: its requests take the slower way", "cluster", r.mod.cluster.name,
			"instance", r.in.name, "listener", r.to.url, "error", bad.Reason)
	}
	if form && r.t.Repeatable {
		r.goAway(&afterwards{})
		return h1.Away
	}
	return r.refuse(errNoAnswer)
}

// again reports whether the request is sent once more after a kept connection has broken before the first byte of an answer, as http.Transport does (see
// exchange.forward). The instance had closed it for idleness, as far as anybody can tell.
func (r *direct) again() bool {
	const most = 300 // a loop takes a fresh connection after the first that breaks, so that two attempts are what it comes to
	if r.t.Attempts > most {
		return false
	}
	if !r.t.Left {
		return true
	}
	rules := r.rules()
	return (r.safe() || r.keyed()) && !rules.never()
}

// failureError is the error that net/http's way would have had.
func failureError(t *h1.Trip, kind h1.Failure, err error) error {
	switch kind {
	case h1.FailConnect:
		return &connectError{err}
	case h1.FailTimeout:
		return &responseTimeoutError{t.Timeout}
	case h1.FailReset:
		return errors.Join(io.ErrUnexpectedEOF, err)
	}
	return errNoAnswer
}

// errNoAnswer says that an instance has sent something that is no response.
var errNoAnswer = errors.New("no valid response")

// goAway has the other engine go on, from what has been found out if that is said.
func (r *direct) goAway(a *afterwards) {
	r.away = true
	if a != nil {
		a.whole = r.t.Whole
		a.rt, a.mod, a.in, a.s, a.assigned, a.rejected = r.rt, r.mod, r.in, r.s, r.assigned, r.rejected
		if a.why != whyNone || a.err != nil {
			a.to = r.to
		}
		if r.s.ours && len(r.commits) > 0 {
			a.commit, r.told = r.commits[0], true // who goes on answers for it
		}
	}
	r.who.after = a
}

// refuse answers in the name of Holdfast.
func (r *direct) refuse(err error) h1.Verdict {
	return r.tell(failureOf(context.Background(), err, nil), describe(err))
}

func (r *direct) tell(f failure, problem string) h1.Verdict {
	r.problem = problem
	own := r.edge.pages.use(&f)
	r.t.Page, r.t.PageType = own.compose(r.field("Accept"), &pageValues{f.status, f.text, "", http.StatusText(f.status)})
	r.t.Status = f.status
	r.t.Reply.Reset()
	if f.retryAfter > 0 {
		r.t.Reply.AddString("Retry-After", strconv.Itoa(f.retryAfter))
	}
	r.t.Reply.AddString("Cache-Control", "no-store")
	r.t.Reply.AddString("X-Content-Type-Options", "nosniff")
	if r.edge.hsts != "" && r.who.tls != nil {
		r.t.Reply.AddString(hstsField, r.edge.hsts)
	}
	r.tellAltSvc()
	return h1.Refuse
}

// Done implements h1.Director.
func (d *director) Done(t *h1.Trip) {
	r := t.Note.(*direct)
	r.leave(r.in.state, r.mod.state)
	r.forsake()
	if !r.away {
		r.account()
	}
	d.b.tasks.leave()
	r.release()
}

// account counts what has become of the request, and writes the access log.
func (r *direct) account() {
	t := r.t
	status := t.Status
	switch {
	case t.Failure == h1.FailClient:
		status = r.clientsFault()
	case t.Failure == h1.FailEnded:
		r.problem = errEnded.Error()
	case t.Failure == h1.FailCut && isTimeout(t.Err):
		r.problem = describe(t.Err)
	case t.Failure == h1.FailCut:
		r.problem = io.ErrUnexpectedEOF.Error()
	case t.Failure == h1.FailClosed:
		r.problem = errClosed.Error()
	}
	r.who.detour.paid()
	r.who.traced = traceContext{}
	if r.rejected {
		r.b.metrics.cookiesRejected.Inc()
	}
	took := h1.Now() - t.Began
	r.in.state.counters.count(status, r.assigned, took)
	r.b.metrics.byLoop.Inc()
	r.who.front.answered.Add(1)
	if r.b.access.out != nil {
		r.log(status, took)
	}
}

// clientsFault says why a request has ended that its client has spoilt, and gives the status of the answer that was sent all the same.
func (r *direct) clientsFault() int {
	t := r.t
	broken, ok := errors.AsType[*wire.Error](t.Err)
	switch {
	case r.problem != "" && t.Status != 0: // what it was being told
	case ok:
		r.problem = bodyFault(broken).text
	case t.Answered == 0:
		r.problem = "the client is gone"
		return statusClientGone
	default:
		r.problem = errClientWrite.Error()
	}
	return t.Status
}

// bodyFault is what net/http's way would have told the client about its body.
func bodyFault(bad *wire.Error) failure {
	var err error = bad
	switch bad {
	case wire.BodyTimeout:
		err = errBodyLate
	case wire.BodyCut:
		err = io.ErrUnexpectedEOF
	}
	return clientFailure(context.Background(), err)
}
