package lb

import (
	"strings"

	"github.com/holdfast-lb/holdfast/fsm"
)

// asked is what decisions read of a request, whichever engine has it.
type asked interface {
	// lines gives the values of the lines of a field, in the order of their arrival; name is in the canonical form. They may be put into buffer, and are good for
	// as long as the request is.
	lines(name string, buffer []string) []string
	// parameters is the escaped path of a request that has path parameters, "" of any other.
	parameters() string
	// source is what source affinity makes of the client's address.
	source() string
}

// inquiry is a request as far as the question goes whose it is: what both engines find out about it, in the same way. Nothing of it waits.
type inquiry struct {
	b    *Balancer
	keys *keyring
	rt   *routing
	from asked

	mod      *module
	in       *instance
	assigned bool
	s        session
	unknown  bool        // the request has a session id that this node does not know
	rejected bool        // a sealed cookie did not open
	server   string      // that the client of a stream asks for by TLS, "" for none
	later    bool        // a sealed cookie is of a later epoch than this node knows
	asked    bool        // this node has tried to catch up with the group, and
	caughtUp bool        // it has
	ids      []presented // scratch of learn affinity
	buffer   [4]string   // for lines
}

// field gives the values of a field's lines.
func (q *inquiry) field(name string) []string { return q.from.lines(name, q.buffer[:0]) }

// find looks for a recorded session in all modules of the site, as far as this node knows.
func (q *inquiry) find(s *site) bool {
	for _, m := range s.modules {
		if !m.stopped() && m.affinity.find(q, m) {
			q.mod = m
			return true
		}
	}
	return false
}

// lookup completes s by what the group has recorded for its key, or what this node owes to it. It reports whether there is such.
func (q *inquiry) lookup(s *session) bool {
	a, ok := q.b.view.Lookup(s.key)
	if ok {
		s.instance, s.decided, s.seen, s.inTable, s.recorded = a.Instance, a.Index, a.Seen, true, true
	}
	if owed, found := q.b.pending.get(s.key); found && owed.Kind != fsm.OpTouch && owed.Kind != fsm.OpDrop && (!ok || isMove(owed.Kind) && owed.Expect == a.Instance && !q.b.recorder.Quorum()) {
		s.instance, s.decided, s.recorded, ok = owed.Instance, 0, true, true
	}
	return ok
}

// fieldLines are the values of a field as the client has sent it.
type fieldLines struct {
	name   string
	values []string
}

// lines implements asked for a request that net/http has. What has been read is remembered: outbound takes fields out of the header that an instance must not get, or writes them
// anew, and the request may be decided about once more after that. It touches no cookies.
func (x *exchange) lines(name string, _ []string) []string {
	if name == "Cookie" {
		return x.r.Header[name]
	}
	for i := range x.read {
		if x.read[i].name == name {
			return x.read[i].values
		}
	}
	values := x.r.Header[name]
	x.read = append(x.read, fieldLines{name, values})
	return values
}

// remember reads what the module's affinity goes by, if a loop has decided about the request.
func (x *exchange) remember() {
	if a, ok := x.mod.affinity.(*headerAffinity); ok {
		x.lines(a.name, nil)
	}
}

// source implements asked.
func (x *exchange) source() string { return sourceID(x.client.name) }

// parameters implements asked.
func (x *exchange) parameters() string {
	if strings.IndexByte(x.r.URL.Path, ';') < 0 {
		return ""
	}
	return x.r.URL.EscapedPath()
}
