package lb

import (
	"net/http"
	"net/netip"
	"net/textproto"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// headerAffinity takes the value of a request header for the session's id. A request without it is unassigned and leaves no record.
type headerAffinity struct{ name string }

// headerName is the header that the configuration names.
func headerName(a *config.Affinity) string {
	name := a.Name
	if name == "" && len(a.Names) > 0 {
		name = a.Names[0]
	}
	return textproto.CanonicalMIMEHeaderKey(name)
}

func (a *headerAffinity) id(q *inquiry) string {
	for _, v := range q.field(a.name) {
		if v = textproto.TrimString(v); v != "" && len(v) <= maxSessionIDLen {
			return v
		}
	}
	return ""
}

func (a *headerAffinity) find(q *inquiry, m *module) bool         { return q.findKeyed(m, a.id(q)) }
func (a *headerAffinity) guess(*inquiry, *module) bool            { return false }
func (a *headerAffinity) open(x *exchange) error                  { return x.openKeyed(a.id(&x.inquiry)) }
func (a *headerAffinity) settle(x *exchange, _ http.Header) error { return x.settleKeyed() }

// sourceAffinity takes the client's address for the session's id.
type sourceAffinity struct{}

// sourceID is what an address counts as: IPv6 hosts have a /64 and change addresses within it.
func sourceID(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	prefix, _ := addr.Prefix(64) // 64 bits fit an IPv6 address
	return prefix.String()
}

func (sourceAffinity) find(q *inquiry, m *module) bool {
	return q.findKeyed(m, q.from.source())
}
func (sourceAffinity) guess(*inquiry, *module) bool            { return false }
func (sourceAffinity) open(x *exchange) error                  { return x.openKeyed(x.from.source()) }
func (sourceAffinity) settle(x *exchange, _ http.Header) error { return x.settleKeyed() }

// findKeyed looks up a session whose id is part of every request. One that this node does not know is recorded as new: should the group have it already,
// the outcome of the record says where.
func (q *inquiry) findKeyed(m *module, id string) bool {
	if id == "" {
		return false
	}
	s := session{key: q.keys.sessionKey(m.scope, id), keyed: true}
	if !q.lookup(&s) {
		return false
	}
	q.s = s
	return true
}

// openKeyed begins to record the session. A request that may be sent again goes out meanwhile; any other one waits and goes where the record says, for
// another node may have been faster. Requests of one session often come at once, so that those that find the record under way on this node wait for it as well.
func (x *exchange) openKeyed(id string) error {
	if id == "" {
		return nil
	}
	x.s.key, x.s.keyed = x.keys.sessionKey(x.mod.scope, id), true
	if x.s.recorded {
		return nil
	}
	x.leaveOpening() // an earlier record of this request says nothing any more
	for range maxMoves {
		co, first := x.b.openings.join(x.s.key, x.beginRecord)
		if x.commit = co; first {
			x.opens = co
			if x.mayRepeat() {
				return co.refusal()
			}
		}
		out, err := x.opened()
		if err != nil {
			return err
		}
		if out.code != fsm.CodeFull {
			return x.toWinner()
		}
		x.b.openings.leave(co)
		if err := x.elsewhere(); err != nil {
			return err
		}
	}
	return errFull
}

// settleKeyed waits for the record. When the group has the session on another instance, because another node was faster, the request goes there if it may
// be sent again.
func (x *exchange) settleKeyed() error {
	if x.commit == nil {
		return nil
	}
	out, err := x.opened()
	if err != nil {
		return err
	}
	if out.code == fsm.CodeFull {
		x.b.openings.leave(x.commit)
		return x.instanceFull()
	}
	if out.instance == 0 || out.instance == x.in.id || !x.mayRepeat() {
		return nil
	}
	if err := x.toWinner(); err != nil {
		return err
	}
	return errSendAgain
}
