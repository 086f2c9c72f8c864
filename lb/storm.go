package lb

import (
	"sync/atomic"
	"time"
)

const (
	// stormLimit is how many unassigned requests of a module in one minute may come with a session id that is unknown or does not open. More mean that
	// clients do not get back what they were given: URLs that are not of one form, a cookie with another path, an application that forgets its sessions.
	stormLimit = 120
	// moduleQuiet is how long a warning about a module is not repeated.
	moduleQuiet = time.Hour
)

// storm notices a module that begins a new session with each request. It counts by the minute, with atomics only: two requests at the turn of a minute
// may be miscounted.
type storm struct {
	minute atomic.Int64
	count  atomic.Int64
	said   seldom
}

// seldom spaces out what is said again and again: moduleQuiet. It may be used by any number of goroutines.
type seldom struct{ last atomic.Int64 } // Unix seconds

// due reports whether it is time to say it, and takes it for said.
func (s *seldom) due(now time.Time) bool {
	last := s.last.Load()
	return now.Unix()-last >= int64(moduleQuiet/time.Second) && s.last.CompareAndSwap(last, now.Unix())
}

// note counts one such request and reports whether it is time to say so.
func (s *storm) note(now time.Time) bool {
	minute := now.Unix() / 60
	if old := s.minute.Load(); old != minute && s.minute.CompareAndSwap(old, minute) {
		s.count.Store(0)
	}
	if s.count.Add(1) <= stormLimit {
		return false
	}
	return s.said.due(now)
}

// noteUnrecognised is called for an unassigned request; it looks whether the client came with something that should have named its session.
func (x *exchange) noteUnrecognised() {
	if !x.unknown && !x.rejected {
		return
	}
	x.b.metrics.unrecognised.WithLabelValues(x.mod.cluster.name).Inc()
	if x.mod.state.storm.note(x.start) {
		x.b.log.Warn("the sessions of a module are not recognised: requests come with session ids that are unknown or not authentic, and begin new sessions; "+
			"see whether its cookies have the right path and its application keeps its sessions",
			"cluster", x.mod.cluster.name, "host", x.mod.host, "contextRoot", x.mod.root, "perMinute", stormLimit)
	}
}
