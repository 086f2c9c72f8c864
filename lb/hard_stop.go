package lb

import (
	"errors"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/lb/h1"
)

// hardStop is how long an instance that has been stopped may go on with what it has in flight. It is guarded by Balancer.mu. Each node counts from when it put the
// stop into force, by its monotonic clock: nothing that was sent after that is cut short because another node was faster.
type hardStop struct {
	since time.Time     // when the instance was found stopped; zero: it is not
	limit time.Duration // hardTimeout; 0: as long as it takes
	timer *time.Timer
	over  bool // what was in flight has been ended
}

// serves notes that the instance is not stopped.
func (h *hardStop) serves(limit time.Duration) {
	if h.timer != nil {
		h.timer.Stop()
	}
	*h = hardStop{limit: limit}
}

// stopped notes that it is, and has f called when the time is over.
func (h *hardStop) stopped(limit time.Duration, f func()) {
	first := h.since.IsZero()
	if first {
		h.since = time.Now()
	}
	if !first && limit == h.limit || h.over {
		return
	}
	if h.limit = limit; h.timer != nil {
		h.timer.Stop()
		h.timer = nil
	}
	if limit > 0 {
		h.timer = time.AfterFunc(time.Until(h.since.Add(limit)), f)
	}
}

// hardStops looks which instances are stopped, after the new routing is in force.
func (b *builder) hardStops() {
	for _, c := range b.rt.clusters {
		for _, in := range c.instances {
			if in.phase == fsm.PhaseStopped {
				b.hardStop(in.state, in.hard)
			} else {
				in.state.hard.serves(in.hard)
			}
		}
	}
}

// hardStop is for an instance that is stopped, or no longer in the configuration.
func (b *Balancer) hardStop(s *instanceState, limit time.Duration) {
	s.hard.stopped(limit, func() {
		b.mu.Lock()
		h := &s.hard
		due := !h.since.IsZero() && h.limit > 0 && !h.over && time.Since(h.since) >= h.limit
		h.over = h.over || due
		b.mu.Unlock()
		if due {
			b.endInFlight(s, limit)
		}
	})
}

// forgetHardStops lets go of the times that run: what is in flight when the Balancer ends, ends with it.
func (b *Balancer) forgetHardStops() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.clusters {
		for _, in := range c.instances {
			in.hard.serves(0)
		}
	}
}

// endInFlight ends everything that this node has in flight to an instance. That is no sign of the instance's health, and nothing of it goes to another one.
func (b *Balancer) endInFlight(s *instanceState, limit time.Duration) {
	n := 0
	for _, x := range s.roster.list() {
		if x.end(s) {
			n++
		}
	}
	if b.engine != nil {
		loops, err := b.engine.End(func(t *h1.Trip) bool {
			r, ok := t.Note.(*direct)
			return ok && r.in.state == s
		})
		if n += loops; err != nil && !errors.Is(err, h1.ErrClosed) {
			b.log.Error("requests on event loops were not ended", "cluster", s.cluster, "instance", s.name, "error", err)
		}
	}
	if n == 0 {
		return
	}
	b.log.Warn("what a stopped instance still had in flight has been ended", "cluster", s.cluster, "instance", s.name, "ended", n, "hardTimeout", limit)
	if !s.counters.retired.Load() {
		b.metrics.ended.WithLabelValues(s.cluster, s.name).Add(float64(n))
	}
	if b.opts.Ended != nil {
		b.opts.Ended(s.cluster, s.name, n, limit)
	}
}
