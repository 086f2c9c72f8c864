package lb

import (
	"sync"
	"time"
)

// coldShare is what an instance begins its slow start with, of what the policy would give it.
const coldShare = 0.1

// warmup is the slow start of an instance: after it has begun to take requests its share grows evenly from coldShare to the whole. It thins out what
// the policy decides, so it is the same for all policies.
type warmup struct {
	mu      sync.Mutex
	serving bool
	since   time.Time // zero: warm since ever
	credit  float64
}

// follow notes whether the instance takes unassigned requests. One that begins to is cold.
func (w *warmup) follow(serving bool, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if serving && !w.serving {
		w.since, w.credit = now, 0
	}
	w.serving = serving
}

// startWarm makes an instance that is there when the node starts: it has not just come up, only this node has.
func (w *warmup) startWarm() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.serving = true
}

// share is what the instance may have of its whole share, from coldShare to 1.
func (w *warmup) share(now time.Time, span time.Duration) float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if span <= 0 || w.since.IsZero() {
		return 1
	}
	age := now.Sub(w.since)
	if age >= span {
		return 1
	}
	return coldShare + (1-coldShare)*max(age, 0).Seconds()/span.Seconds()
}

// admit tells whether the instance takes a request for which it was chosen: evenly spread, the given share of them.
func (w *warmup) admit(share float64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.credit += share; w.credit < 1 {
		return false
	}
	w.credit--
	return true
}
