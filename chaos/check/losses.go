package check

import (
	"context"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/record"
)

// Loss is what the product has said of a group that goes on from an older state.
type Loss struct {
	// How is the command that had it go on.
	How string
	// After is the time up to which everything that was acknowledged is there, Ended when the last node that had more ended.
	After, Ended time.Time
	// Bound is how much earlier After may be than Ended, by what is documented; 0: nothing is.
	Bound time.Duration
}

// Losses keeps when the group went on from an older state. The zero value has none. That what was acknowledged before is there is judged by other checks, which ask nothing of later sessions.
type Losses struct{ told kept[Loss] }

// Told notes one.
func (l *Losses) Told(loss Loss) { l.told.add(loss) }

func losses(_ context.Context, e *Evidence) (v verdict) {
	told := e.Losses.told.list()
	if len(told) == 0 {
		v.none("the group never went on from an older state")
		return v
	}
	worst := time.Duration(0)
	for _, l := range told {
		behind := l.Ended.Sub(l.After)
		worst = max(worst, behind)
		switch {
		case l.After.IsZero():
			v.breaks("%s does not say up to when the group has everything", l.How)
		case behind < 0:
			v.breaks("%s says that the group has everything up to %s after its end: nobody was there to acknowledge that", l.How, record.Short(-behind))
		case l.Bound > 0 && behind > l.Bound:
			v.breaks("%s says that the group has everything up to %s before its end, documented are %s at most", l.How, record.Short(behind), record.Short(l.Bound))
		}
	}
	v.saw = sprintf("%s from an older state, of at most %s before the end; %s began after it, and all from before are judged", count(len(told), "time"), record.Short(worst), count(e.Ledger.LostAtMost(), "session"))
	return v
}
