package lb

import (
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// nearness tells which instances are near to this node.
type nearness struct {
	kind string // none, host, zone
	zone string
	own  map[netip.Addr]bool // this machine's addresses, for kind host
}

func (b *Balancer) nearness(kind string) nearness {
	n := nearness{kind: kind, zone: b.opts.Zone}
	if kind != "host" {
		return n
	}
	addrs, err := b.opts.Interfaces()
	if err != nil {
		b.log.Warn("the addresses of this machine cannot be listed; only loopback is near", "error", err)
	}
	n.own = map[netip.Addr]bool{}
	for _, a := range addrs {
		if ip := addrOf(a); ip.IsValid() {
			n.own[ip] = true
		}
	}
	return n
}

func addrOf(a net.Addr) netip.Addr {
	text, _, _ := strings.Cut(a.String(), "/")
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return ip.Unmap().WithZone("")
}

// near reports whether an instance is. Host names are not resolved: a name other than localhost is never on this machine.
func (n nearness) near(ci *config.Instance) bool {
	switch n.kind {
	case "zone":
		return ci.Zone != "" && ci.Zone == n.zone
	case "host":
		for _, raw := range ci.Listeners {
			u, err := url.Parse(raw)
			if err != nil {
				continue
			}
			host := u.Hostname()
			ip, err := netip.ParseAddr(host)
			if strings.EqualFold(host, "localhost") || err == nil && (ip.Unmap().IsLoopback() || n.own[ip.Unmap().WithZone("")]) {
				return true
			}
		}
	}
	return false
}
