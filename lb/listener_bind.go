package lb

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
)

// listen binds an address. A virtual address is bound whether the machine has it at the moment or not, so that a node can take it over without delay and
// needs no bind then. Any other must be there: what nobody can connect to must not look as if it served. The listen queue is as long as the machine allows
// (net.core.somaxconn), which is Go's choice. Multipath TCP, which Go would take, is not for addresses that move: a further path of a connection begins
// with a SYN, and the node that gets it may be another one by then.
func (b *Balancer) listen(ctx context.Context, address string) (net.Listener, error) {
	if ln := b.inherit(address); ln != nil {
		return ln, nil
	}
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	if b.virtual(address) {
		lc.Control = bindAbsent
	}
	return lc.Listen(ctx, "tcp", address)
}

// virtual reports whether the address of a listener is a virtual one.
func (b *Balancer) virtual(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && slices.ContainsFunc(b.opts.Virtual, func(v netip.Addr) bool { return plainAddr(v) == plainAddr(ip) })
}

// absent reports whether the bind failed because the machine does not have the address.
func absent(err error) bool { return errors.Is(err, syscall.EADDRNOTAVAIL) }
