package server

import (
	"context"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// lockDuty takes the maintenance lock off when its time is over.
type lockDuty struct{ *term }

func (lockDuty) name() string { return "lock" }

func (d lockDuty) look(ctx context.Context) (time.Duration, error) {
	lock := d.state.Operating().Lock
	if lock == nil || lock.Until.IsZero() {
		return never, nil
	}
	if left := lock.Until.Sub(d.now().Truncate(time.Millisecond)); left > 0 {
		return min(left, never), nil
	}
	// A refusal is no failure: the owner prolonged it, or took it off.
	_, err := d.do(ctx, &fsm.LockClear{Actor: "time-out", Expired: true})
	return refusedPause, err
}
