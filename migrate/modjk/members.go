package modjk

import (
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/migrate/build"
	"github.com/holdfast-lb/holdfast/migrate/report"
)

// member is an instance on its way.
type member struct {
	w        *worker
	at       *line // where it is named, for what has no line of its own
	distance int
	reply    int // ms
	disabled bool
	stopped  bool
}

// members makes the instances of a cluster; places are where they are named, nil for a worker that stands alone.
func (in *importer) members(c *config.Cluster, key string, workers []*worker, places []*line) {
	list := make([]member, len(workers))
	weights := make([]int, len(workers))
	for i, w := range workers {
		m := member{w: w, at: w.first}
		if places != nil {
			m.at = places[i]
		}
		key := key + ".instances[" + strconv.Itoa(i) + "]"
		inst := build.Instance(w.name)
		in.address(&m, &inst, key)
		weights[i] = in.integer(w, "lbfactor", 1, 0, 1<<30, key+".weight")
		in.activation(&m, &inst, key)
		if l := in.f.one(w, "route", "jvm_route"); l != nil {
			inst.Route = l.text
			l.mark.Map("%s.route", key)
			if l.text == "" {
				l.mark.Fail("is empty; remove it, or give the jvmRoute of the server")
			}
		}
		if l := in.f.one(w, "domain"); l != nil {
			l.mark.Approximate("", "sessions fail over to any instance of the cluster; failoverTo names one")
		}
		m.distance = in.integer(w, "distance", 0, 0, 1<<30, key+".backup")
		if l := in.f.one(w, "busy_limit"); l != nil {
			inst.MaxConnections = in.integer(w, "busy_limit", 0, 0, 1<<20, key+".maxConnections")
			l.mark.Approximate(key+".maxConnections", "counted over all nodes of the group, no longer for each process of the web server")
		}
		m.reply = in.reply(w, key)
		in.failures(w, c)
		list[i] = m
		c.Instances = append(c.Instances, inst)
	}
	scaled, exact := build.Weights(weights)
	for i := range list {
		c.Instances[i].Weight = scaled[i]
		if l := in.f.one(list[i].w, "lbfactor"); l != nil && !exact {
			l.mark.Approximate(l.mark.Key(), "brought into 0 to 1000, with the ratios to the others nearly kept")
		}
		if list[i].disabled {
			c.Instances[i].Weight = 0
		}
	}
	in.distances(c, list)
	in.redirects(c, key, list)
	in.replies(c, list)
}

func (in *importer) integer(w *worker, name string, def, low, high int, key string) int {
	l := in.f.one(w, name)
	if l == nil {
		return def
	}
	v, ok := build.Int(l.text, &l.mark, low, high)
	if !ok {
		return def
	}
	l.mark.Map("%s", key)
	return v
}

// address makes the listener URL: the host of the worker with the HTTP port that the operator gave.
func (in *importer) address(m *member, inst *config.Instance, key string) {
	host, port := in.f.one(m.w, "host"), in.f.one(m.w, "port")
	name := "localhost"
	if host != nil {
		name = host.text
		if h, _, err := net.SplitHostPort(name); err == nil {
			name = h
		}
		name = strings.Trim(name, "[]")
		host.mark.Map("%s.listeners", key)
		if name == "" || strings.ContainsAny(name, "/ ") {
			host.mark.Fail("%q is not the name or the address of a machine", report.Clip(host.text))
		}
	}
	http, ok := in.opt.HTTPPorts[m.w.name]
	if !ok {
		http = in.opt.HTTPPort
	}
	if http == 0 {
		place := m.at
		if port != nil {
			place = port
		} else if host != nil {
			place = host
		}
		place.mark.Fail("worker %s speaks AJP, Holdfast speaks HTTP: give the port of its HTTP connector with --http-port %s=PORT", m.w.name, m.w.name)
		return
	}
	if port != nil {
		if _, ok := build.Int(port.text, &port.mark, 1, 65535); ok {
			port.mark.Approximate(key+".listeners", "HTTP is spoken to port %d instead of AJP", http)
		}
	}
	inst.Listeners = []string{"http://" + net.JoinHostPort(name, strconv.Itoa(http))}
}

