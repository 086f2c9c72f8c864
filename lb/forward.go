package lb

import (
	"errors"
	"net/http"
	"syscall"
	"time"
)

// forward sends the request and returns the response's head. A request that could not be handed over goes to another listener
// of the instance, then to at most module.retries other instances. Only an idempotent request (RFC 9110, 9.2.2: by its method, or by its
// Idempotency-Key) may go out twice: when a kept connection breaks before the first byte of the answer, http.Transport repeats it, and if
// the instance then refuses, it goes to another one although the first may have executed it.
func (x *exchange) forward() (*http.Response, error) {
	out := x.outbound()
	listeners := 0
	for {
		resp, err := x.send(out)
		if err == nil {
			return resp, nil
		}
		var refused *connectError
		if !errors.As(err, &refused) && !errors.Is(err, errUnavailable) || x.r.Context().Err() != nil {
			return nil, err
		}
		if listeners++; x.in.state.up() && listeners < len(*x.in.state.endpoints.Load()) {
			continue
		}
		listeners = 0
		if x.mod.retries >= 0 && x.retries >= x.mod.retries {
			return nil, errUnavailable
		}
		x.tried = append(x.tried, x.in.state)
		x.retries++
		x.b.metrics.retries.WithLabelValues(x.mod.cluster.name).Inc()
		if err := x.toAnother(); err != nil {
			return nil, err
		}
	}
}

// send hands the request over to the chosen instance.
func (x *exchange) send(out *http.Request) (*http.Response, error) {
	e := x.in.state.endpoint(x.scheme())
	if e == nil {
		return nil, errUnavailable
	}
	x.count(x.in.state)
	out.URL.Scheme, out.URL.Host = e.scheme, e.hostPort
	resp, err := e.transport.RoundTrip(out)
	if err == nil {
		return resp, nil
	}
	var refused *connectError
	if errors.As(err, &refused) && !ownFault(err) && x.r.Context().Err() == nil {
		x.b.refused(x.in.state, e, refused)
	}
	return nil, err
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

// refused takes a listener out of service until a probe succeeds.
func (b *Balancer) refused(s *instanceState, e *endpoint, cause error) {
	if e.health.refused(cause.Error(), time.Now()) {
		e.prober.changed(false, cause.Error())
		e.prober.poke()
	}
}
