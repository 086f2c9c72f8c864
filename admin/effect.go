package admin

import (
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// maxEffect bounds each list of an effect in an answer. The counts are of all.
const maxEffect = 100

// effect describes what a change from one configuration to the next does or did. A quiesce that runs has its own end; of one that does not, it is the end that it would have from now.
func (a *API) effect(e fsm.Effect, from, next *config.Config) wire.Effect {
	op, now := a.opt.State.Operating(), a.clock()
	ends := make(map[fsm.Subject]time.Time, len(op.Quiesces))
	for i := range op.Quiesces {
		ends[op.Quiesces[i].Subject] = op.Quiesces[i].Deadline
	}
	until := func(s fsm.Subject, in time.Duration, planned bool) time.Time {
		if end, runs := ends[s]; runs && !planned {
			return end
		}
		return now.Add(in)
	}
	out := wire.Effect{Counts: wire.EffectCounts{Started: len(e.Started), Changed: len(e.Changed), Canceled: len(e.Canceled), Stopped: len(e.Stopped)}}
	for _, s := range first(e.Started) {
		out.Started = append(out.Started, wire.QuiesceStart{Subject: wireSubject(s.Subject), Timeout: s.Timeout, Until: until(s.Subject, time.Duration(s.Timeout), false), Sessions: s.Sessions})
	}
	for _, c := range first(e.Changed) {
		out.Changed = append(out.Changed, wire.QuiesceChange{Subject: wireSubject(c.Subject), Remaining: c.Remaining, Until: until(c.Subject, time.Duration(c.Remaining), true)})
	}
	for _, s := range first(e.Canceled) {
		out.Canceled = append(out.Canceled, wireSubject(s))
	}
	for _, d := range e.Stopped {
		out.Counts.Sessions += d.Sessions
	}
	turning := a.turning(from, next)
	for _, d := range first(e.Stopped) {
		out.Stopped = append(out.Stopped, wire.Displaced{Subject: wireSubject(d.Subject), Why: d.Why, Sessions: d.Sessions, Goes: turning.goes(d.Subject)})
	}
	return out
}

func first[T any](list []T) []T { return list[:min(len(list), maxEffect)] }
