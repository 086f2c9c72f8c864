package lb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
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
		idle := s.kind == "none" && up // nothing to check; only a refused request changes that
		if !idle && !due.After(now) {
			p.probe(ctx, s, now)
			last = skipMissed(due, now, s.period(p.health.up()))
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
func skipMissed(due, started time.Time, period time.Duration) time.Time {
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

// checkListener makes one probe of a listener URL. Type none only finds out whether a refused listener accepts again.
func (e *endpoint) checkListener(ctx context.Context, s *healthSettings) string {
	var err error
	if s.kind == "http" {
		err = e.checkHTTP(ctx, s)
	} else {
		var conn net.Conn
		if conn, err = e.dialer.DialContext(ctx, "tcp", e.hostPort); err == nil {
			err = conn.Close()
		}
	}
	switch {
	case err == nil:
		return ""
	case errors.Is(err, context.DeadlineExceeded) || isTimeout(err):
		return fmt.Sprintf("no answer within %v", s.timeout)
	default:
		return err.Error()
	}
}

func (e *endpoint) checkHTTP(ctx context.Context, s *healthSettings) error {
	url, err := config.HealthURL(e.url, s.path)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r.Header.Set("User-Agent", "holdfast-health")
	r.Close = true // a connection of its own also proves that the instance still accepts
	resp, err := e.transport.RoundTrip(r)
	if err != nil {
		return err
	}
	io.CopyN(io.Discard, resp.Body, 4<<10) // lets a small answer end in order; its text is of no interest
	resp.Body.Close()
	if !s.healthy.Contains(resp.StatusCode) {
		return fmt.Errorf("health check answered %d, not %s", resp.StatusCode, s.expect)
	}
	return nil
}

// isTimeout reports whether the network says that the time is over.
func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}
