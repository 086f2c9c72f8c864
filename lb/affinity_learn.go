package lb

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// provisionalCookie is, by default, the cookie that stands in for a record of learn affinity while there is no quorum.
const provisionalCookie = "HOLDFAST"

// learnAffinity recognises sessions by the applications' own ids: cookies of the configured names, then path parameters.
type learnAffinity struct {
	cookie string // of provisional assignments
	names  []string
	params []string // names, and lower-case forms of them
	// routes are cookies that hold nothing but an instance's route; routeParams are the path parameters of that kind.
	routes, routeParams []string
}

func newLearnAffinity(cookie string, names, routes []string) *learnAffinity {
	if cookie == "" {
		cookie = provisionalCookie
	}
	if len(names) == 0 {
		names = []string{"JSESSIONID"}
	}
	return &learnAffinity{cookie: cookie, names: names, params: paramNames(names), routes: routes, routeParams: paramNames(routes)}
}

// paramNames gives the path parameters for cookies. Tomcat writes a configured name as it is and only the default one in lower case.
func paramNames(names []string) (params []string) {
	for _, n := range names {
		params = append(params, n)
		if lower := strings.ToLower(n); lower != n {
			params = append(params, lower)
		}
	}
	return params
}

// presented is one session id of a request: its key, without the suffix that is one today, and the instances which that names.
type presented struct {
	id    string
	key   fsm.Key
	named []*instance
}

// find takes the first id that the group knows; unknown ones are noted in q.unknown.
func (a *learnAffinity) find(q *inquiry, m *module) bool {
	ids := a.presented(q, m)
	q.unknown = q.unknown || len(ids) > 0
	return q.lookupAny(ids) || q.lookupOther(ids, m)
}

// guess believes a provisional cookie for one of the ids, then a suffix that names an available instance, then a route that stands by itself.
// What only the client says is not believed while the instance or the module quiesces.
func (a *learnAffinity) guess(q *inquiry, m *module) bool {
	ids := a.presented(q, m)
	if len(ids) == 0 {
		return false
	}
	if c, ok := q.openCookie(a.cookie, m); ok {
		for _, id := range ids {
			if id.key == c.Key {
				q.s = session{key: c.Key, keyed: true, instance: c.Instance, reason: fsm.ReasonProvisional}
				if q.foreign(q.b.view.Group(), &c, m) {
					q.s.instance = lostInstance
				}
				return true
			}
		}
	}
	for _, id := range ids {
		for _, in := range id.named {
			if in.availableNow() && !quiesces(m, in) {
				q.s = session{key: id.key, keyed: true, instance: in.id, reason: fsm.ReasonRoute}
				return true
			}
		}
	}
	if in := a.route(q, m); in != nil {
		q.s = session{key: ids[0].key, keyed: true, instance: in.id, reason: fsm.ReasonRoute}
		return true
	}
	return false
}

// route gives the instance that a cookie or path parameter which holds only a route names, if it may get unassigned requests; nil for none.
func (a *learnAffinity) route(q *inquiry, m *module) *instance {
	try := func(value string) *instance {
		in := m.cluster.byRoute[strings.TrimLeft(value, ".:+")]
		if in == nil || !in.availableNow() || quiesces(m, in) {
			return nil
		}
		return in
	}
	for _, name := range a.routes {
		scan := scanCookies(q.field("Cookie"), name)
		for value, ok := scan.next(); ok; value, ok = scan.next() {
			if in := try(value); in != nil {
				return in
			}
		}
	}
	if len(a.routeParams) == 0 {
		return nil
	}
	escaped := q.from.parameters()
	for _, name := range a.routeParams {
		tries := maxCandidates
		for value, rest, ok := pathParam(escaped, name); ok && tries > 0; value, rest, ok = pathParam(rest, name) {
			if in := try(value); in != nil {
				return in
			}
			tries--
		}
	}
	return nil
}

// hint gives the instance that a new session should begin on, nil for whoever the policy says.
func (a *learnAffinity) hint(q *inquiry, m *module) *instance {
	if in := a.route(q, m); in != nil && m.cluster.state.hasRoom(in) {
		return in
	}
	return nil
}

// lookupAny takes the first of the ids that the group knows.
func (q *inquiry) lookupAny(ids []presented) bool {
	for _, id := range ids {
		s := session{key: id.key, keyed: true}
		if q.lookup(&s) {
			q.s = s
			return true
		}
	}
	return false
}

