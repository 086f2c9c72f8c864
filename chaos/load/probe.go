package load

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Gap is what a probe saw.
type Gap struct {
	Longest time.Duration // between two answers
	From    time.Time     // when the longest gap began
	Sent    int
	Failed  int // ticks that got no answer
	// Wait is how long after its tick each answer came: what a user would have waited, without coordinated omission.
	Wait *Latencies
}

func (g Gap) String() string {
	return fmt.Sprintf("longest gap %d ms, %d of %d failed, waits %s", g.Longest.Milliseconds(), g.Failed, g.Sent, g.Wait)
}

// Probe asks at a fixed rate, whatever becomes of the earlier requests.
type Probe struct {
	cancel context.CancelFunc
	done   chan struct{}
	users  chan *probeUser

	mu   sync.Mutex
	gap  Gap
	last time.Time
}

type probeUser struct {
	worker  *Worker
	session *Session
}

// probeUsers is how many requests of one probe can be under way; a tick that finds none free has failed.
const probeUsers = 64

// Probe begins a probe with one request each so often. A fresh probe makes a new session with each request; the other kind
// repeats requests of sessions that it makes first.
func (l *Load) Probe(ctx context.Context, every time.Duration, kind Kind, fresh bool) (*Probe, error) {
	p := &Probe{done: make(chan struct{}), users: make(chan *probeUser, probeUsers), gap: Gap{Wait: &Latencies{}}}
	for range probeUsers {
		u := &probeUser{worker: l.Worker()}
		if !fresh {
			var err error
			if u.session, err = u.worker.Start(ctx, kind, Any); err != nil {
				close(p.users)
				for u := range p.users {
					u.worker.Close()
				}
				return nil, fmt.Errorf("probe: %w", err)
			}
		}
		p.users <- u
	}
	ctx, p.cancel = context.WithCancel(ctx)
	p.last = time.Now()
	go p.run(ctx, every, kind)
	return p, nil
}

func (p *Probe) run(ctx context.Context, every time.Duration, kind Kind) {
	defer close(p.done)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		var due time.Time
		select {
		case due = <-tick.C:
		case <-ctx.Done():
			return
		}
		select {
		case u := <-p.users:
			go p.ask(context.WithoutCancel(ctx), u, kind, due)
		default:
			p.note(due, fmt.Errorf("%d requests are under way", probeUsers))
		}
	}
}

func (p *Probe) ask(ctx context.Context, u *probeUser, kind Kind, due time.Time) {
	var err error
	u.worker.Due(due)
	if u.session == nil {
		_, err = u.worker.Start(ctx, kind, Any)
	} else {
		err = u.worker.Visit(ctx, u.session, Any)
	}
	p.note(due, err)
	p.users <- u
}

func (p *Probe) note(due time.Time, err error) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gap.Sent++
	if err != nil {
		p.gap.Failed++
		return
	}
	p.gap.Wait.Add(now.Sub(due))
	if gap := now.Sub(p.last); gap > p.gap.Longest {
		p.gap.Longest, p.gap.From = gap, p.last
	}
	p.last = now
}

// Mark lets the measuring begin anew: a fault is about to happen. The gap that is under way counts from its beginning.
func (p *Probe) Mark() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gap = Gap{Wait: &Latencies{}}
}

// Gap is what the probe has seen so far, the gap that is under way included.
func (p *Probe) Gap() Gap {
	p.mu.Lock()
	defer p.mu.Unlock()
	gap := p.gap
	if open := time.Since(p.last); open > gap.Longest {
		gap.Longest, gap.From = open, p.last
	}
	return gap
}

// Stop ends the probe, waits for the requests that are under way, and tells what it saw.
func (p *Probe) Stop() Gap {
	p.cancel()
	<-p.done
	gap := p.Gap()
	for range probeUsers {
		(<-p.users).worker.Close()
	}
	return gap
}
