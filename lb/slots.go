package lb

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// slotPatience is how long a request waits for a connection of its instance: as long as a connect may take.
const slotPatience = connectTimeout

// slots count the requests that an instance has in flight from this node, and bound them where it has a maxConnections. Without a bound taking one is
// an atomic addition. With one nobody ever holds more than the bound; who finds none free waits in the order of arrival. A lower bound takes
// nothing away from those that hold a slot.
type slots struct {
	inFlight atomic.Int64
	// bound is 0 for none, otherwise one more than how many there are.
	bound   atomic.Int64
	waiting atomic.Int64
	// yielded counts the requests that went to a far instance because this near one had no connection free on this node.
	yielded atomic.Int64

	mu    sync.Mutex // held to take one under a bound, and while the queue changes
	queue []*slotWaiter
}

// slotWaiter is a request that waits. granted is closed when it has a slot.
type slotWaiter struct{ granted chan struct{} }

// limit sets the bound; -1 takes it away.
func (s *slots) limit(n int) {
	bound := int64(0)
	if n >= 0 {
		bound = int64(n) + 1
	}
	if s.bound.Swap(bound) != bound {
		s.grant()
	}
}

// free reports whether a request would get a slot at once.
func (s *slots) free() bool {
	bound := s.bound.Load()
	return bound == 0 || s.load() < bound-1
}

// load is what the instance has from this node, requests that wait included.
func (s *slots) load() int64 { return s.inFlight.Load() + s.waiting.Load() }

// acquire takes a slot, waiting for one at most for the given time. The error is errBusy, or ctx's. waited tells whether it had to wait.
func (s *slots) acquire(ctx context.Context, patience time.Duration) (waited bool, err error) {
	if s.boundless() {
		return false, nil
	}
	w := s.enqueue()
	if w == nil {
		return false, nil
	}
	patient := time.NewTimer(patience)
	defer patient.Stop()
	select {
	case <-w.granted:
		return true, nil
	case <-patient.C:
		err = errBusy
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if s.dequeue(w) {
		return true, err
	}
	if err == errBusy { // granted at the last moment
		return true, nil
	}
	s.release()
	return true, err
}

// boundless takes one while there is no bound.
func (s *slots) boundless() bool {
	if s.bound.Load() != 0 {
		return false
	}
	s.inFlight.Add(1)
	if s.bound.Load() == 0 {
		return true
	}
	s.release() // a bound has come into force meanwhile
	return false
}

// try takes a slot if one is free and nobody waits for it. It does not wait.
func (s *slots) try() bool {
	if s.boundless() {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if bound := s.bound.Load(); len(s.queue) > 0 || bound != 0 && s.inFlight.Load() >= bound-1 {
		return false
	}
	s.inFlight.Add(1)
	return true
}

// enqueue takes a slot at once (nil) or queues up. Whoever gives one back counts down first and then looks for those that wait; here it is the other
// way round, so that one of the two sees the other.
func (s *slots) enqueue() *slotWaiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting.Add(1)
	if len(s.queue) == 0 && s.takeLocked() {
		return nil
	}
	w := &slotWaiter{granted: make(chan struct{})}
	s.queue = append(s.queue, w)
	return w
}

// takeLocked turns one that waits into one in flight, if the bound allows.
func (s *slots) takeLocked() bool {
	if bound := s.bound.Load(); bound != 0 && s.inFlight.Load() >= bound-1 {
		return false
	}
	s.inFlight.Add(1)
	s.waiting.Add(-1)
	return true
}

// dequeue takes one out that gives up; false when it has been granted a slot.
func (s *slots) dequeue(w *slotWaiter) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.queue, w)
	if i < 0 {
		return false
	}
	s.queue = slices.Delete(s.queue, i, i+1)
	s.waiting.Add(-1)
	return true
}

// release gives a slot back.
func (s *slots) release() {
	s.inFlight.Add(-1)
	if s.waiting.Load() > 0 {
		s.grant()
	}
}

// grant gives what is free to those that have waited longest.
func (s *slots) grant() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) > 0 && s.takeLocked() {
		close(s.queue[0].granted)
		s.queue = slices.Delete(s.queue, 0, 1)
	}
}
