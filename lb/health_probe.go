package lb

import (
	"context"
	"sync/atomic"
	"time"
)

// prober checks one listener URL again and again. One probe is in flight at a time; when it takes longer than the interval
// the probes that it overlaps are left out.
type prober struct {
	health   *health
	settings atomic.Pointer[healthSettings]
	// check makes one probe; an empty reason means healthy.
	check func(context.Context, *healthSettings) (reason string)
	// changed is called after the verdict has changed.
	changed func(up bool, reason string)
	// phase is the part by which the first interval is shorter (probePhase).
	phase float64
	// wake makes the loop look at its settings and the verdict again.
	wake chan struct{}
}

func newProber(h *health, s healthSettings, check func(context.Context, *healthSettings) string, changed func(bool, string)) *prober {
	p := &prober{health: h, check: check, changed: changed, wake: make(chan struct{}, 1)}
	p.settings.Store(&s)
	return p
}

// use takes new settings; the verdict stays as it is.
func (p *prober) use(s healthSettings) {
	p.settings.Store(&s)
	p.poke()
}

// poke wakes the loop.
func (p *prober) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// run probes until ctx ends, for the first time at once.
func (p *prober) run(ctx context.Context) {
	last := time.Time{}
	for ctx.Err() == nil {
		s := p.settings.Load()
		now := time.Now()
		up := p.health.up()
		due := last.Add(s.period(up))
		idle := s.idle(up)
		if !idle && !due.After(now) {
			first := last.IsZero()
			p.probe(ctx, s, now)
			last = skipMissed(now, s.period(p.health.up()))
			if first && p.health.up() {
				last = last.Add(-time.Duration(p.phase * float64(s.interval)))
			}
			continue
		}
		wait := time.NewTimer(time.Until(due))
		tick := wait.C
		if idle {
			tick = nil
		}
		select {
		case <-tick:
		case <-p.wake:
			if up && !p.health.up() {
				last = time.Now() // just refused: give it the recovery interval before the first probe
			}
		case <-ctx.Done():
		}
		wait.Stop()
	}
}

// skipMissed gives the start from which the next period counts: the time at which this probe started, or a whole number of
// periods later when it outlasted them.
func skipMissed(started time.Time, period time.Duration) time.Time {
	if over := time.Since(started); over > period {
		return started.Add(over.Truncate(period))
	}
	return started
}

func (p *prober) probe(ctx context.Context, s *healthSettings, started time.Time) {
	probeCtx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	reason := p.check(probeCtx, s)
	if ctx.Err() != nil {
		return
	}
	if p.health.note(reason == "", reason, s.rise, s.fall, started, time.Now()) {
		p.changed(reason == "", reason)
	}
}
