package lb

import (
	"net/netip"
	"sync/atomic"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// limiter is what counts against the bounds of one listener, or of one host and context root. It is found again by name and survives every change.
type limiter struct {
	scope  uint32
	meter  meter
	held   atomic.Int64 // connections of a listener, requests in flight of a module
	counts clientCounts
}

// bounds are the bounds of one listener, or of one host and context root, with what counts against them. They are immutable. Each node counts by itself.
type bounds struct {
	all, each         rate
	mostAll, mostEach int // at once; 0: no bound
	body              int64
	state             *limiter
	clients           *clientRates
	metrics           *limitMetrics
}

// refusal is why a request goes no further.
type limitError struct {
	bound string // as the metrics name it
	mine  bool   // the client itself has too many
	after int    // seconds
}

// Error says which bound it was.
func (e *limitError) Error() string { return "limit reached: " + e.bound }

// newBounds gives nil for bounds that bound nothing.
func (b *Balancer) newBounds(name string, all, each config.Rates, body int64) *bounds {
	if all == (config.Rates{}) && each == (config.Rates{}) && body == 0 {
		return nil
	}
	state := b.limiters[name]
	if state == nil {
		b.limitScope++
		state = &limiter{scope: b.limitScope & (1<<31 - 1)}
		b.limiters[name] = state
	}
	return &bounds{
		all: newRate(all.RequestsPerSecond, all.Burst), each: newRate(each.RequestsPerSecond, each.Burst), mostAll: all.Connections, mostEach: each.Connections,
		body: body, state: state, clients: b.clientRates, metrics: &b.metrics.limits,
	}
}

// pass counts one request against the rates: first the client's own, so that one client does not use up everybody's.
func (l *bounds) pass(client netip.Addr, now int64) error {
	if l == nil {
		return nil
	}
	if l.each.bounds() {
		if wait := l.clients.take(keyOfClient(client, l.state.scope), l.each, now); wait > 0 {
			return l.metrics.refuse("client rate", true, wait)
		}
	}
	if l.all.bounds() {
		if wait := l.state.meter.take(l.all, now); wait > 0 {
			return l.metrics.refuse("rate", false, wait)
		}
	}
	return nil
}

// hold is what a request or a connection holds of its bounds. The zero value holds nothing.
type hold struct {
	l    *bounds
	key  clientKey
	each bool
}

// hold takes one of those that there may be at once. The result must be given back with give. exempt is for whom the client's own bound is not.
func (l *bounds) hold(client netip.Addr, exempt bool) (hold, error) {
	if l == nil || l.mostAll == 0 && l.mostEach == 0 {
		return hold{}, nil
	}
	h := hold{l: l, key: keyOfClient(client, l.state.scope), each: l.mostEach > 0 && !exempt}
	if h.each && !l.state.counts.take(h.key, l.mostEach) {
		return hold{}, l.metrics.refuse("client connections", true, 0)
	}
	if n := l.state.held.Add(1); l.mostAll > 0 && n > int64(l.mostAll) {
		h.give()
		return hold{}, l.metrics.refuse("connections", false, 0)
	}
	return h, nil
}

func (h *hold) give() {
	if h.l == nil {
		return
	}
	h.l.state.held.Add(-1)
	if h.each {
		h.l.state.counts.give(h.key)
	}
	h.l = nil
}

// together gives the bounds of a host and context root that several clusters serve: the stricter of each.
func together(a, b config.ModuleLimits) config.ModuleLimits {
	return config.ModuleLimits{
		RequestsPerSecond: stricter(a.RequestsPerSecond, b.RequestsPerSecond), Burst: stricter(a.Burst, b.Burst), Connections: stricter(a.Connections, b.Connections),
		Body: stricter(a.Body, b.Body),
		PerClient: config.Rates{
			RequestsPerSecond: stricter(a.PerClient.RequestsPerSecond, b.PerClient.RequestsPerSecond), Burst: stricter(a.PerClient.Burst, b.PerClient.Burst),
			Connections: stricter(a.PerClient.Connections, b.PerClient.Connections),
		},
	}
}

// stricter is the lower of two bounds; 0 is none.
func stricter[T int | config.Size](a, b T) T {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
