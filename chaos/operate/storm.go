package operate

import (
	"context"
	"fmt"
	"math/rand/v2"
)

// Outcome is what a plan predicts or an application reports.
type Outcome struct {
	// Index is the log index as of which a plan holds, or at which a change was applied.
	Index uint64
	// Effect and Changes say in a canonical text what happens to quiesces and sessions, and which fields change.
	Effect, Changes string
	// Displaced is how many sessions have to go elsewhere at once, over all instances.
	Displaced int
}

// Operator plans and applies changes at the group.
type Operator interface {
	Plan(ctx context.Context, c *Change) (Outcome, error)
	Apply(ctx context.Context, c *Change) (Outcome, error)
	// Quiesced tells whether a quiesce has ended by itself after one log index and before another: that is the one thing that may come between
	// a plan and its application here.
	Quiesced(ctx context.Context, after, before uint64) (bool, error)
}

// Storm is a series of random changes.
type Storm struct {
	Changes int
	// PlanEvery lets every so many-th change be planned first; 0: none.
	PlanEvery int
	// Done is called after each change with what the group reported, when it is not nil.
	Done func(n int, o Outcome)
}

// Result counts what a storm did.
type Result struct {
	Changes, Planned, Overtaken int
	// Wrong lists the plans that predicted something else than what happened.
	Wrong []string
}

// Run draws and applies the changes, one after the other. The error is for a change that was refused: each must succeed.
func (s Storm) Run(ctx context.Context, op Operator, m *Model, random *rand.Rand) (Result, error) {
	var r Result
	for n := range s.Changes {
		c := m.Draw(random)
		var predicted Outcome
		planned := s.PlanEvery > 0 && n%s.PlanEvery == 0
		if planned {
			var err error
			if predicted, err = op.Plan(ctx, c); err != nil {
				return r, fmt.Errorf("plan change %d, %+v: %w", n, c.Edits, err)
			}
		}
		c.Sent()
		outcome, err := op.Apply(ctx, c)
		if err != nil {
			return r, fmt.Errorf("apply change %d, %+v: %w", n, c.Edits, err)
		}
		c.Done()
		r.Changes++
		if planned {
			r.Planned++
			if err := r.compare(ctx, op, n, c, predicted, outcome); err != nil {
				return r, err
			}
		}
		if s.Done != nil {
			s.Done(n, outcome)
		}
	}
	return r, nil
}

func (r *Result) compare(ctx context.Context, op Operator, n int, c *Change, predicted, outcome Outcome) error {
	if predicted.Effect == outcome.Effect {
		return nil
	}
	overtaken, err := op.Quiesced(ctx, predicted.Index, outcome.Index)
	switch {
	case err != nil:
		return err
	case overtaken:
		r.Overtaken++
	default:
		r.Wrong = append(r.Wrong, fmt.Sprintf("change %d %+v now=%v\n  predicted at index %d: %s\n  happened at index %d:  %s",
			n, c.Edits, c.Now, predicted.Index, predicted.Effect, outcome.Index, outcome.Effect))
	}
	return nil
}
