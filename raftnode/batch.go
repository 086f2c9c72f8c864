package raftnode

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/internal/mutant"
)

// maxFlights is how many batches of one node are under way at once. What arrives meanwhile makes the next one. More flights
// make smaller batches, and so more fsyncs: with 64 callers on one disk 2 give a third more operations than 4 (BenchmarkRecord).
const maxFlights = 2

// pendingOp is one operation on its way. It is answered exactly once.
type pendingOp struct {
	op   fsm.SessionOp
	done chan struct{}
	res  fsm.SessionResult
	err  error

	sent      bool        // an attempt may have got through; of the recorder
	abandoned atomic.Bool // the caller has gone
}

// recorder is a node's end of group commit: it gathers operations, sends them in batches to whoever leads, and sends them
// again after an attempt that failed, the same operation each time, until it has an answer or the quorum is lost.
type recorder struct {
	n *Node

	mu      sync.Mutex
	queue   []*pendingOp
	flights int
	closed  bool
	notTill time.Time // after a failure
	retry   backoff

	kick chan struct{}
	wg   sync.WaitGroup
}

func newRecorder(n *Node) *recorder {
	return &recorder{n: n, kick: make(chan struct{}, 1), retry: backoff{base: 4 * time.Millisecond, limit: 100 * time.Millisecond}}
}

func (r *recorder) start() {
	r.wg.Add(1)
	go func() {
		defer r.wg.Done()
		r.run()
	}()
}

func (r *recorder) add(p *pendingOp) error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return ErrClosed
	}
	r.queue = append(r.queue, p)
	r.mu.Unlock()
	r.wake()
	return nil
}

func (r *recorder) wake() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// run sends what there is, whenever there is a leader and a free flight.
func (r *recorder) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for r.n.ctx.Err() == nil {
		at, _ := r.n.watch.get()
		// What is under way to an old leader is sent anew: it may never be answered.
		flight, cancel := context.WithCancel(r.n.ctx)
		r.serve(flight, at, timer)
		cancel()
		r.calm()
	}
	r.close()
}

// serve sends to one leader, or waits for one, until there is another.
func (r *recorder) serve(ctx context.Context, at leaderInfo, timer *time.Timer) {
	for {
		now, changed := r.n.watch.get()
		if now != at {
			return
		}
		timer.Reset(r.send(ctx, at))
		select {
		case <-r.kick:
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
}

// calm lets a new leader be asked at once.
func (r *recorder) calm() {
	r.mu.Lock()
	r.notTill = time.Time{}
	r.retry.reset()
	r.mu.Unlock()
}

// send starts flights and gives the time after which to look again.
func (r *recorder) send(ctx context.Context, to leaderInfo) time.Duration {
	if !to.known {
		if !r.n.watch.quorum() {
			r.failAll(func(p *pendingOp) error { return noQuorum(p.sent) })
			return time.Hour
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.queue) == 0 {
			return time.Hour
		}
		return r.n.timing.poll()
	}
	for {
		r.mu.Lock()
		if wait := time.Until(r.notTill); wait > 0 {
			r.mu.Unlock()
			return wait
		}
		if r.flights >= maxFlights {
			r.mu.Unlock()
			return time.Hour // the end of a flight wakes
		}
		batch := r.take()
		if len(batch) == 0 {
			r.mu.Unlock()
			return time.Hour
		}
		r.flights++
		r.wg.Add(1)
		r.mu.Unlock()
		go func() {
			defer r.wg.Done()
			r.fly(ctx, to, batch)
		}()
	}
}

// take removes up to maxBatchOps operations from the queue. r.mu is held.
func (r *recorder) take() []*pendingOp {
	var batch []*pendingOp
	i := 0
	for ; i < len(r.queue) && len(batch) < maxBatchOps; i++ {
		if !r.queue[i].abandoned.Load() {
			batch = append(batch, r.queue[i])
		}
	}
	clear(r.queue[:i])
	if r.queue = r.queue[i:]; len(r.queue) == 0 && cap(r.queue) > maxBatchOps {
		r.queue = nil
	}
	return batch
}

// fly makes one attempt with a batch.
func (r *recorder) fly(ctx context.Context, to leaderInfo, batch []*pendingOp) {
	ctx, cancel := context.WithTimeout(ctx, r.n.timing.attempt())
	defer cancel()
	ops := make([]fsm.SessionOp, len(batch))
	for i, p := range batch {
		ops[i] = p.op
	}
	results, err := r.n.recordAt(ctx, to, ops)
	r.n.noteOutcome(ctx, err)
	if err == nil {
		for i, p := range batch {
			p.res = results[i]
			close(p.done)
		}
		r.landed(nil, true)
		return
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && !to.self {
		r.n.pool.drop(to.addr, nameOf(to.id), err)
	}
	if noRoom := r.n.refusedForRoom(err); noRoom || errors.Is(err, ErrRefused) {
		for _, p := range batch {
			p.err = err
			if noRoom && p.sent {
				p.err = errors.Join(err, ErrTimeout)
			}
			close(p.done)
		}
		r.landed(nil, true)
		return
	}
	r.n.met.resent.Add(float64(len(batch)))
	if !notDone(err) {
		for _, p := range batch {
			p.sent = true
		}
		if mutant.On(mutant.BatchDropped) {
			for i, res := range assumed(ops) {
				batch[i].res = res
				close(batch[i].done)
			}
			batch = nil
		}
	}
	r.landed(batch, false)
}

// landed ends a flight; again is put back in front of the queue.
func (r *recorder) landed(again []*pendingOp, ok bool) {
	r.mu.Lock()
	r.flights--
	if ok {
		r.retry.reset()
	} else {
		r.notTill = time.Now().Add(r.retry.next())
		r.queue = slices.Concat(again, r.queue)
	}
	closed := r.closed
	r.mu.Unlock()
	if closed {
		r.failAll(func(p *pendingOp) error { return closedError(p.sent) })
	}
	r.wake()
}

func closedError(sent bool) error {
	if sent {
		return errors.Join(ErrClosed, ErrTimeout)
	}
	return ErrClosed
}

// failAll answers everything in the queue.
func (r *recorder) failAll(err func(*pendingOp) error) {
	r.mu.Lock()
	queue := r.queue
	r.queue = nil
	r.mu.Unlock()
	for _, p := range queue {
		p.err = err(p)
		close(p.done)
	}
}

// close takes nothing more. What is under way may still be answered.
func (r *recorder) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.failAll(func(p *pendingOp) error { return closedError(p.sent) })
}

// wait returns when nothing is under way; the node's context has ended.
func (r *recorder) wait() { r.wg.Wait() }
