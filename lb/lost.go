package lb

import (
	"fmt"
	"net/http"
)

// lostHeader tells the instance and the client that what the application kept in the session is gone. Only Holdfast sends it.
const lostHeader = "X-Holdfast-Session"

var (
	lostValue = []string{"lost"}
	// errSessionLost is the answer of onSessionLost: refuse.
	errSessionLost = fmt.Errorf("%w: the session's instance is gone, and the module keeps its sessions nowhere else", errUnavailable)
	// errNoVersion is the answer of failoverSameVersion when only instances of other versions are left.
	errNoVersion = fmt.Errorf("%w: none that is left has the version of the session's instance", errUnavailable)
)

// maySurvive is asked before a session leaves its instance. The sessions of a module that is not replicated end with that: its requests are refused, or
// begin a new session.
func (x *exchange) maySurvive() error {
	if x.mod.replicated || x.s.fresh || !x.s.keyed || x.s.instance == 0 {
		return nil
	}
	if x.mod.refuseLost {
		x.b.metrics.failoversRefused.WithLabelValues(x.mod.cluster.name, "session").Inc()
		return errSessionLost
	}
	x.assigned = false
	x.lose(x.mod)
	return nil
}

// lose notes that the request's session, which was one of module m, is lost.
func (x *exchange) lose(m *module) {
	if !x.lost {
		x.lost = true
		x.b.metrics.sessionsLost.WithLabelValues(m.cluster.name).Inc()
	}
}

// tellInstance puts the header into that of the request that goes out. A client's own has been removed.
func (x *exchange) tellInstance(h http.Header) {
	if x.lost {
		h[lostHeader] = lostValue
	}
}

// tellClient does so with the response; an instance's own is removed.
func (x *exchange) tellClient(h http.Header) {
	delete(h, lostHeader)
	if x.lost {
		h[lostHeader] = lostValue
	}
}

// endedWith gives the module that the request's session ended with: it is stopped in its cluster, and the group has the session. nil for none.
func (x *exchange) endedWith(s *site) *module {
	for _, m := range s.modules {
		if m.stopped() && m.affinity.find(&x.inquiry, m) && x.s.recorded {
			return m
		}
	}
	return nil
}
