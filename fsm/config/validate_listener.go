package config

import (
	"net"
	"slices"
	"strings"
)

func validateListeners(p *problems, c *Config) {
	names := uniqueNames{p: p, what: "listener"}
	at := (*path)(nil).child("listeners")
	used := map[string][]bound{} // by port
	if len(c.Listeners) > maxListeners {
		p.add(at, "remove some", "there are %d listeners, at most %d are taken", len(c.Listeners), maxListeners)
		return
	}
	for i := range c.Listeners {
		if p.full() {
			p.more = true
			return
		}
		l, at := &c.Listeners[i], at.item(i)
		names.check(at.child("name"), l.Name)
		p.oneOf(at.child("protocol"), l.Protocol, []string{"http", "https", "tcp", "udp"}, nil)
		validateTLS(p, at, l)
		validateHTTP2(p, at, l)
		validateHTTP3(p, at, l)
		validateStreamListener(p, at, l, c)
		p.nameList(at.child("zones"), "zone", l.Zones)
		p.nameList(at.child("nodes"), "node", l.Nodes)
		validateNetworks(p, at.child("trustedProxies"), l.TrustedProxies)
		validateListenerLimits(p, at.child("limits"), l.Limits)
		validateAddress(p, at, l, used)
	}
}

// bound is a host on whose port a listener listens.
type bound struct {
	host string
	at   *path
	l    *Listener
}

func validateAddress(p *problems, at *path, l *Listener, used map[string][]bound) {
	where := at.child("address")
	if l.Address == "" {
		p.add(where, `write ":8080" or "10.0.0.1:8080"`, "an address is missing")
		return
	}
	host, port, err := splitHostPort(l.Address)
	if err != nil {
		p.add(where, `write ":8080" or "10.0.0.1:8080"`, "%q: %v", clip(l.Address), err)
		return
	}
	ports := []string{port}
	switch { // UDP has ports of its own
	case l.Protocol == "udp":
		ports = []string{"udp " + port}
	case l.HTTP3:
		ports = append(ports, "udp "+port)
	}
	for _, port := range ports {
		for _, other := range used[port] {
			if (other.host == host || isWildcard(other.host) || isWildcard(host)) && mayMeet(l, other.l) {
				p.add(where, "give one of them another port, or other zones or nodes", "listener %q wants %s, which listener %q has (%s)", clip(l.Name), net.JoinHostPort(host, strings.TrimPrefix(port, "udp ")), clip(other.l.Name), p.where(other.at))
				return
			}
		}
	}
	for _, port := range ports {
		used[port] = append(used[port], bound{host, at, l})
	}
}

// isWildcard: an explicit wildcard collides with every host. No host at all stands for each node's --bind-address, which
// is known to the node alone.
func isWildcard(host string) bool { return host == "0.0.0.0" || host == "::" }

// mayMeet tells whether a node may have both listeners. A node has one name and at most one zone, so it cannot when both go by zones, or both by
// nodes, and have none in common.
func mayMeet(a, b *Listener) bool {
	byZone := len(a.Zones) > 0 && len(b.Zones) > 0 && len(a.Nodes)+len(b.Nodes) == 0
	byNode := len(a.Nodes) > 0 && len(b.Nodes) > 0 && len(a.Zones)+len(b.Zones) == 0
	switch {
	case byZone:
		return overlap(a.Zones, b.Zones)
	case byNode:
		return overlap(a.Nodes, b.Nodes)
	}
	return true
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}
