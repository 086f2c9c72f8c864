package lb

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// noteResult tells the listener's health and the instance's latency how an attempt ended, and says whether it failed in a way after which
// another may be made. What the client or this machine is to blame for counts for nobody.
func (x *exchange) noteResult(e *endpoint, sent time.Time, resp *http.Response, err error) failureKind {
	if err != nil && (x.r.Context().Err() != nil || x.body.failure() != nil) {
		return whyNone
	}
	if errors.Is(err, errBodyNotKept) {
		return whyOwn
	}
	if err != nil && x.atDeadline(err) {
		return whyNone // the client's own, however short
	}
	if err == nil {
		return x.noteAnswer(e, sent, time.Now(), resp.StatusCode)
	}
	return x.noteFailure(e, sent, err)
}

// noteAnswer takes in that the listener has answered now a request that was sent to it then.
func (q *inquiry) noteAnswer(e *endpoint, sent, now time.Time, status int) failureKind {
	passive := &q.mod.cluster.health.passive
	e.noteReached()
	q.in.state.latency.observeAt(now, now.Sub(sent))
	if status < 500 || status > 599 || !passive.status {
		e.health.good()
		return whyNone
	}
	q.b.failed(e, fmt.Sprintf("answered %d", status), passive.fails, failedAttempt{begun: sent, ended: now})
	if status >= http.StatusBadGateway && status <= http.StatusGatewayTimeout {
		return whyStatus
	}
	return whyNone
}

// noteFailure takes in that it has not, for the reason of err.
func (q *inquiry) noteFailure(e *endpoint, sent time.Time, err error) failureKind {
	passive := &q.mod.cluster.health.passive
	how := failedAttempt{begun: sent, ended: time.Now(), silent: isSilent(err)}
	if refused, ok := isRefused(err); ok {
		if e.ownFault(err) {
			q.b.short.note(err)
			return whyOwn
		}
		q.b.refused(e, refused, passive.connect, how)
		return whyConnect
	}
	var late *responseTimeoutError
	switch {
	case errors.As(err, &late):
		q.in.state.latency.observe(time.Since(sent))
		how.silent = false // it took the connection
		if passive.timeout {
			q.b.failed(e, late.Error(), passive.fails, how)
		}
		return whyTimeout
	case isUnprocessed(err):
		return whyConnect
	case isReset(err):
		if passive.reset {
			q.b.failed(e, "the connection broke before the response", passive.fails, how)
		}
		return whyReset
	}
	return whyNone // it answered, though not in HTTP
}

// isReset reports whether a connection that was there has broken.
func isReset(err error) bool {
	// errBodyUsed: it was a kept one, and http.Transport could not repeat the request by itself
	for _, e := range []error{errBodyUsed, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED, syscall.ETIMEDOUT} {
		if errors.Is(err, e) {
			return true
		}
	}
	return isHTTP2Reset(err) || strings.HasSuffix(err.Error(), "server closed idle connection") // net/http does not export it
}

// refused takes in that a request could not be handed over to a listener. If counts, that takes it out of service until a probe succeeds.
func (b *Balancer) refused(e *endpoint, cause error, counts bool, how failedAttempt) {
	if e.health.fault(how); !counts || b.overtaken(e, how) {
		return
	}
	if e.health.refused(cause.Error(), how.ended) {
		e.prober.changed(false, cause.Error())
		e.prober.poke()
	}
	b.tried(&how)
}

// failed counts a passive failure of a request.
func (b *Balancer) failed(e *endpoint, reason string, fails int, how failedAttempt) {
	if e.health.fault(how); b.overtaken(e, how) {
		return
	}
	if e.health.bad(reason, fails, how.begun, how.ended) {
		e.prober.changed(false, reason)
		e.prober.poke()
	}
	b.tried(&how)
}

// overtaken reports whether a failure proves nothing because the node was out of contact meanwhile; a probe is made in its place.
func (b *Balancer) overtaken(e *endpoint, how failedAttempt) bool {
	if !b.contact.look().outdates(how.begun) {
		return false
	}
	e.prober.anew(how.ended)
	return true
}
