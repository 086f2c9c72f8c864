package lb

import (
	"net/http"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// affinity is how the requests of one session of a module are recognised and how a new one is made recognisable.
// The values are immutable and shared by all requests.
type affinity interface {
	// find looks in the request for a session of module m that is known for sure, and puts it into q.s.
	find(q *inquiry, m *module) bool
	// guess does so for one of which only the client says so. It is called when find found none in any module of the site, here
	// or, if q.unknown is set, anywhere in the group.
	guess(q *inquiry, m *module) bool
	// open is called when x.in takes a request whose session is not recorded, before the request is sent.
	open(x *exchange) error
	// settle is called with the response's header before any of the response leaves. It returns when the response may leave.
	settle(x *exchange, response http.Header) error
}

// newAffinity makes the cluster's way of recognising sessions.
func newAffinity(a *config.Affinity) affinity {
	switch a.Type {
	case "", "insert":
		name := a.Name
		if name == "" {
			name = provisionalCookie
		}
		return &insertAffinity{name: name}
	case "learn":
		return newLearnAffinity(a.Name, a.Names, a.Routes)
	case "header":
		return &headerAffinity{name: headerName(a)}
	case "source":
		return sourceAffinity{}
	case "sni":
		return sniAffinity{}
	}
	return noAffinity{}
}

// session is what is known of the session of a request.
type session struct {
	key      fsm.Key
	keyed    bool // key is set
	instance fsm.InstanceID
	// recorded means that the group has the assignment (or this node owes it to the group, see pending); otherwise only the
	// client says so.
	recorded bool
	// inTable means that it was found in the replicated table; seen is from there.
	inTable bool
	seen    uint32
	// decided is the log index of the decision by which it is on instance (fsm.Assignment.Index), 0 when it is not known.
	decided uint64
	// ahead means that the client's cookie is newer than this node's state.
	ahead bool
	// reissue means that the client needs a cookie that names instance, recorded at index or provisional.
	reissue     bool
	provisional bool
	index       uint64
	// reason is why a new record names the instance, 0 for the policy's choice.
	reason fsm.Reason
	// fresh: no instance has seen a request of the session yet.
	fresh bool
	// mend is where the client's cookie says that the session is, when that is newer than its record; 0: nowhere else. See mend.
	mend fsm.InstanceID
	// ours: the key was made for this request, so that nobody else can have heard of the session.
	ours bool
}
