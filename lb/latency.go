package lb

import (
	"math"
	"sync"
	"time"
)

// latencyDecay is the time constant with which a latency is forgotten: after it a peak still counts for 37 %.
const latencyDecay = 10 * time.Second

// latency is the peak-sensitive moving average (peak EWMA) of an instance's response times. It rises to a longer time at once and falls
// only with time, so that an instance which has become slow is spared at once. The zero value has seen nothing. It may be used by any
// number of goroutines.
type latency struct {
	mu    sync.Mutex
	at    time.Time // of the last observation
	nanos float64
}

// observe takes one response time.
func (l *latency) observe(d time.Duration) { l.observeAt(time.Now(), d) }

// observeAt is observe at the given time.
func (l *latency) observeAt(now time.Time, d time.Duration) {
	sample := float64(max(d, 0))
	l.mu.Lock()
	defer l.mu.Unlock()
	if sample >= l.nanos || l.at.IsZero() {
		l.nanos = sample
	} else {
		keep := decay(now.Sub(l.at))
		l.nanos = l.nanos*keep + sample*(1-keep)
	}
	if now.After(l.at) {
		l.at = now
	}
}

// value is the average as of now, 0 when nothing was seen. It sinks while nothing is observed: an instance that was slow is tried again
// some time.
func (l *latency) value() time.Duration {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at.IsZero() {
		return 0
	}
	return time.Duration(l.nanos * decay(now.Sub(l.at)))
}

// decay is what is left of an observation after some time.
func decay(since time.Duration) float64 {
	if since <= 0 {
		return 1
	}
	return math.Exp(-float64(since) / float64(latencyDecay))
}