// activation: Disabled lets only assigned requests through, as weight 0 does; Stopped lets none.
func (in *importer) activation(m *member, inst *config.Instance, key string) {
	if l := in.f.one(m.w, "activation"); l != nil {
		switch first(l.text) {
		case 'a':
			l.mark.Map("%s.enabled", key)
		case 'd':
			m.disabled = true
			l.mark.Map("%s.weight", key)
		case 's':
			m.stopped = true
			l.mark.Map("%s.enabled", key)
		default:
			l.mark.Fail("%q is no activation; write Active, Disabled or Stopped", report.Clip(l.text))
		}
	}
	if l := in.f.one(m.w, "disabled"); l != nil {
		if v, ok := boolean(l); ok {
			m.disabled = m.disabled || v
			l.mark.Map("%s.weight", key)
		}
	}
	if l := in.f.one(m.w, "stopped"); l != nil {
		if v, ok := boolean(l); ok {
			m.stopped = m.stopped || v
			l.mark.Map("%s.enabled", key)
		}
	}
	if m.stopped {
		inst.Enabled, inst.QuiesceTimeout = false, build.Seconds(1)
	}
	if l := in.f.one(m.w, "lbfactor"); l != nil && m.disabled {
		l.mark.Approximate(key+".weight", "0 for as long as the worker is Disabled")
	}
}

// reply reads reply_timeout in ms.
func (in *importer) reply(w *worker, key string) int {
	cluster, _, _ := strings.Cut(key, ".")
	return in.integer(w, "reply_timeout", 0, 0, int((time.Hour * 24 * 365).Milliseconds()), cluster+".responseTimeout")
}

// replies makes one bound of those of the members: the longest, none when one has none.
func (in *importer) replies(c *config.Cluster, list []member) {
	longest, differ, none := 0, false, false
	for _, m := range list {
		longest, differ, none = max(longest, m.reply), differ || m.reply != list[0].reply, none || m.reply == 0
	}
	if differ {
		for _, m := range list {
			if l := in.f.one(m.w, "reply_timeout"); l != nil {
				l.mark.Approximate(l.mark.Key(), "all instances of a cluster have one bound: the longest, or none when one has none")
			}
		}
	}
	if longest > 0 && !none {
		c.ResponseTimeout = config.Duration(time.Duration(longest) * time.Millisecond)
		c.Health.Passive = append(c.Health.Passive, "timeout")
	}
}

// failures reads what of its answers takes a worker out.
func (in *importer) failures(w *worker, c *config.Cluster) {
	if l := in.f.one(w, "fail_on_status"); l != nil {
		codes, _ := words([]*line{l})
		takesOut := false
		for _, code := range codes {
			n, err := strconv.Atoi(code)
			if err != nil || n < -599 || n > 599 || n > -100 && n < 100 && n != 0 {
				l.mark.Fail("%q is not a list of status codes", report.Clip(l.text))
				return
			}
			takesOut = takesOut || n >= 500
		}
		if takesOut && !has(c.Health.Passive, "5xx") {
			c.Health.Passive = append(c.Health.Passive, "5xx")
		}
		l.mark.Approximate("clusters[*].health.passive", "any answer from 500 to 599 takes an instance out when one that is not negative is listed; other codes do not count")
	}
	if l := in.f.one(w, "recovery_options"); l != nil {
		if _, ok := build.Int(l.text, &l.mark, 0, 31); ok {
			l.mark.Approximate("", "a request that an instance has got is sent again only when it is idempotent: see modules[].idempotent")
		}
	}
	if l := in.f.one(w, "retries"); l != nil {
		if _, ok := build.Int(l.text, &l.mark, 1, 1<<20); ok {
			l.mark.Approximate("", "every instance is tried once")
		}
	}
}

func has(list []string, word string) bool {
	for _, w := range list {
		if w == word {
			return true
		}
	}
	return false
}

// distances: who is farther than the nearest serves only while none of the near ones can.
func (in *importer) distances(c *config.Cluster, list []member) {
	if len(list) == 0 {
		return
	}
	near, levels := list[0].distance, map[int]bool{}
	for _, m := range list {
		near = min(near, m.distance)
		levels[m.distance] = true
	}
	for i, m := range list {
		c.Instances[i].Backup = m.distance > near
		if l := in.f.one(m.w, "distance"); l != nil && len(levels) > 2 {
			l.mark.Approximate(l.mark.Key(), "near (serves) or farther (serves only while no near one is available): there are no more steps")
		}
	}
}

func (in *importer) redirects(c *config.Cluster, key string, list []member) {
	byName := map[string]string{}
	for i := range c.Instances {
		byName[c.Instances[i].Route] = c.Instances[i].Name
	}
	for i := range c.Instances {
		byName[c.Instances[i].Name] = c.Instances[i].Name
	}
	for i, m := range list {
		l := in.f.one(m.w, "redirect")
		if l == nil {
			continue
		}
		to := byName[l.text]
		if to == "" || to == c.Instances[i].Name {
			l.mark.Fail("%q is not the route of another worker of this balancer", report.Clip(l.text))
			continue
		}
		c.Instances[i].FailoverTo = to
		l.mark.Map("%s.instances[%d].failoverTo", key, i)
	}
}
