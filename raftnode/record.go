package raftnode

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// Record has one session operation recorded and gives its result, once a majority has it. Without a leader it waits for
// one until ctx ends, but not when there has been none for three election time-outs: then it fails with ErrNoQuorum at once.
// ErrTimeout means that the outcome is unknown; recording the same operation again is harmless.
func (n *Node) Record(ctx context.Context, op fsm.SessionOp) (fsm.SessionResult, error) {
	if !n.watch.quorum() {
		return fsm.SessionResult{}, ErrNoQuorum
	}
	p := &pendingOp{op: op, done: make(chan struct{})}
	if err := n.rec.add(p); err != nil {
		return fsm.SessionResult{}, err
	}
	select {
	case <-p.done:
		return p.res, p.err
	case <-ctx.Done():
		p.abandoned.Store(true)
		return fsm.SessionResult{}, timeout(ctx)
	}
}

// recordAt makes one attempt to have ops recorded by the leader, here or there.
func (n *Node) recordAt(ctx context.Context, to leaderInfo, ops []fsm.SessionOp) ([]fsm.SessionResult, error) {
	if to.self {
		return n.commitOps(ctx, ops)
	}
	start := time.Now()
	b, err := n.pool.call(ctx, to.addr, nameOf(to.id), callRecord, encodeOps(ops))
	if err != nil {
		return nil, err
	}
	n.met.forward.Observe(time.Since(start).Seconds())
	return decodeResults(b, len(ops))
}

// handleRecord is the leader's end of another node's batch.
func (n *Node) handleRecord(ctx context.Context, _ caller, payload []byte) ([]byte, error) {
	ops, err := decodeOps(payload)
	if err != nil {
		var f *failure
		if errors.As(err, &f) {
			return nil, err
		}
		return nil, refused("%v", err)
	}
	results, err := n.commitOps(ctx, ops)
	if err != nil {
		return nil, err
	}
	return encodeResults(results), nil
}
