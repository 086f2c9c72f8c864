package lb

import (
	"math"
	"sync/atomic"
	"time"
)

// rate is a bound of requests per second with a burst. It is the generic cell rate algorithm: of whoever is bounded only one time is kept, as of which nothing is
// owed any more; each request moves it on by one step.
type rate struct {
	step  int64 // ns from one request to the next
	slack int64 // ns that may be owed when a request comes
}

// newRate gives the zero rate, which bounds nothing, for perSecond 0.
func newRate(perSecond, burst int) rate {
	if perSecond <= 0 {
		return rate{}
	}
	if burst <= 0 {
		burst = perSecond
	}
	step := int64(time.Second) / int64(perSecond)
	return rate{step, int64(burst-1) * step}
}

func (r rate) bounds() bool { return r.step > 0 }

// take lets one request pass, or says how long it has to wait. owed is the time as of which nothing is owed, now is of the same clock, both in ns. What an
// earlier, slower rate has left behind counts no more than this one can.
func (r rate) take(owed, now int64) (next, wait int64) {
	debt := min(max(owed-now, 0), r.slack+r.step)
	if debt > r.slack {
		return now + debt, debt - r.slack
	}
	return now + debt + r.step, 0
}

// meter applies a rate to everybody together.
type meter struct{ owed atomic.Int64 }

func (m *meter) take(r rate, now int64) (wait int64) {
	for {
		owed := m.owed.Load()
		next, wait := r.take(owed, now)
		if wait > 0 || m.owed.CompareAndSwap(owed, next) {
			return wait
		}
	}
}

var limitsBegan = time.Now()

// limitClock is a monotonic time in ns.
func limitClock() int64 { return int64(time.Since(limitsBegan)) }

// retryAfter is a wait in whole seconds for a client: at least one.
func retryAfter(wait int64) int {
	return max(1, int(math.Ceil(float64(wait)/float64(time.Second))))
}
