package guard

import (
	"context"
	"time"

	"github.com/holdfast-lb/holdfast/vip"
	"github.com/holdfast-lb/holdfast/vip/kernel"
)

// Machine is what a guard does to the machine that it runs on. Add and Remove are called by one goroutine at a time, Announce, Silence, Hops and Relay
// by another, Watch and Probe by one each, all of them at once: so that the lease's end never waits for a slow change of packet filters.
// After Close nothing else is called.
type Machine interface {
	// Add puts the addresses there, or renews them, for the lifetime (whole seconds); the kernel removes them when it ends.
	Add(lifetime time.Duration) error
	// Remove takes all of them off; those that are not there are fine.
	Remove() error
	// Announce sends one round of announcements of all addresses.
	Announce() error
	// Silence on has the machine accept packets for the addresses without anybody on the link learning of it.
	Silence(on bool) error
	// Hops gives the machine's own addresses on the interfaces of the virtual ones.
	Hops() ([]vip.Hop, error)
	// Relay sends new connections to the addresses on; nil ends it. Errors wrap vip.ErrNoRelay when the machine cannot.
	Relay(to []vip.Hop) error
	// Probe asks the links for wait who has the addresses.
	Probe(ctx context.Context, wait time.Duration) ([]vip.Claim, error)
	// Watch calls f for what happens on the links and to the addresses, until ctx ends.
	Watch(ctx context.Context, f func(vip.Event)) error
	// Close gives back what the machine keeps for us: packet filters, sockets, and addresses that are still there.
	Close() error
}

// openKernel is the OpenFunc of Linux.
func openKernel(addrs []vip.Address, logf func(string, ...any)) (Machine, error) {
	k, err := kernel.Open(addrs, logf)
	if err != nil {
		return nil, err
	}
	return k, nil
}

// OpenFunc opens the machine for the addresses: it checks that they can be held here, and removes what a killed predecessor left of them.
type OpenFunc func(addrs []vip.Address, logf func(format string, args ...any)) (Machine, error)
