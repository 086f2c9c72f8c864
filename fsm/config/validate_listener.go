package config

import (
	"net"
	"slices"
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
		p.oneOf(at.child("protocol"), l.Protocol, []string{"http"}, []string{"https", "tcp"})
		if len(l.Certificates) > 0 {
			p.add(at.child("certificates"), "remove it", "certificates are not supported by this version")
		}
		if l.Cluster != "" {
			p.add(at.child("cluster"), "remove it: modules lead requests to their cluster", "only a listener of protocol tcp has a cluster, and those are not supported by this version")
		}
		p.nameList(at.child("zones"), "zone", l.Zones)
		p.nameList(at.child("nodes"), "node", l.Nodes)
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
	for _, other := range used[port] {
		if (other.host == host || isWildcard(other.host) || isWildcard(host)) && mayMeet(l, other.l) {
			p.add(where, "give one of them another port, or other zones or nodes", "listener %q wants %s, which listener %q has (%s)", clip(l.Name), net.JoinHostPort(host, port), clip(other.l.Name), p.where(other.at))
			return
		}
	}
	used[port] = append(used[port], bound{host, at, l})
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
