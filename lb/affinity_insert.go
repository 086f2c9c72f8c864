package lb

import (
	"crypto/rand"
	"net/http"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/internal/mutant"
)

// insertAffinity recognises sessions by a sealed cookie of Holdfast's own.
type insertAffinity struct {
	name string
}

// find takes the first cookie that is authentic for the module: the modules / and /app may both send one of that name.
// The table beats the cookie, unless the cookie is newer than this node's state, or than what the group began again with after a disaster. A cookie of a later epoch than this node
// knows is of one of two kinds: of a group that was given up, or newer than this node. Which one it is shows when the node has caught up.
func (a *insertAffinity) find(q *inquiry, m *module) bool {
	c, ok := q.openCookie(a.name, m)
	if !ok {
		return false
	}
	group := q.b.view.Group() // it is read after the routing, so that it has the epochs of all instances there
	later := c.Epoch > group.Epoch && c.Index > q.b.view.Applied()
	if later && !q.asked {
		q.unknown, q.later = true, true
		return false
	}
	q.s = session{key: c.Key, keyed: true, instance: c.Instance}
	if mutant.On(mutant.CookieOldEpoch) && c.Epoch < group.Epoch {
		q.s.recorded = true
		return true
	}
	unknown := q.foreign(group, &c, m)
	// Applied is read before the table: what the cookie's index stands for is then in the table for sure.
	if !unknown && (later && !q.caughtUp || c.Epoch == group.Epoch && c.Line == group.Line() && c.Index > q.b.view.Applied()) {
		q.s.recorded, q.s.ahead = true, true
		return true
	}
	next, missed := group.Missed(c.Epoch, c.Line, c.Index)
	if unknown {
		q.s.instance = lostInstance
	}
	if q.lookup(&q.s) {
		switch {
		case missed && !unknown && q.s.decided <= next.Index && q.s.instance != c.Instance:
			q.s.mend = c.Instance
		case q.s.decided != 0 && (q.s.instance != c.Instance || q.s.decided > c.Index && !c.Provisional):
			q.s.reissue, q.s.index = true, q.s.decided // others have decided about the session: the client is to know, should the group ever have to ask it
		}
		return true
	}
	q.s.reason = fsm.ReasonCookie
	if c.Provisional {
		q.s.reason = fsm.ReasonProvisional
	}
	// A record that has been here and is here no more: its session is over. While its instance or module quiesces that makes a difference.
	been := next.Epoch == 0 && c.Epoch == group.Epoch || next.Epoch != 0 && !missed
	if !c.Provisional && been && quiesces(m, m.cluster.byID[c.Instance]) {
		q.s, q.unknown = session{}, true
		return false
	}
	return true
}

// quiesces reports whether a client's word alone does not make its request an assigned one: stale bookmarks must not prolong a quiesce.
func quiesces(m *module, in *instance) bool {
	return m.phase != fsm.PhaseServing || in != nil && in.phase != fsm.PhaseServing
}

// guess has nothing to add: a cookie that opens is sure.
func (a *insertAffinity) guess(*inquiry, *module) bool { return false }

// openCookie gives the first cookie of that name that is authentic for the module.
func (q *inquiry) openCookie(name string, m *module) (Cookie, bool) {
	scan := scanCookies(q.field("Cookie"), name)
	for {
		value, ok := scan.next()
		if !ok {
			return Cookie{}, false
		}
		if c, err := q.keys.open(value, m.scope); err == nil {
			return c, true
		}
		q.rejected = true
	}
}

// open starts to record the session; the request is sent at the same time.
func (a *insertAffinity) open(x *exchange) error {
	if !x.s.keyed {
		rand.Read(x.s.key[:]) // never fails, by its contract
		x.s.keyed, x.s.ours = true, true
	}
	return x.openRecord()
}

// settle waits for the record and gives the client the cookie that names it.
func (a *insertAffinity) settle(x *exchange, response http.Header) error {
	c := Cookie{Instance: x.in.id, Key: x.s.key}
	switch {
	case x.commit != nil:
		out, err := x.opened()
		if err != nil {
			return err
		}
		if out.code == fsm.CodeFull {
			return x.instanceFull()
		}
		c.Provisional, c.Index = out.provisional, out.index
		if out.instance != 0 {
			c.Instance = out.instance
		}
	case x.s.reissue:
		c.Index, c.Provisional = x.s.index, x.s.provisional
	default:
		return nil
	}
	response.Add("Set-Cookie", x.cookieLine(a.name, c, x.scheme() == "https"))
	return nil
}

// cookieLine is the Set-Cookie value of a sealed cookie of the request's module, made in the group's present epoch. A cookie of another path is not touched: it
// belongs to another module.
func (q *inquiry) cookieLine(name string, c Cookie, secure bool) string {
	group := q.b.view.Group()
	c.Epoch, c.Line, c.Born = group.Epoch, group.Line(), group.Born(c.Instance)
	line := name + "=" + q.keys.seal(c, q.mod.scope) + "; Path=" + q.mod.root + "; HttpOnly; SameSite=Lax"
	if secure {
		line += "; Secure"
	}
	return line
}
