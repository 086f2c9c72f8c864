package lb

import (
	"context"
	"time"
)

// What is known of a listener may have been overtaken: then a new probe is wanted at once, and one in flight is given up.

// anew has the listener probed at once, by a probe that begins at since or later.
func (p *prober) anew(since time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.anewLocked(since)
}

func (p *prober) anewLocked(since time.Time) {
	if p.stopped || !p.started.IsZero() && !p.started.Before(since) {
		return
	}
	p.again = true
	if !p.started.IsZero() {
		p.aborted = true
		p.abort()
	}
	p.poke()
}

// prove waits until a probe that began at since or later has been taken into account; it has one made if none was. It returns early when the
// listener is not probed any more. The error is ctx's.
func (p *prober) prove(ctx context.Context, since time.Time) error {
	for {
		p.mu.Lock()
		done, ended := p.stopped || !p.counted.Before(since), p.ended
		if !done {
			p.anewLocked(since)
		}
		p.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// demanded tells whether a probe is wanted at once.
func (p *prober) demanded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.again
}

// begin is the start of a probe, which abort gives up.
func (p *prober) begin(abort context.CancelFunc) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.started, p.abort, p.aborted, p.again = time.Now(), abort, false, false
	return p.started
}

// givenUp tells whether the probe in flight was.
func (p *prober) givenUp() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.aborted
}

// end tells those who wait that a probe has ended.
func (p *prober) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.started, p.abort = time.Time{}, nil
	close(p.ended)
	p.ended = make(chan struct{})
}

// stop lets go of those who wait: there are no more probes.
func (p *prober) stop() {
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	p.end()
}
