package lb

import (
	"errors"
	"net/netip"
	"strings"
	"syscall"
)

var errPrivate = errors.New("this is where the node's own operators call it, and no instance's address")

// keepFrom has neither a request nor a check connected to addresses that are private. A name counts by what it stands for when it is connected to.
func (e *endpoint) keepFrom(private func(netip.AddrPort) bool) {
	if private == nil {
		return
	}
	e.dialer.Control = func(network, address string, _ syscall.RawConn) error {
		if at, err := netip.ParseAddrPort(address); err == nil && strings.HasPrefix(network, "tcp") && private(at) {
			return errPrivate
		}
		return nil
	}
	// The loops connect by themselves to what is located; what is located later has been connected to.
	if o := e.origin.Load(); o != nil && private(o.Addr()) {
		e.origin.Store(nil)
		o.Close()
	}
}
