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
	passive := &x.mod.cluster.health.passive
	if err == nil {
		x.in.state.latency.observe(time.Since(sent))
		if resp.StatusCode < 500 || resp.StatusCode > 599 || !passive.status {
			e.health.good()
			return whyNone
		}
		x.b.failed(e, fmt.Sprintf("answered %d", resp.StatusCode), passive.fails, sent)
		if resp.StatusCode >= http.StatusBadGateway && resp.StatusCode <= http.StatusGatewayTimeout {
			return whyStatus
		}
		return whyNone
	}
	if refused, ok := isRefused(err); ok {
		if passive.connect && !ownFault(err) {
			x.b.refused(e, refused)
		}
		return whyConnect
	}
	var late *responseTimeoutError
	switch {
	case errors.As(err, &late):
		x.in.state.latency.observe(time.Since(sent))
		if passive.timeout {
			x.b.failed(e, late.Error(), passive.fails, sent)
		}
		return whyTimeout
	case isReset(err):
		if passive.reset {
			x.b.failed(e, "the connection broke before the response", passive.fails, sent)
		}
		return whyReset
	}
	return whyNone // it answered, though not in HTTP
}

// ownFault reports whether connecting failed for want of something on this machine, which says nothing about the instance.
func ownFault(err error) bool {
	for _, e := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// isReset reports whether a connection that was there has broken.
func isReset(err error) bool {
	// errBodyUsed: it was a kept one, and http.Transport could not repeat the request by itself
	for _, e := range []error{errBodyUsed, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED, syscall.ETIMEDOUT} {
		if errors.Is(err, e) {
			return true
		}
	}
	return strings.HasSuffix(err.Error(), "server closed idle connection") // net/http does not export it
}

// refused takes a listener out of service until a probe succeeds.
func (b *Balancer) refused(e *endpoint, cause error) {
	if e.health.refused(cause.Error(), time.Now()) {
		e.prober.changed(false, cause.Error())
		e.prober.poke()
	}
}

// failed counts a passive failure of a request that was sent at the given time.
func (b *Balancer) failed(e *endpoint, reason string, fails int, sent time.Time) {
	if e.health.bad(reason, fails, sent, time.Now()) {
		e.prober.changed(false, reason)
		e.prober.poke()
	}
}
