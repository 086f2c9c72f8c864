package lb

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// prober checks one listener URL again and again. One probe is in flight at a time; when it takes longer than the interval
// the probes that it overlaps are left out.
type prober struct {
	health   *health
	settings atomic.Pointer[healthSettings]
	// check makes one probe; nil means healthy.
	check func(context.Context, *healthSettings) error
	// changed is called after the verdict has changed.
	changed func(up bool, reason string)
	// phase is the part by which the first interval is shorter (probePhase).
	phase float64
	// wake makes the loop look at its settings and the verdict again.
	wake chan struct{}
	// contact is nil for a node that is never cut off; tried is told how each probe ended, and may be nil.
	contact *contact
	tried   func(*failedAttempt)
	// own reports whether a probe failed by this node's own fault, which says nothing about the listener; nil: never.
	own func(error) bool

	mu      sync.Mutex
	started time.Time          // of the probe in flight, zero for none
	abort   context.CancelFunc // gives it up
	aborted bool
	again   bool          // a probe is due, whatever the settings say
	counted time.Time     // start of the last probe that was taken into account
	ended   chan struct{} // closed at the end of a probe
	stopped bool
}

func newProber(h *health, s healthSettings, check func(context.Context, *healthSettings) error, changed func(bool, string)) *prober {
	p := &prober{health: h, check: check, changed: changed, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	p.settings.Store(&s)
	return p
}

// use takes new settings; the verdict stays as it is.
func (p *prober) use(s healthSettings) {
	p.settings.Store(&s)
	p.poke()
}

// suspect reports whether the listener is suspect now: as long after a failed request as it would be out of service at least.
func (p *prober) suspect() bool { return p.health.suspect(time.Now(), p.settings.Load().period(false)) }

// poke wakes the loop.
func (p *prober) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// run probes until ctx ends, for the first time at once.
func (p *prober) run(ctx context.Context) {
	defer p.stop()
	last := time.Time{}
	for ctx.Err() == nil {
		s := p.settings.Load()
		now := time.Now()
		up := p.health.up()
		due := last.Add(s.period(up))
		idle := s.idle(up)
		if p.demanded() || !idle && !due.After(now) {
			first := last.IsZero()
			p.probe(ctx, s)
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

// probe makes one check and takes it into account. One that failed and began before this node was in contact again proves nothing: it is repeated at once.
func (p *prober) probe(ctx context.Context, s *healthSettings) {
	defer p.end()
	for ctx.Err() == nil {
		checking, cancel := context.WithTimeout(ctx, s.timeout)
		started := p.begin(cancel)
		err := p.check(checking, s)
		cancel()
		if ctx.Err() != nil || err != nil && p.givenUp() {
			return
		}
		if err != nil && p.own != nil && p.own(err) {
			p.pass(started)
			return
		}
		if err == nil || !p.contact.look().outdates(started) {
			p.count(s, err, started)
			return
		}
	}
}

// count takes the outcome of a probe into account.
func (p *prober) count(s *healthSettings, err error, started time.Time) {
	var failed *failedAttempt
	rise := s.rise
	if err != nil {
		failed = &failedAttempt{started, time.Now(), isSilent(err)}
		p.health.fault(*failed)
	} else {
		p.health.fine(started)
		if last, _ := p.health.attempts(); p.contact.look().outdates(last.begun) {
			rise = 1 // it was taken out for what proves nothing
		}
	}
	reason := explain(s, err)
	if p.health.note(err == nil, reason, rise, s.fall, started, time.Now()) {
		p.changed(err == nil, reason)
	}
	p.pass(started)
	if p.tried != nil {
		p.tried(failed)
	}
}

// pass notes that the probe is over: who waits for it goes on with the verdict that there is.
func (p *prober) pass(started time.Time) {
	p.mu.Lock()
	p.counted = started
	p.mu.Unlock()
}
