package lb

import (
	"net/http"
	"sync"
	"time"
	"unsafe"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/internal/mutant"
	"github.com/holdfast-lb/holdfast/lb/h1"
)

// The loops take requests about which nothing has to be waited for: assigned ones whose instance takes them, and those of modules without affinity. Whatever
// needs the group, another instance, a free connection or more of HTTP than the loops know goes away to net/http, and is decided there from the beginning.

// direct is one request of the loops. It belongs to the loop from Direct to Done.
type direct struct {
	inquiry
	t    *h1.Trip
	who  *caller
	edge *edge
	now  time.Time // of the head

	to                       *endpoint
	origin                   *h1.Origin
	opening                  bool      // it is in in.state.opening as well
	due                      bool      // the record of its session is old enough for a touch
	commits                  []*commit // what the response waits for
	begun                    [1]*commit
	settling, answered, told bool   // the records have begun; the answer has been noted; the client hears of the session
	path                     string // routing path
	away                     bool   // the other engine goes on
	problem                  string
	trace                    traceContext
	entry                    logEntry
}

var directs = sync.Pool{New: func() any { return new(direct) }}

// Direct implements h1.Director.
func (d *director) Direct(t *h1.Trip) h1.Verdict {
	who, ok := t.Conn.Tag.(*caller)
	if ok {
		who.after = nil // of no request but this one
	}
	if !ok || !d.b.tasks.enter() {
		return h1.Away
	}
	r := directs.Get().(*direct)
	r.t, r.who, r.b, r.from, r.now = t, who, d.b, r, time.Now()
	if !r.begin() {
		if r.in != nil && !r.assigned { // it was somebody's turn, which counts
			r.goAway(&afterwards{})
		}
		d.b.tasks.leave()
		r.release()
		return h1.Away
	}
	t.Note, t.To = r, r.origin
	t.Conn.Use(r.edge.loops)
	t.Timeout = r.mod.cluster.responseTimeout
	t.Repeatable = t.Whole && r.repeatable()
	r.editRequest()
	return h1.Forward
}

// release gives it back: nothing of the request must stay in memory that is used again.
func (r *direct) release() {
	clear(r.ids[:cap(r.ids)])
	*r = direct{inquiry: inquiry{ids: r.ids[:0]}}
	directs.Put(r)
}

// begin decides about the request and counts it in; false when it is not one for the loops.
func (r *direct) begin() bool {
	if r.edge = r.who.front.edge.Load(); !r.edge.plain || mutant.On(mutant.ForwardedTwice) {
		return false
	}
	head, buf := r.t.Head, r.t.Buf
	path, ok := plainPath(text(head.Target.Of(buf)))
	if !ok || head.Host.Len == 0 {
		return false
	}
	if _, file := r.edge.files.below(path); file {
		return false
	}
	keys, err := r.b.keys()
	if err != nil || r.b.opts.OutOfService() != nil {
		return false
	}
	if r.beginTrace() {
		return false
	}
	r.keys, r.rt, r.path = keys, r.b.routing.Load(), path
	site := r.rt.match(text(head.Host.Of(buf)), path)
	if site == nil || site.bounds != nil || r.leavesForCompression(site) || r.keepsBody(site) || !r.choose(site) {
		return false
	}
	if r.to = r.in.state.endpoint(r.who.scheme()); r.to == nil {
		return false
	}
	if r.origin = r.to.forLoops(); r.origin == nil {
		return false
	}
	if !r.enter() {
		return false
	}
	if r.due {
		r.mark() // the response does not wait for it
	}
	r.open()
	return true
}

// keepsBody reports whether the body is kept for another attempt while it goes out, which the loops cannot. Those that have all of it can send it again.
func (r *direct) keepsBody(s *site) bool {
	if r.t.Whole {
		return false
	}
	method, keyed := text(r.t.Head.Method.Of(r.t.Buf)), r.keyed()
	for _, m := range s.modules {
		if rules := m.rules(method, keyed, r.path); rules.idempotent {
			return true
		}
	}
	return false
}

// choose finds the module and the instance.
func (r *direct) choose(s *site) bool {
	if !r.find(s) {
		return r.chooseAny(s)
	}
	r.assigned = true
	in := r.mod.cluster.byID[r.s.instance]
	if !r.s.recorded || r.s.mend != 0 || r.s.reissue || !in.takesAssigned() {
		return false
	}
	if in.backup && r.mod.cluster.failBack { // others may be available again
		return false
	}
	due, must := r.touchDue(r.now)
	if must {
		return false
	}
	r.in, r.due = in, due
	return true
}

// chooseAny does so for a request without a session.
func (r *direct) chooseAny(s *site) bool {
	if len(s.modules) != 1 || r.unknown || r.rejected || r.b.outcast.Load() {
		return false
	}
	m := s.modules[0]
	if _, none := m.affinity.(noAffinity); !none && !r.startsSession(m) || m.phase != fsm.PhaseServing || !m.cluster.state.available() {
		return false
	}
	r.mod = m
	r.in = m.cluster.state.pick(nil)
	return r.in != nil
}

// enter counts the request for its instance and its module, and looks then whether what was decided still stands (see exchange.admit).
func (r *direct) enter() bool {
	if !r.in.state.try() {
		return false
	}
	r.mod.state.inFlight.Add(1)
	if r.opening = !r.assigned; r.opening {
		r.in.state.opening.Add(1)
	}
	counted, module := r.in.state, r.mod.state
	if r.b.routing.Load() == r.rt || r.stillStands() && r.mod.state == module {
		return true
	}
	r.leave(counted, module)
	return false
}

// leave takes the counts back.
func (r *direct) leave(in *instanceState, m *moduleState) {
	m.inFlight.Add(-1)
	if r.opening {
		in.opening.Add(-1)
	}
	in.release()
}

// safe reports whether the method is one that net/http's transport and exchange.rules take for safe.
func (r *direct) safe() bool {
	switch string(r.t.Head.Method.Of(r.t.Buf)) {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// repeatable reports whether the other engine may send the request again although an instance has answered it.
func (r *direct) repeatable() bool {
	if !r.safe() {
		return false
	}
	rules := r.rules()
	return !rules.never()
}

// text is bytes of a buffer as a string that holds for as long as they do.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
