package kernel

import (
	"net/netip"
	"sync"
)

// claim is what a frame from a link said.
type claim struct {
	name string // of the interface
	ip   netip.Addr
	mac  string
}

// subscribers get the claims that are heard. One that does not read loses some: there is more where they come from.
type subscribers struct {
	mu  sync.Mutex
	all map[chan claim]struct{}
}

func (s *subscribers) tell(c claim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ch := range s.all {
		select {
		case ch <- c:
		default:
		}
	}
}

// join gives a channel of claims, and what ends that.
func (s *subscribers) join() (<-chan claim, func()) {
	ch := make(chan claim, 64)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[chan claim]struct{}{}
	}
	s.all[ch] = struct{}{}
	return ch, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.all, ch)
	}
}
