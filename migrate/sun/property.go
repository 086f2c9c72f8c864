package sun

import (
	"github.com/holdfast-lb/holdfast/migrate/build"
	"github.com/holdfast-lb/holdfast/migrate/markup"
)

// settings are what the properties of the file say for all of its clusters.
type settings struct {
	response, reload, retries int
	active, routeCookie       bool
	seen                      map[string]bool
}

func defaultSettings() settings {
	return settings{response: defaultResponseSeconds, reload: defaultReloadSeconds, retries: defaultHealthRetries, routeCookie: true, seen: map[string]bool{}}
}

func (in *importer) property(n *markup.Node) {
	noText(n)
	for _, d := range n.All("description") {
		d.IgnoreAll("a remark")
	}
	name, value := required(n, "name"), required(n, "value")
	if name == nil || value == nil {
		for _, a := range n.Attrs {
			a.Mark.Ignore("the property is not whole")
		}
		return
	}
	if in.settings.seen[name.Value] {
		name.Mark.Fail("property %s is there twice; keep one of them", clip(name.Value))
	}
	in.settings.seen[name.Value] = true
	in.apply(name.Value, value)
	// The three are one setting and share its fate; a wrong value stays the value's error.
	name.Mark.Like(&value.Mark)
	n.Mark.Like(&value.Mark)
}

// apply takes over the value of one property.
func (in *importer) apply(name string, v *markup.Attr) {
	s, m := &in.settings, &v.Mark
	switch name {
	case "response-timeout-in-seconds":
		s.response = number(v, s.response, 0, build.MaxSeconds, "clusters[*].responseTimeout")
	case "reload-poll-interval-in-seconds":
		s.reload = number(v, s.reload, 0, build.MaxSeconds, "the interval of --watch")
	case "active-healthcheck-enabled":
		s.active = boolean(v, s.active, "clusters[*].health.mode")
	case "number-healthcheck-retries":
		s.retries = number(v, s.retries, 1, 1000, "clusters[*].health.fall")
	case "route-cookie-enabled":
		s.routeCookie = boolean(v, s.routeCookie, "clusters[*].affinity.routes")
		if !s.routeCookie {
			m.Approximate("", "Holdfast sends no JROUTE, but a client that comes with one still reaches its instance")
		}
	case "https-routing":
		in.httpsRouting(v)
	case "rewrite-location":
		if on, ok := build.Bool(v.Value, m); ok {
			m.Approximate("", "%s", map[bool]string{
				true:  "Holdfast passes redirects on as they are and keeps the client's Host, from which instances make them",
				false: "Holdfast passes redirects on as they are",
			}[on])
		}
	case "rewrite-cookies":
		if on, ok := build.Bool(v.Value, m); ok && on {
			m.Approximate("", "Holdfast passes the cookies of instances on as they are")
		} else if ok {
			m.Ignore("Holdfast passes the cookies of instances on as they are")
		}
	case "preferred-failover-instance":
		if on, ok := build.Bool(v.Value, m); ok && on {
			m.Approximate("", "the hint JREPLICA is not read: name the instance that takes over with failoverTo")
		} else if ok {
			m.Ignore("the instance that takes over is that of the policy")
		}
	case "require-monitor-data", "monitoring-enabled":
		if _, ok := build.Bool(v.Value, m); ok {
			m.Ignore("figures are always collected: see /metrics")
		}
	case "last-exported", "last-applied":
		m.Ignore("when the file was written; the group keeps its own history")
	default:
		m.Ignore("no property of the load balancer that Holdfast knows")
	}
}

func (in *importer) httpsRouting(v *markup.Attr) {
	on, ok := build.Bool(v.Value, &v.Mark)
	switch {
	case !ok:
	case on:
		v.Mark.Approximate("", "always so: a request goes to a listener of its own scheme when the instance has one that is available, else to another")
	default:
		v.Mark.Approximate("", "a request goes to a listener of its own scheme when the instance has one; list only http:// listeners to have everything go there")
	}
}
