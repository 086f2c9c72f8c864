package lb

import (
	"context"
	"sync"
	"time"
)

// responseTimeoutError says that an instance has not answered in time.
type responseTimeoutError struct{ after time.Duration }

func (e *responseTimeoutError) Error() string { return "no response within " + e.after.String() }

// Timeout makes it a net.Error's like, so that the client gets 504.
func (e *responseTimeoutError) Timeout() bool { return true }

// Temporary belongs to net.Error.
func (e *responseTimeoutError) Temporary() bool { return false }

// headWait bounds the wait for a response's head: the time in which the instance neither takes a piece of the request nor answers. It runs
// from when a connection is there, begins anew with each piece of the body, and stands still while the client is waited for. So it is the
// time since the request was sent for every instance that reads what it is sent, and also ends the wait for one that does not. Unlike
// http.Transport.ResponseHeaderTimeout it may differ from request to request.
type headWait struct {
	limit time.Duration // 0: no bound; fixed before the first attempt

	mu       sync.Mutex
	alarm    *alarm    // nil while no connection was needed
	deadline time.Time // zero while it does not run
	running  bool      // an attempt has a connection and no answer
	expired  bool
	cancel   context.CancelCauseFunc // of the present attempt
}

// begin prepares an attempt; its context ends when the time is over, or with end. close must be called in the end.
func (h *headWait) begin(ctx context.Context) context.Context {
	h.close()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.expired = false
	ctx, h.cancel = context.WithCancelCause(ctx)
	return ctx
}

// connected starts the time.
func (h *headWait) connected() {
	if h.limit <= 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running = true
	h.startLocked()
}

func (h *headWait) startLocked() {
	h.deadline = time.Now().Add(h.limit)
	if h.alarm == nil {
		h.alarm = newAlarm(h, h.limit)
		return
	}
	h.alarm.timer.Reset(h.limit)
}

func (h *headWait) stopLocked() {
	h.deadline = time.Time{}
	if h.alarm != nil {
		h.alarm.timer.Stop()
	}
}

// pause is called before the client is waited for, resume after.
func (h *headWait) pause() {
	if h.limit <= 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopLocked()
}

func (h *headWait) resume() {
	if h.limit <= 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running {
		h.startLocked()
	}
}

// ring is the end of the time.
func (h *headWait) ring() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.deadline.IsZero() || time.Now().Before(h.deadline) {
		return // it was stopped or begun anew meanwhile
	}
	h.expired, h.running = true, false
	h.cancel(&responseTimeoutError{h.limit})
}

// answered ends the wait; the error says that the time was over before.
func (h *headWait) answered() error {
	if h.limit <= 0 {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running = false
	h.stopLocked()
	if h.expired {
		return &responseTimeoutError{h.limit}
	}
	return nil
}

// end ends the attempt that is under way from outside, with its response if there is one.
func (h *headWait) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cancel != nil {
		h.cancel(errEnded)
	}
}

// close ends the attempt, with its response if there is one.
func (h *headWait) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running, h.deadline = false, time.Time{}
	if h.alarm != nil {
		h.alarm.end()
		h.alarm = nil
	}
	if h.cancel != nil {
		h.cancel(nil)
	}
}
