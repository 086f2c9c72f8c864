package record

import (
	"math"
	"slices"
	"time"
)

// second gathers the requests that end in the second that goes on.
type second struct {
	at         int
	failed     int
	refused    int
	waits      []float64 // of good answers, in milliseconds
	leaderless bool
}

// Request records that a request that was due at one moment ended at another; good says that it got the answer it had to get, refused how many
// answers with a status of 500 or above came on the way.
func (r *Recorder) Request(due, ended time.Time, good bool, refused int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return
	}
	// Those that end before the lock is free may be noted after later ones: none goes back into a second that is closed.
	at, since := max(r.Since(ended), 0), r.Since(due)
	r.turn(at)
	if r.idle {
		r.idle, r.last = false, max(since, 0)
	}
	r.silence(at)
	wait := max(ended.Sub(due), 0)
	r.second.refused += refused
	if good {
		r.second.waits = append(r.second.waits, float64(wait)/float64(time.Millisecond))
		r.last = max(r.last, at)
	} else {
		r.second.failed++
	}
	r.answering(since, at, func(f *Fault) {
		f.Refused += refused
		if good {
			f.Slowest = max(f.Slowest, wait)
		} else {
			f.Failed++
		}
	})
}

// Idle records that the load stands still: nobody waits for an answer until the next request is due.
func (r *Recorder) Idle() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.idle = true
}

// silence charges the time since the last good answer to the run, and to the faults that it overlaps.
func (r *Recorder) silence(at time.Duration) {
	gap := at - r.last
	r.run.Outage = max(r.run.Outage, gap)
	r.answering(r.last, at, func(f *Fault) { f.Outage = max(f.Outage, gap) })
}

// patience is the longest that a request may take and still be charged to a fault that was over long before it ended.
const patience = 5 * time.Minute

// answering calls do with each fault that answers for something that lasted from one time until another, which is now.
func (r *Recorder) answering(from, until time.Duration, do func(*Fault)) {
	kept := r.recent[:0]
	for _, n := range r.recent {
		f := &r.run.Faults[n]
		if !r.open[n] && until > f.To+Aftermath+patience {
			continue
		}
		kept = append(kept, n)
		if f.From <= until && (r.open[n] || from <= f.To+Aftermath) {
			do(f)
		}
	}
	r.recent = kept
}

// turn closes the seconds that are over.
func (r *Recorder) turn(at time.Duration) {
	if r.ended {
		return
	}
	for r.second.at < int(at/time.Second) {
		r.close()
	}
}

// close ends the second that goes on and begins the next.
func (r *Recorder) close() {
	r.run.Series = append(r.run.Series, r.so())
	r.second = second{at: r.second.at + 1, waits: r.second.waits[:0], leaderless: r.leader == ""}
}

// so is the second that goes on, as far as it has got.
func (r *Recorder) so() Second {
	s := &r.second
	slices.Sort(s.waits)
	return Second{
		At: s.at, Requests: len(s.waits) + s.failed, Failed: s.failed, Refused: s.refused,
		P50: quantile(s.waits, 0.5), P90: quantile(s.waits, 0.9), P99: quantile(s.waits, 0.99), Max: quantile(s.waits, 1),
		Leader: r.leader, Holder: r.holder, Leaderless: s.leaderless || r.leader == "",
	}
}

// quantile gives the smallest value that the share q (0 to 1) of a sorted list does not exceed, to a microsecond; 0 for an empty one.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := int(math.Ceil(q*float64(len(sorted)))) - 1
	return math.Round(sorted[max(at, 0)]*1000) / 1000
}
