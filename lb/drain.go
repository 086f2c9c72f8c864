package lb

import "net/netip"

// DrainAddresses has the clients' connections to these local addresses end in an orderly way, those that are open and those that come: the response under
// way, or else the next one, says that it is the last (Connection: close), and one on which no request has come for quietTime, counted from its last byte,
// is closed for writing, then read until the client has closed too (1 s at most), so that no reset destroys anything. Upgraded connections go on. Addresses
// of an earlier call that are not among these go on as if nothing had been; nil, or none, ends it all. It returns when every connection has been told,
// which takes some 20 microseconds for each, and may be called at any time.
//
// What remains possible: a client that has been silent for quietTime and sends a request within the very time that the end of the stream takes to reach
// it gets that end in place of a response. The request has reached no instance.
func (b *Balancer) DrainAddresses(addrs []netip.Addr) {
	b.conns.sweep(func() { b.conns.draining = addrSet(addrs) })
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.fronts {
		f.awaitQueue()
	}
}

// OpenConnections counts the clients' connections to these local addresses: all that are open, among them those that have sent nothing yet, those that are
// being closed, and upgraded ones, which are also counted apart. Those that waited in the kernel to be accepted when DrainAddresses was last called are
// counted until they have been, whatever their address. It costs no more for many connections than for few.
func (b *Balancer) OpenConnections(addrs []netip.Addr) (total, upgraded int) {
	total = b.awaited() // first: one that is taken in meanwhile counts twice rather than not at all
	b.conns.mu.Lock()
	defer b.conns.mu.Unlock()
	for addr := range addrSet(addrs) {
		if local := b.conns.open[addr]; local != nil {
			total += len(local.callers)
			upgraded += local.upgraded
		}
	}
	return total, upgraded
}

// awaited is how many connections are still to come in that were in the listen queues when DrainAddresses was last called.
func (b *Balancer) awaited() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.fronts {
		if awaited, accepted := f.awaited.Load(), f.accepted.Load(); awaited > accepted {
			n += int(awaited - accepted)
		}
	}
	return n
}

// awaitQueue notes how many connections will have been accepted once the listen queue of now has been: it is first in, first out.
func (f *front) awaitQueue() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ln != nil {
		accepted := f.accepted.Load() // first: what is accepted in between must not be awaited
		f.awaited.Store(accepted + uint64(listenQueue(f.ln)))
	}
}

// CutAddresses closes the clients' connections to these local addresses at once, whatever goes on on them.
func (b *Balancer) CutAddresses(addrs []netip.Addr) {
	set := addrSet(addrs)
	b.conns.cutAll(func(s *caller) bool { return set[s.local] })
}

func addrSet(addrs []netip.Addr) map[netip.Addr]bool {
	set := make(map[netip.Addr]bool, len(addrs))
	for _, a := range addrs {
		set[plainAddr(a)] = true
	}
	return set
}
