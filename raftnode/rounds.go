package raftnode

import (
	"context"
	"sync"
)

// rounds lets many callers share one read-index request. A caller never joins a round that has begun: its answer might be
// older than the call.
type rounds struct {
	mu      sync.Mutex
	running bool
	next    *round
}

type round struct {
	done  chan struct{}
	index uint64
	err   error
}

// join waits for a round that begins after the call. ask runs once a round, one round at a time.
func (r *rounds) join(ctx context.Context, ask func() (uint64, error)) (uint64, error) {
	r.mu.Lock()
	if r.next == nil {
		r.next = &round{done: make(chan struct{})}
	}
	mine := r.next
	if !r.running {
		r.running = true
		go r.run(ask)
	}
	r.mu.Unlock()
	select {
	case <-mine.done:
		return mine.index, mine.err
	case <-ctx.Done():
		return 0, timeout(ctx)
	}
}

func (r *rounds) run(ask func() (uint64, error)) {
	for {
		r.mu.Lock()
		now := r.next
		r.next = nil
		if now == nil {
			r.running = false
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		now.index, now.err = ask()
		close(now.done)
	}
}
