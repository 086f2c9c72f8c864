package lb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// Listeners gives the bound listeners by the address that they have in the configuration, completed by BindAddress. They stay the balancer's: whoever wants a socket for
// longer duplicates it.
func (b *Balancer) Listeners() map[string]net.Listener {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := map[string]net.Listener{}
	for address, f := range b.fronts {
		f.mu.Lock()
		if f.ln != nil && f.err == nil {
			list[address] = f.ln
		}
		f.mu.Unlock()
	}
	return list
}

// PacketListeners gives the bound sockets of listeners of protocol udp in the same way.
func (b *Balancer) PacketListeners() map[string]*net.UDPConn {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := map[string]*net.UDPConn{}
	for address, f := range b.packets {
		f.mu.Lock()
		if f.conn != nil && f.err == nil {
			list[address] = f.conn
		}
		f.mu.Unlock()
	}
	return list
}

// HandOn is Shutdown for a balancer whose listening sockets another process has too, and accepts from: it takes no more connections, and leaves those that wait, or are just being made,
// to the other one, and so with datagrams: what this one has read goes on to its instance, and answers come back until there have been none for some seconds. Requests on connections that it has still go by what is in force then, also when that changes meanwhile, until it returns. It returns when what was decided
// provisionally is recorded too, which nobody else would do.
func (b *Balancer) HandOn(ctx context.Context) error {
	b.mu.Lock()
	for _, f := range b.fronts {
		f.handed.Store(true)
		if f.http3 != nil {
			f.http3.handed.Store(true)
		}
	}
	for _, f := range b.packets {
		f.handed.Store(true)
	}
	b.handing = !b.closed
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.handing = false
	}()
	return errors.Join(b.Shutdown(ctx), b.paid(ctx))
}

// paid waits until nothing is owed any more.
func (b *Balancer) paid(ctx context.Context) error {
	tick := time.NewTicker(pendingPoll)
	defer tick.Stop()
	for {
		n := b.pending.count.Load()
		if n == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d provisional assignments are not recorded: %w", n, context.Cause(ctx))
		}
	}
}

// inherit gives the listener for an address that was open before this process bound anything; nil when there is none.
func (b *Balancer) inherit(address string) net.Listener {
	if b.opts.Inherited == nil {
		return nil
	}
	return b.opts.Inherited(address)
}

// inheritPackets gives the socket for an address of datagrams in the same way.
func (b *Balancer) inheritPackets(address string) *net.UDPConn {
	if b.opts.InheritedPackets == nil {
		return nil
	}
	return b.opts.InheritedPackets(address)
}

// leavesQueue tells whether somebody else has the front's socket, or keeps it for a later process: clients in its queue are not lost, and a filter on it would outlive this process.
func (f *front) leavesQueue() bool {
	return f.handed.Load() || f.b.opts.KeptOpen != nil && f.b.opts.KeptOpen(f.address)
}
