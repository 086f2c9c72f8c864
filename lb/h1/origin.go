package h1

import (
	"net/netip"
	"sync/atomic"
)

// Origin is one place that takes requests over plain HTTP: a listener of an instance. It may be used by several engines.
type Origin struct {
	addr    netip.AddrPort
	open    atomic.Int64
	closed  atomic.Bool
	dialled atomic.Uint64
	reused  atomic.Uint64
	pools   originPools
}

// NewOrigin makes one for an address and a port.
func NewOrigin(addr netip.AddrPort) *Origin {
	return &Origin{addr: netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())}
}

// Addr gives its address.
func (o *Origin) Addr() netip.AddrPort { return o.addr }

// Open gives the number of connections to it, idle ones included.
func (o *Origin) Open() int64 { return o.open.Load() }

// Used gives how many connections were begun and how many times a kept one was used again.
func (o *Origin) Used() (dialled, reused uint64) { return o.dialled.Load(), o.reused.Load() }

// Close has idle connections end; requests under way finish, and their connections are not kept. A closed origin can still be given to a trip.
func (o *Origin) Close() {
	if !o.closed.Swap(true) {
		o.closeIdle()
	}
}
