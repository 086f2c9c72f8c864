package lb

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

const (
	// maxPending bounds the memory of a node that is cut off; beyond it only the clients' cookies know.
	maxPending = 1 << 17
	// pendingPoll is how often a node that owes records looks whether the quorum is back.
	pendingPoll    = 100 * time.Millisecond
	pendingWorkers = 64
)

// pending holds what was decided while no majority could record it. A new session (OpAssign) is a debt, recorded when the quorum is back, and so is
// the touch of a session that was in use. The fail-over of a session that the group has on record (OpMove, OpMoveAt) is only a pin: this node keeps to it while there is no quorum, and drops it
// then, because the majority may have gone on with the session meanwhile and a late move would override what it has acknowledged. The end of a key that no client has
// heard of (OpDrop) is a debt as well: the group may have a record of it.
type pending struct {
	count atomic.Int64 // len(ops): lets look-ups pass without the lock
	wake  chan struct{}

	mu  sync.RWMutex
	ops map[fsm.Key]fsm.SessionOp
}

func newPending() *pending {
	return &pending{ops: make(map[fsm.Key]fsm.SessionOp), wake: make(chan struct{}, 1)}
}

// isMove reports whether a kind is that of a fail-over, whatever the move goes by.
func isMove(kind fsm.OpKind) bool { return kind == fsm.OpMove || kind == fsm.OpMoveAt }

// put notes an OpAssign, a move (with Expect, whatever it goes by), an OpTouch or an OpDrop. A move of a session that is itself owed changes what is owed; an OpDrop takes the
// place of whatever that is. When the map is full, new keys are left out, touches and drops when it is half full.
func (p *pending) put(op fsm.SessionOp) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old, ok := p.ops[op.Key]
	least := op.Kind == fsm.OpTouch || op.Kind == fsm.OpDrop
	switch {
	case ok && op.Kind == fsm.OpTouch:
		return // whatever is owed marks the session as in use
	case ok && old.Kind != fsm.OpTouch && op.Kind != fsm.OpDrop:
		op.Kind, op.Expect, op.Version = old.Kind, old.Expect, old.Version
	case !ok && (len(p.ops) >= maxPending || least && len(p.ops) >= maxPending/2):
		return
	}
	p.ops[op.Key] = op
	p.count.Store(int64(len(p.ops)))
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *pending) get(key fsm.Key) (fsm.SessionOp, bool) {
	if p.count.Load() == 0 {
		return fsm.SessionOp{}, false
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	op, ok := p.ops[key]
	return op, ok
}

// forget drops what is owed for a key: the group has decided about it.
func (p *pending) forget(key fsm.Key) {
	if p.count.Load() == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.ops, key)
	p.count.Store(int64(len(p.ops)))
}

// settled forgets op, unless it has been changed since it was taken.
func (p *pending) settled(op fsm.SessionOp) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ops[op.Key] == op {
		delete(p.ops, op.Key)
		p.count.Store(int64(len(p.ops)))
	}
}

func (p *pending) all() []fsm.SessionOp {
	p.mu.RLock()
	defer p.mu.RUnlock()
	ops := make([]fsm.SessionOp, 0, len(p.ops))
	for _, op := range p.ops {
		ops = append(ops, op)
	}
	return ops
}

// payDebts records what is owed once there is a quorum, until ctx ends.
func (b *Balancer) payDebts(ctx context.Context) {
	for {
		if b.pending.count.Load() == 0 {
			select {
			case <-b.pending.wake:
			case <-ctx.Done():
				return
			}
			continue
		}
		if b.recorder.Quorum() {
			b.recordOwed(ctx)
		}
		pause := time.NewTimer(pendingPoll)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return
		}
	}
}

// recordOwed makes one pass over what is owed, and drops the pins. Whatever code the group answers with, it has decided; after an error the
// operation stays for the next pass.
func (b *Balancer) recordOwed(ctx context.Context) {
	ops := b.pending.all()
	work := make(chan fsm.SessionOp)
	var workers sync.WaitGroup
	for range min(pendingWorkers, len(ops)) {
		workers.Go(func() {
			for op := range work {
				if isMove(op.Kind) {
					b.pending.settled(op)
					continue
				}
				res, err := b.record(ctx, op)
				if err == nil || res.Code != fsm.CodeOK {
					b.pending.settled(op)
				}
			}
		})
	}
	for _, op := range ops {
		if ctx.Err() != nil || !b.recorder.Quorum() {
			break
		}
		work <- op
	}
	close(work)
	workers.Wait()
}
