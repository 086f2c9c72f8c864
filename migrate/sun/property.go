package sun

import (
	"strings"

	"github.com/holdfast-lb/holdfast/migrate/build"
	"github.com/holdfast-lb/holdfast/migrate/markup"
	"github.com/holdfast-lb/holdfast/migrate/report"
)

// settings are what the properties of the file say for all of its clusters.
type settings struct {
	response, reload, retries int
	active, routeCookie       bool
	httpsRouting              routing
	seen                      map[string]bool
}

// routing is which listener of an instance a request of HTTPS goes to.
type routing uint8

const (
	routingUnsaid routing = iota // the file does not say; the format's default is false
	routingHTTP                  // false: the http listener
	routingHTTPS                 // true: the https listener
)

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
		in.settings.httpsRouting = routingHTTPS
		v.Mark.Approximate("", "always so: a request goes to a listener of its own scheme when the instance has one that is available, else to another")
	default:
		in.settings.httpsRouting = routingHTTP
		v.Mark.Map("clusters[*].instances[*].listeners")
	}
}

// route decides about the https listeners of an instance. Holdfast sends a request to a listener of its own scheme, so what the format sends to http
// must find no other. Files that do not say so keep what they list, as most mean it that name an https listener at all.
func (in *importer) route(listeners []string, m *report.Mark, key string) []string {
	if in.settings.httpsRouting == routingHTTPS {
		return listeners
	}
	isHTTPS := func(url string) bool { return len(url) >= 8 && strings.EqualFold(url[:8], "https://") }
	var clear, secured []string
	for _, url := range listeners {
		if isHTTPS(url) {
			secured = append(secured, url)
		} else {
			clear = append(clear, url)
		}
	}
	switch said := in.settings.httpsRouting == routingHTTP; {
	case len(secured) == 0:
	case len(clear) == 0 && said:
		m.Approximate(key, "https-routing is false, but the instance has no http:// listener: all its requests go to https")
	case len(clear) == 0:
	case said:
		m.Approximate(key, "https-routing is false: requests of HTTPS go to http too, and %s is left out", clip(strings.Join(secured, " ")))
		return clear
	default:
		m.Approximate(key, "requests of HTTPS go to the https:// listener; https-routing, which is not in the file, is false by default: write it as false to have them go to http")
	}
	return listeners
}
