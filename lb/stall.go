package lb

import (
	"io"
	"sync/atomic"
	"time"
)

// stall bounds the wait for the next piece of a response's body: it closes the body of an instance that takes longer. nil is no bound.
type stall struct {
	after time.Duration
	timer *time.Timer
	late  atomic.Bool
}

func newStall(body io.Reader, after time.Duration) *stall {
	closer, ok := body.(io.Closer)
	if after <= 0 || !ok {
		return nil
	}
	s := &stall{after: after}
	s.timer = time.AfterFunc(after, func() {
		s.late.Store(true)
		closer.Close()
	})
	s.timer.Stop()
	return s
}

// begin starts the time, stop ends it.
func (s *stall) begin() {
	if s != nil {
		s.timer.Reset(s.after)
	}
}

func (s *stall) stop() {
	if s != nil {
		s.timer.Stop()
	}
}

// cause is the error of a read: that of the body, or that the time was over.
func (s *stall) cause(err error) error {
	if s != nil && s.late.Load() {
		return &stalledError{s.after}
	}
	return err
}

// stalledError says that an instance has stopped in the middle of a response.
type stalledError struct{ after time.Duration }

func (e *stalledError) Error() string {
	return "nothing more of the response within " + e.after.String()
}

// Timeout makes it a time-out for the access log.
func (e *stalledError) Timeout() bool { return true }

// Temporary belongs to net.Error.
func (e *stalledError) Temporary() bool { return false }