// lookupOther takes the first id that the group knows under another split than today's: what counts as a suffix changes when instances come, go or
// get another route, and no session may lose its key by that.
func (q *inquiry) lookupOther(ids []presented, m *module) bool {
	for _, id := range ids {
		tried := 0
		for i := len(id.id); i > 0 && tried <= maxSuffixes; i-- {
			if i < len(id.id) && !isSeparator(id.id[i]) {
				continue
			}
			tried++
			s := session{key: q.keys.sessionKey(m.scope, id.id[:i]), keyed: true}
			if s.key != id.key && q.lookup(&s) {
				q.s = s
				return true
			}
		}
	}
	return false
}

// presented gives the session ids of the request, cookies before path parameters, at most maxCandidates.
func (a *learnAffinity) presented(q *inquiry, m *module) []presented {
	ids := q.ids[:0]
	for _, name := range a.names {
		scan := scanCookies(q.field("Cookie"), name)
		for value, ok := scan.next(); ok && len(ids) < maxCandidates; value, ok = scan.next() {
			ids = append(ids, q.present(m, value))
		}
	}
	if escaped := q.from.parameters(); escaped != "" {
		for _, name := range a.params {
			value, rest, ok := pathParam(escaped, name)
			for ; ok && len(ids) < maxCandidates; value, rest, ok = pathParam(rest, name) {
				ids = append(ids, q.present(m, value))
			}
		}
	}
	q.ids = ids
	return ids
}

func (q *inquiry) present(m *module, id string) presented {
	bare, named := m.cluster.splitID(q.b.view, id)
	return presented{id: id, key: q.keys.sessionKey(m.scope, bare), named: named}
}

// open does nothing: which id the session has is known when the response's head is.
func (a *learnAffinity) open(*exchange) error { return nil }

// settle records every session id that the response sets, or else the unknown one that the request presented, unless it could not be found out
// whether the group knows that one.
func (a *learnAffinity) settle(x *exchange, response http.Header) error {
	keys := a.issued(x, response["Set-Cookie"])
	if len(keys) == 0 && !x.s.recorded {
		switch {
		case x.stray:
			// The group may have it, for another instance or even in another cluster: recorded here it would override that.
		case x.s.keyed:
			keys = append(keys, x.s.key)
		case x.unknown:
			if ids := a.presented(&x.inquiry, x.mod); len(ids) > 0 {
				keys = append(keys, ids[0].key)
			}
		}
	}
	return a.recordAll(x, keys, response)
}

// recordAll records new sessions on the instance that answered, and returns when the response may leave.
func (a *learnAffinity) recordAll(x *exchange, keys []fsm.Key, response http.Header) error {
	reason := x.s.reason
	if reason == fsm.ReasonUnknown {
		reason = fsm.ReasonLearned
	}
	var commits [4]*commit
	begun := commits[:0]
	for _, key := range keys {
		s := session{key: key}
		if x.lookup(&s) && s.instance == x.in.id {
			continue // known: the application repeats its cookie
		}
		begun = append(begun, x.b.begin(fsm.SessionOp{Kind: fsm.OpAssign, Key: key, Instance: x.in.id, Reason: reason, Module: x.mod.id}, x.mod.cluster))
	}
	provisional, full := false, false
	for _, c := range begun {
		out, err := c.wait(x.r.Context())
		if err != nil {
			return err
		}
		full = full || out.code == fsm.CodeFull
		if out.provisional && !provisional {
			provisional = true
			sealed := Cookie{Instance: x.in.id, Key: c.op.Key, Provisional: true}
			response.Add("Set-Cookie", x.cookieLine(a.cookie, sealed, x.scheme() == "https"))
		}
	}
	if full {
		return x.instanceFull()
	}
	return nil
}

// issued gives the keys of the session ids that Set-Cookie lines set.
func (a *learnAffinity) issued(x *exchange, lines []string) []fsm.Key {
	var keys []fsm.Key
	for _, line := range lines {
		name, value, ok := setCookie(line, time.Now())
		if !ok || !slices.Contains(a.names, name) || len(keys) == maxCandidates {
			continue
		}
		bare, _ := x.mod.cluster.splitID(x.b.view, value)
		if key := x.keys.sessionKey(x.mod.scope, bare); !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}
