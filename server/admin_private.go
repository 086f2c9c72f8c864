package server

import (
	"net"
	"net/netip"
)

// privateTo tells which addresses no instance may have on a node with that admin address: those by which a connection would come to it from this machine, where it is taken for an
// operator's. Several nodes of one machine may have the port at an address each, so every loopback address with it counts.
func privateTo(admin string) func(netip.AddrPort) bool {
	host, service, err := net.SplitHostPort(admin)
	if err != nil {
		return nil // Config.Validate has refused it
	}
	if ip, err := netip.ParseAddr(host); err == nil && !ofThisMachine(ip) {
		return nil // on loopback it does not listen
	}
	port, err := net.LookupPort("tcp", service)
	if err != nil {
		return nil
	}
	return func(at netip.AddrPort) bool { return int(at.Port()) == port && ofThisMachine(at.Addr()) }
}

// ofThisMachine tells whether a connection to an address is one to loopback: the unspecified address is, too.
func ofThisMachine(ip netip.Addr) bool {
	ip = ip.Unmap()
	return ip.IsLoopback() || ip.IsUnspecified()
}
