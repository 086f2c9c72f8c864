package lb

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// facing is what Serving and Reached look at. They are asked before each renewal of the lease of the virtual addresses, so they do not wait for b.mu, which
// is held while a revision is put into force: longer than a lease lasts, when there are many certificates.
type facing struct {
	// none says why nothing is served; nil: what follows is.
	none      error
	refusals  error // listeners that cannot be served at all
	listening []listening
}

// listening is something that listens, or will. Its state has a small lock of its own.
type listening interface {
	state() (name string, addr net.Addr, err error)
}

// face renews facing. For those who hold b.mu and have changed what it says.
func (b *Balancer) face() {
	f := &facing{refusals: b.refusals, listening: b.listening()}
	switch {
	case b.closed:
		f.none = errClosed
	case !b.inForce:
		f.none = errNotInForce
	}
	b.facing.Store(f)
}

// Serving is nil while this node takes requests at all: a configuration is in force, and of its listeners, if it has any, at least one is bound. A node that
// is not Ready may be Serving still. It waits for nothing.
func (b *Balancer) Serving() error {
	now := b.facing.Load()
	if now.none != nil {
		return now.none
	}
	errs := []error{now.refusals}
	for _, f := range now.listening {
		_, _, err := f.state()
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Reached is nil when a client that connects to some of the addresses finds a listener, whose ports are no matter; when there is no address, or no listener is bound, too. Otherwise
// the addresses are better on another node. It waits for nothing.
func (b *Balancer) Reached(addresses []netip.Addr) error {
	var elsewhere []string
	for _, f := range b.facing.Load().listening {
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
