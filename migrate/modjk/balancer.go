package modjk

import (
	"strings"

	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/migrate/build"
	"github.com/holdfast-lb/holdfast/migrate/report"
)

// balancer reads a worker of type lb.
func (in *importer) balancer(w *worker, c *config.Cluster, key string) {
	all := in.f.resolve(w)
	names, from := words(append(append([]*line{}, all["balance_workers"]...), all["balanced_workers"]...))
	if len(names) == 0 {
		w.first.mark.Fail("worker %s is of type lb but has no balance_workers", w.name)
	}
	var members []*worker
	var places []*line
	seen := map[string]bool{}
	for i, name := range names {
		m := in.f.workers[name]
		from[i].mark.Map("%s.instances", key)
		switch {
		case m == nil:
			from[i].mark.Fail("there is no worker %q", report.Clip(name))
			continue
		case seen[name]:
			from[i].mark.Fail("worker %q is named twice", name)
			continue
		}
		seen[name], m.used = true, true
		kind, ok := in.f.kindOf(m)
		if ok && (kind == "lb" || kind == "status") {
			from[i].mark.Fail("worker %q is of type %s; only workers of type ajp13 or ajp14 can be balanced", name, kind)
			continue
		}
		members, places = append(members, m), append(places, from[i])
	}
	in.sticky(w, c, key)
	in.method(w, c, key)
	in.recovery(w, c, key)
	in.members(c, key, members, places)
}

func (in *importer) sticky(w *worker, c *config.Cluster, key string) {
	cookie := "JSESSIONID"
	if l := in.f.one(w, "session_cookie"); l != nil {
		cookie = l.text
		l.mark.Map("%s.affinity.names", key)
	}
	c.Affinity.Names = []string{cookie}
	if l := in.f.one(w, "session_path"); l != nil {
		if l.text == ";"+strings.ToLower(cookie) {
			l.mark.Map("%s.affinity.names", key)
		} else {
			l.mark.Approximate(key+".affinity.names", "the path parameter is the name of the cookie in lower case: ;%s", report.Clip(strings.ToLower(cookie)))
		}
	}
	if l := in.f.one(w, "sticky_session"); l != nil {
		if v, ok := boolean(l); ok && !v {
			c.Affinity.Type, c.Affinity.Name, c.Affinity.Names, c.Affinity.Routes = "none", "", nil, nil
		}
		l.mark.Map("%s.affinity.type", key)
	}
	if l := in.f.one(w, "set_session_cookie"); l != nil {
		if v, ok := boolean(l); ok && v {
			l.mark.Approximate("", "the application's own cookie is used; for applications without one set affinity.type to insert")
		} else if ok {
			l.mark.Ignore("no cookie of the balancer's own")
		}
	}
}

// method: Traffic and Busyness look at what is going on now, as least-requests does; Session and Next count sessions.
func (in *importer) method(w *worker, c *config.Cluster, key string) {
	l := in.f.one(w, "method")
	if l == nil {
		return
	}
	l.mark.Map("%s.policy", key)
	switch first(l.text) {
	case 'r':
		c.Policy = "weighted-round-robin"
	case 's':
		c.Policy = "least-sessions" // by the number that there are, which mod_jk only guesses
	case 'n':
		c.Policy = "least-sessions"
		l.mark.Approximate(key+".policy", "least-sessions, by the number of sessions that there are")
	case 't':
		c.Policy = "least-requests"
		l.mark.Approximate(key+".policy", "least-requests; bytes are not counted")
	case 'b':
		c.Policy = "least-requests"
	default:
		l.mark.Fail("%q is no method; write Request, Session, Next, Traffic or Busyness", report.Clip(l.text))
	}
}

func (in *importer) recovery(w *worker, c *config.Cluster, key string) {
	if l := in.f.one(w, "recover_time"); l != nil {
		if v, ok := build.Int(l.text, &l.mark, 1, 3600); ok {
			c.Health.RetryInterval = build.Seconds(v)
			l.mark.Approximate(key+".health.retryInterval", "a connection is tried instead of a client's request")
		}
	}
	if l := in.f.one(w, "max_reply_timeouts"); l != nil {
		if v, ok := build.Int(l.text, &l.mark, 0, 99); ok {
			c.Health.PassiveFails = v + 1
			l.mark.Approximate(key+".health.passiveFails", "so many in a row, and one; mod_jk halves the count from time to time")
		}
	}
	if l := in.f.one(w, "retries"); l != nil {
		if _, ok := build.Int(l.text, &l.mark, 1, 1<<20); ok {
			l.mark.Approximate("", "every instance is tried once; see lb_retries")
		}
	}
}

// boolean reads a word by its first letter, as mod_jk does: 1, on, true, yes; 0, off, false, no.
func boolean(l *line) (v, ok bool) {
	switch text := strings.ToLower(l.text); {
	case text == "on", text != "" && strings.IndexByte("1ty", text[0]) >= 0:
		return true, true
	case text == "off", text != "" && strings.IndexByte("0fn", text[0]) >= 0:
		return false, true
	}
	l.mark.Fail("%q must be true or false", report.Clip(l.text))
	return false, false
}

// first gives the first letter in lower case, 0 for none.
func first(text string) byte {
	if text == "" {
		return 0
	}
	return strings.ToLower(text[:1])[0]
}
