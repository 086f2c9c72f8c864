package discovery

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// DefaultGroup is where nodes meet unless --discover says otherwise: an address of the site-local scope (RFC 2365, 6.1) and the port after that
// of the peers.
const DefaultGroup = "239.255.77.1:7702"

// Spec says where nodes meet.
type Spec struct {
	// Group is an IPv4 multicast address and a UDP port.
	Group netip.AddrPort
	// Interface is the name of a network interface; empty: the one that has the node's advertised address.
	Interface string
}

// ParseSpec reads multicast[=GROUPIP:PORT][@INTERFACE].
func ParseSpec(text string) (Spec, error) {
	rest, ok := strings.CutPrefix(text, "multicast")
	if !ok {
		return Spec{}, fmt.Errorf("%.60q is none of multicast, multicast=GROUPIP:PORT, multicast=GROUPIP:PORT@INTERFACE", text)
	}
	address, name, named := strings.Cut(rest, "@")
	if named && name == "" {
		return Spec{}, fmt.Errorf("%.60q: there is no interface after the @", text)
	}
	group := DefaultGroup
	if address != "" {
		if group, ok = strings.CutPrefix(address, "="); !ok {
			return Spec{}, fmt.Errorf("%.60q: write multicast=GROUPIP:PORT", text)
		}
	}
	at, err := netip.ParseAddrPort(group)
	switch {
	case err != nil:
		return Spec{}, fmt.Errorf("%.60q is not GROUPIP:PORT, as in %s", group, DefaultGroup)
	case !at.Addr().Is4() || !at.Addr().IsMulticast():
		return Spec{}, fmt.Errorf("%s is no IPv4 multicast address (224.0.0.0 to 239.255.255.255; best one of 239.255.0.0/16)", at.Addr())
	case at.Port() == 0:
		return Spec{}, fmt.Errorf("%s has no port", group)
	}
	return Spec{Group: at, Interface: name}, nil
}

// device is the interface to use, nil for the system's choice. advertised is HOST:PORT.
func (s Spec) device(advertised string) (*net.Interface, error) {
	if s.Interface != "" {
		ifi, err := net.InterfaceByName(s.Interface)
		if err != nil {
			return nil, fmt.Errorf("interface %s: %w", s.Interface, err)
		}
		return ifi, nil
	}
	host, _, err := net.SplitHostPort(advertised)
	if err != nil {
		return nil, fmt.Errorf("advertised address: %w", err)
	}
	ip := net.ParseIP(host)
	all, err := net.Interfaces()
	if ip == nil || err != nil {
		return nil, nil // a name: the system chooses
	}
	for i := range all {
		addrs, err := all[i].Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && (n.IP.Equal(ip) || ip.IsLoopback() && n.Contains(ip)) {
				return &all[i], nil
			}
		}
	}
	return nil, nil // behind a translation of addresses
}
