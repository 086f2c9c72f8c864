package lb

import (
	"net/http"
	"slices"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/internal/mutant"
)

// failureKind is why a request has to be sent again, as the metrics name it.
type failureKind string

const (
	whyNone    failureKind = ""
	whyConnect failureKind = "connect" // not a byte of it has left
	whyReset   failureKind = "reset"   // the connection broke before the first byte of an answer
	whyTimeout failureKind = "timeout" // no response within responseTimeout
	whyStatus  failureKind = "status"  // the instance answered 502, 503 or 504
	whyOwn     failureKind = "own"     // not a byte of it has left, and that is this node's own fault: it is not sent again
)

// repeatRules say how often a request may be sent after a failure.
type repeatRules struct {
	idempotent bool // it may be sent again after it may have reached an instance
	declared   bool // by a pattern of the module
	repeats    int  // how often it may be then; -1: no bound
	others     int  // how many other instances may be tried; -1: all
}

// rules finds them out when they are needed for the first time: most requests meet no failure.
//
// Idempotent are the safe methods of RFC 9110, 9.2.1, and what has an Idempotency-Key. PUT and DELETE are not, although the RFC calls them
// so: many applications count or log on them, and a body that was cut off may have been stored. Who knows better declares a pattern. A
// pattern that matches beats the method, so that "0" takes a safe one out.
func (x *exchange) rules() *repeatRules {
	d := &x.deliver
	if d.judged {
		return &d.rules
	}
	d.judged = true
	_, key := x.r.Header["Idempotency-Key"]
	_, older := x.r.Header["X-Idempotency-Key"]
	d.rules = x.mod.rules(x.r.Method, key || older, routingPath(x.r.URL))
	return &d.rules
}

// rules are those of a request with that method and routing path; keyed tells that it has an Idempotency-Key.
func (m *module) rules(method string, keyed bool, path string) repeatRules {
	r := repeatRules{repeats: m.retries, others: m.retries, idempotent: keyed}
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		r.idempotent = true
	case http.MethodPost:
		r.idempotent = keyed || mutant.On(mutant.PostRepeated)
	}
	if retries, ok := m.idempotent.match(m.below(path)); ok {
		r.idempotent, r.declared, r.repeats = true, true, retries
		r.others = morePermissive(m.retries, retries)
	}
	return r
}

// never reports whether a pattern says that the request must not be sent again, although its method would allow it.
func (r *repeatRules) never() bool { return r.declared && r.repeats == 0 }

// morePermissive is the greater of two bounds; -1 is none.
func morePermissive(a, b int) int {
	if a < 0 || b < 0 {
		return -1
	}
	return max(a, b)
}

// keeps is how many bytes of the body are kept: for a request that may be sent again after it may have reached an instance all that the
// configuration allows, for any other one piece, which is enough for most forms. Those are sent again when a kept connection turns out to be
// closed before a byte was written to it. Instances that speak HTTP/2 may say of any that they have not touched it.
func (x *exchange) keeps() int64 {
	if x.rules().idempotent || x.mod.cluster.h2 {
		return x.mod.cluster.bodyBuffer
	}
	return min(x.mod.cluster.bodyBuffer, pieceLen)
}

// below is the path below the module's context root.
func (m *module) below(path string) string {
	if m.root == "/" {
		return path
	}
	return path[min(len(m.root), len(path)):]
}

// mayGoOn reports whether the request may be sent once more after a failure, wherever.
func (x *exchange) mayGoOn(why failureKind) bool {
	if x.r.Context().Err() != nil || !x.body.repeatable(why == whyStatus) {
		return false
	}
	if why == whyConnect {
		return true
	}
	d, r, passive := &x.deliver, x.rules(), &x.mod.cluster.health.passive
	if !r.idempotent || r.repeats >= 0 && d.again >= r.repeats {
		return false
	}
	switch why {
	case whyReset:
		return !d.firstByte.Load()
	case whyTimeout:
		return r.declared || passive.timeout
	default:
		return passive.status
	}
}

// nextPlace says where a request goes after a failure.
type nextPlace uint8

const (
	stay      nextPlace = iota // nowhere: the failure is the answer
	sameAgain                  // to the same instance
	elsewhere                  // to another instance
)

// nextTry chooses where the request goes. A request that was not handed over goes to another listener of the instance, then to other
// instances. One that may have reached the instance goes to another instance at once, unless it is assigned: the session stays with its
// instance for as long as that is available, so other listeners come first, then once more any listener, which also finds out whether the
// instance lives; only when it is out of service the session fails over. One that the instance says it has not touched is sent to it once more, whatever
// it is, because it may only have begun to end a connection; a session stays with an instance that goes on refusing, for it lives. The error is of choosing an
// instance; nothing is sent then.
func (x *exchange) nextTry(why failureKind) (nextPlace, error) {
	d, s := &x.deliver, x.in.state
	reached, refusing := why != whyConnect, why == whyConnect && d.untouched
	switch {
	case refusing && x.asksAgain():
		d.listeners = d.listeners[:0]
		return sameAgain, nil
	case why == whyStatus:
	case !reached || x.assigned:
		if x.otherListener() != nil {
			d.repeated(reached)
			return sameAgain, nil
		}
		if why == whyReset && s.up() && !d.same {
			d.repeated(true)
			d.listeners, d.same = d.listeners[:0], true
			return sameAgain, nil
		}
	}
	if (reached || refusing) && x.assigned && s.up() || reached && !x.othersLeft() {
		return stay, nil
	}
	if !x.retriesLeft() {
		return stay, nil
	}
	d.repeated(reached)
	d.listeners, d.same, d.refusals = d.listeners[:0], false, 0
	x.tried = append(x.tried, s)
	x.failed(x.in)
	x.retries++
	if !reached {
		x.b.metrics.retries.WithLabelValues(x.mod.cluster.name).Inc()
	}
	return elsewhere, x.toAnother()
}

func (d *delivery) repeated(reached bool) {
	if reached {
		d.again++
	}
}

// listener picks the listener of the chosen instance for the next attempt, nil when none is left.
func (x *exchange) listener() *endpoint {
	if len(x.deliver.listeners) == 0 {
		return x.in.state.endpoint(x.scheme())
	}
	return x.otherListener()
}

// otherListener gives an available listener of the chosen instance that has not been tried; one of the client's scheme before all others.
func (x *exchange) otherListener() *endpoint {
	var other *endpoint
	scheme := x.scheme()
	for _, e := range *x.in.state.endpoints.Load() {
		if !e.up() || slices.Contains(x.deliver.listeners, e) {
			continue
		}
		if e.scheme == scheme {
			return e
		}
		if other == nil {
			other = e
		}
	}
	return other
}

// mayMove reports whether the request may go to another instance if this one does not take it.
func (x *exchange) mayMove() bool { return x.retriesLeft() && x.othersLeft() }

// retriesLeft reports whether the module's rules allow another instance.
func (x *exchange) retriesLeft() bool {
	others := x.rules().others
	return others < 0 || x.retries < others
}

// othersLeft reports whether an instance of the cluster is available that has not been tried.
func (x *exchange) othersLeft() bool {
	for _, in := range x.mod.cluster.instances {
		if in.state != x.in.state && in.phase == fsm.PhaseServing && in.state.up() && !x.hasTried(in) {
			return true
		}
	}
	return false
}
