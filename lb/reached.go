package lb

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// Reached is nil when a client that connects to some of the addresses finds a listener, whose ports are no matter; when there is no address, or no listener is bound, too. Otherwise
// the addresses are better on another node.
func (b *Balancer) Reached(addresses []netip.Addr) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var elsewhere []string
	for _, f := range b.listening() {
		name, addr, err := f.state()
		if err != nil {
			continue
		}
		host, ok := boundHost(addr)
		if !ok {
			return nil
		}
		for _, a := range addresses {
			if a = plainAddr(a); host == a || host.IsUnspecified() && (host.Is6() || a.Is4()) {
				return nil
			}
		}
		elsewhere = append(elsewhere, fmt.Sprintf("%s on %s", name, addr))
	}
	if len(elsewhere) == 0 || len(addresses) == 0 {
		return nil
	}
	return fmt.Errorf("no listener takes connections to the virtual address: %s", strings.Join(elsewhere, ", "))
}

// boundHost is the address that something is bound to.
func boundHost(a net.Addr) (netip.Addr, bool) {
	switch a := a.(type) {
	case *net.TCPAddr:
		return plainAddr(a.AddrPort().Addr()), true
	case *net.UDPAddr:
		return plainAddr(a.AddrPort().Addr()), true
	}
	return netip.Addr{}, false
}
