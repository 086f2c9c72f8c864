package raftnode

import (
	"context"
	"sync"

	"github.com/holdfast-lb/holdfast/fsm"
)

// broadcast wakes all that wait, without polling. The zero value is ready.
type broadcast struct {
	mu sync.Mutex
	ch chan struct{}
}

// wait gives a channel that the next signal closes. Look at the condition after taking it.
func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *broadcast) signal() {
	b.mu.Lock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
	b.mu.Unlock()
}

// waitApplied returns nil once state has applied index.
func waitApplied(ctx context.Context, state *fsm.State, b *broadcast, index uint64) error {
	for {
		if state.Applied() >= index {
			return nil
		}
		ch := b.wait()
		if state.Applied() >= index {
			return nil
		}
		select {
		case <-ch:
		case <-ctx.Done():
			return timeout(ctx)
		}
	}
}

// WaitApplied returns nil once this node has applied index. After Propose it makes the node read its own write.
func (n *Node) WaitApplied(ctx context.Context, index uint64) error {
	return waitApplied(ctx, n.state, &n.applied, index)
}
