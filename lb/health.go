package lb

import (
	"sync"
	"sync/atomic"
	"time"
)

// health is the verdict on one listener URL of an instance. It starts as available.
type health struct {
	isUp   atomic.Bool  // mirror of the verdict for the hot path
	failed atomic.Int32 // requests in a row that met a passive failure

	mu     sync.Mutex
	met    time.Time // when the latest of them ended
	streak int       // probes in a row that contradict the verdict
	since  time.Time
	reason string
	last   failedAttempt // the latest attempt that failed, whether it counted or not
	found  time.Time     // when the latest check began that found the listener in order
}

// failedAttempt is an attempt at a listener that failed: a check, or a request that could not be handed over or got no answer.
type failedAttempt struct {
	begun, ended time.Time
	// silent: nothing came back. It may as well be this node that nothing reaches.
	silent bool
}

func newHealth(now time.Time) *health {
	h := &health{since: now}
	h.isUp.Store(true)
	return h
}

func (h *health) up() bool { return h.isUp.Load() }

// fault notes an attempt that failed.
func (h *health) fault(f failedAttempt) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !f.begun.Before(h.last.begun) {
		h.last = f
	}
}

// fine notes a check that found the listener in order.
func (h *health) fine(begun time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.found = begun
}

// attempts gives the latest one that failed and when the latest good check began, each zero for none.
func (h *health) attempts() (failed failedAttempt, found time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last, h.found
}

// verdict gives the verdict, since when it holds, and why it is not "up".
func (h *health) verdict() (up bool, since time.Time, reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.isUp.Load(), h.since, h.reason
}

// suspect reports whether probes or requests have failed, but not yet as many in a row as take the listener out. What a request met is held against it
// for the given time only: who is suspect gets hardly any requests, so there may be none that ends the row, and checks do not end it either.
func (h *health) suspect(now time.Time, hold time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.isUp.Load() && (h.streak > 0 || h.failed.Load() > 0 && now.Sub(h.met) < hold)
}

// note takes the outcome of a probe that was started at the given time: rise good ones in a row raise, fall bad ones lower.
// It reports whether the verdict changed.
func (h *health) note(ok bool, reason string, rise, fall int, started, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	up := h.isUp.Load()
	if ok == up {
		h.streak = 0
		if !up {
			h.reason = reason
		}
		return false
	}
	if ok && started.Before(h.since) {
		return false // it set out before the request that failed: it says nothing about now
	}
	h.streak++
	need := rise
	if up {
		need = fall
	}
	if h.streak < need {
		return false
	}
	h.set(ok, reason, now)
	return true
}

// refused takes down at once what a request could not be handed over to. It reports whether the verdict changed.
func (h *health) refused(reason string, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.isUp.Load() {
		return false
	}
	h.set(false, reason, now)
	return true
}

// bad takes a passive failure of a request that was sent at the given time: fails of them in a row take the listener down. It reports
// whether the verdict changed. Requests that were sent before the verdict say nothing about what holds since.
func (h *health) bad(reason string, fails int, sent, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.isUp.Load() || sent.Before(h.since) {
		return false
	}
	h.met = now
	if int(h.failed.Add(1)) < fails {
		return false
	}
	h.set(false, reason, now)
	return true
}

// good ends a row of passive failures.
func (h *health) good() {
	if h.failed.Load() != 0 {
		h.failed.Store(0)
	}
}

func (h *health) set(up bool, reason string, now time.Time) {
	if up {
		reason = ""
	}
	h.isUp.Store(up)
	h.failed.Store(0)
	h.streak, h.since, h.reason = 0, now, reason
}
