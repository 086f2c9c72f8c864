package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// scheduleDuty applies scheduled changes at their time. Each takes effect once, whoever leads: the change takes its schedule off the list, and is
// refused when it is not there any more.
type scheduleDuty struct{ *term }

func (scheduleDuty) name() string { return "schedule" }

func (d scheduleDuty) look(ctx context.Context) (time.Duration, error) {
	op := d.state.Operating()
	again := never
	now := d.now().Truncate(time.Millisecond)
	for i := range op.Schedules {
		s := &op.Schedules[i]
		if left := s.At.Sub(now); left > 0 {
			again = min(again, left)
			continue
		}
		// One at a time, in their order: each is made to what the one before has left.
		return 0, d.apply(ctx, op, s)
	}
	return again, nil
}

// apply carries out a schedule, or takes it off the list with the reason for which it cannot be.
func (d scheduleDuty) apply(ctx context.Context, op *fsm.Operating, s *fsm.Schedule) error {
	change := &fsm.ConfigChange{Expect: s.Expect, Actor: s.Actor, Message: s.Message, Now: s.Now, Schedule: s.ID, Config: s.Config}
	if change.Config == nil {
		next, err := op.Revision.Config.Apply(s.Edits)
		if err != nil {
			return d.drop(ctx, s, fmt.Sprintf("its edits do not fit the configuration of revision %d: %v", op.Revision.Number, err))
		}
		change.Expect, change.Config = op.Revision.Number, next
	}
	if _, err := fsm.Encode(time.Time{}, change); err != nil {
		return d.drop(ctx, s, err.Error())
	}
	r, err := d.do(ctx, change)
	switch {
	case err != nil:
		return err
	case r.Code == fsm.CodeOK:
		return nil
	case r.Code == fsm.CodeConflict && s.Config == nil:
		return errors.New("somebody changed the configuration in the same moment")
	case r.Code == fsm.CodeConflict:
		return d.drop(ctx, s, fmt.Sprintf("it was made from revision %d, and the configuration has changed since: make it again from the current one", s.Expect))
	case r.Code == fsm.CodeLocked && r.Lock != nil:
		return d.drop(ctx, s, fmt.Sprintf("the maintenance lock is on (%s: %s): schedule it again for when it is off", r.Lock.Owner, r.Lock.Reason))
	}
	return d.drop(ctx, s, refusal(r).Error())
}

func (d scheduleDuty) drop(ctx context.Context, s *fsm.Schedule, failure string) error {
	r, err := d.do(ctx, &fsm.ScheduleDrop{ID: s.ID, Actor: s.Actor, Failure: clip(failure, maxFailure)})
	if err == nil && r.Code != fsm.CodeAbsent { // absent: somebody took it back a moment ago
		err = refusal(r)
	}
	return err
}
