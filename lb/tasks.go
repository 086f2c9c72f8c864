package lb

import (
	"context"
	"sync/atomic"
)

// tasks counts what is going on, requests and records alike, so that a Balancer can wait for it. Unlike a sync.WaitGroup it
// takes no more once it is closed, and entering is one atomic addition.
type tasks struct {
	state atomic.Int64 // number of tasks; closedBit when no more are taken
	idle  chan struct{}
}

const closedBit = 1 << 62

func newTasks() *tasks { return &tasks{idle: make(chan struct{})} }

// enter counts one task in; false when closed.
func (t *tasks) enter() bool {
	if t.state.Add(1)&closedBit != 0 {
		t.leave()
		return false
	}
	return true
}

func (t *tasks) leave() {
	if t.state.Add(-1) == closedBit {
		t.finish()
	}
}

// start runs f beside the caller; false when closed.
func (t *tasks) start(f func()) bool {
	if !t.enter() {
		return false
	}
	go func() {
		defer t.leave()
		f()
	}()
	return true
}

// close takes no more tasks. It may be called once.
func (t *tasks) close() {
	if t.state.Add(closedBit) == closedBit {
		t.finish()
	}
}

// finish is reached again when a late caller enters and leaves: only the first counts.
func (t *tasks) finish() {
	const doneBit = 1 << 61
	for {
		old := t.state.Load()
		if old&doneBit != 0 {
			return
		}
		if t.state.CompareAndSwap(old, old|doneBit) {
			close(t.idle)
			return
		}
	}
}

// wait returns when all tasks have left after close, or with ctx's error.
func (t *tasks) wait(ctx context.Context) error {
	select {
	case <-t.idle:
		return nil
	default:
	}
	select {
	case <-t.idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
