package server

import (
	"context"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// restoreIdle is for how long nothing may come of an archive that is restored into the group: whoever sent it is gone, and all nodes hold what has come in memory.
const restoreIdle = 5 * time.Minute

// restoreDuty gives up restores that nobody goes on with. Parts do not change Operating, so it looks at times of its own.
type restoreDuty struct {
	*term
	// under is the restore that is under way, nil for none.
	under func() (*fsm.Restoring, uint64)
}

func (restoreDuty) name() string { return "restore" }

func (d restoreDuty) look(ctx context.Context) (time.Duration, error) {
	p, _ := d.under()
	if p == nil {
		return never, nil
	}
	if left := restoreIdle - d.now().Sub(p.Last); left > 0 {
		return min(left, never), nil
	}
	// A refusal is no failure: it went on, or is over.
	_, err := d.do(ctx, &fsm.RestoreDrop{ID: p.ID, Reason: "nothing more has come"})
	return refusedPause, err
}
