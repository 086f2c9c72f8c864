package lb

import (
	"crypto/rand"
	"net/http"

	"github.com/holdfast-lb/holdfast/fsm"
)

// insertAffinity recognises sessions by a sealed cookie of Holdfast's own.
type insertAffinity struct {
	name string
}

// find takes the first cookie that is authentic for the module: the modules / and /app may both send one of that name.
// The table beats the cookie, unless the cookie is newer than this node's state.
func (a *insertAffinity) find(x *exchange, m *module) bool {
	c, ok := x.openCookie(a.name, m)
	if !ok {
		return false
	}
	x.s = session{key: c.Key, keyed: true, instance: c.Instance}
	group := x.keys.group
	// Applied is read before the table: what the cookie's index stands for is then in the table for sure.
	if c.Epoch > group.Epoch || c.Epoch == group.Epoch && c.Index > x.b.view.Applied() {
		x.s.recorded, x.s.ahead = true, true
		return true
	}
	if x.lookup(&x.s) {
		return true
	}
	x.s.reason = fsm.ReasonCookie
	if c.Provisional {
		x.s.reason = fsm.ReasonProvisional
	}
	// A record that has been here and is here no more: its session is over. While its instance or module quiesces that makes a difference.
	if !c.Provisional && c.Epoch == group.Epoch && quiesces(m, m.cluster.byID[c.Instance]) {
		x.s, x.unknown = session{}, true
		return false
	}
	return true
}

// quiesces reports whether a client's word alone does not make its request an assigned one: stale bookmarks must not prolong a quiesce.
func quiesces(m *module, in *instance) bool {
	return m.phase != fsm.PhaseServing || in != nil && in.phase != fsm.PhaseServing
}

// guess has nothing to add: a cookie that opens is sure.
func (a *insertAffinity) guess(*exchange, *module) bool { return false }

// openCookie gives the first cookie of that name that is authentic for the module.
func (x *exchange) openCookie(name string, m *module) (Cookie, bool) {
	scan := scanCookies(x.r.Header, name)
	for {
		value, ok := scan.next()
		if !ok {
			return Cookie{}, false
		}
		if c, err := x.keys.open(value, m.scope); err == nil {
			return c, true
		}
		x.rejected = true
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
	c := Cookie{Epoch: x.keys.group.Epoch, Instance: x.in.id, Key: x.s.key}
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
	response.Add("Set-Cookie", x.cookieLine(a.name, c))
	return nil
}

// cookieLine is the Set-Cookie value of a sealed cookie of the exchange's module. A cookie of another path is not touched: it
// belongs to another module.
func (x *exchange) cookieLine(name string, c Cookie) string {
	line := name + "=" + x.keys.seal(c, x.mod.scope) + "; Path=" + x.mod.root + "; HttpOnly; SameSite=Lax"
	if x.r.TLS != nil {
		line += "; Secure"
	}
	return line
}
