package raftnode

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/internal/mutant"
)

// maxEntries is how many merged entries a leader has under way. raft writes those that wait with one fsync.
const maxEntries = 2

// enqueueWait bounds the wait for a place in raft's queue.
const enqueueWait = time.Second

// stamper hands entries to raft in the order of their times.
type stamper struct {
	mu   sync.Mutex
	last time.Time
}

// apply encodes an entry with the group's time, which never goes back, and gives it to raft. It waits for the result.
func (n *Node) apply(encode func(now time.Time) ([]byte, error)) (fsm.Result, error) {
	if !n.flying.begin() {
		return fsm.Result{}, n.notLeader()
	}
	defer n.flying.end()
	future, err := n.hand(encode)
	if err != nil {
		return fsm.Result{}, err
	}
	if err := future.Error(); err != nil {
		return fsm.Result{}, n.applyError(err)
	}
	switch v := future.Response().(type) {
	case fsm.Result:
		return v, nil
	case error:
		return fsm.Result{}, fmt.Errorf("apply: %w", v)
	}
	return fsm.Result{}, errors.New("BUG: entry without a result")
}

// hand gives an entry to raft. What raft never answers, because it hangs in a write that never ends, the caller must not wait for.
func (n *Node) hand(encode func(now time.Time) ([]byte, error)) (raft.ApplyFuture, error) {
	r := n.raft.Load()
	if r == nil {
		return nil, n.notLeader()
	}
	if err := n.noRoom(); err != nil {
		return nil, err
	}
	s := &n.stamp
	s.mu.Lock()
	defer s.mu.Unlock()
	now, sure := n.clock.now()
	if !sure {
		n.doubtClock()
	}
	if mutant.On(mutant.ClockLocal) {
		now = n.opt.Now()
	}
	for _, t := range []time.Time{s.last, n.state.Now()} {
		if t.After(now) {
			now = t
		}
	}
	s.last = now
	b, err := encode(now)
	if err == nil {
		err = n.gate(b)
	}
	if err != nil {
		return nil, err
	}
	return r.Apply(b, enqueueWait), nil
}

// applyError tells whether an entry that raft did not commit may be committed yet (raft api.go, Apply).
func (n *Node) applyError(err error) error {
	switch {
	case errors.Is(err, raft.ErrNotLeader):
		return n.notLeader()
	case errors.Is(err, raft.ErrLeadershipTransferInProgress), errors.Is(err, raft.ErrEnqueueTimeout):
		return retryLater(err.Error())
	}
	return fmt.Errorf("commit: %w", err)
}

// notLeader names the leader if this node knows it.
func (n *Node) notLeader() error {
	f := &failure{code: failNotLeader}
	if at, _ := n.watch.get(); at.known && !at.self {
		f.leaderID, f.leader = at.id, at.addr
	}
	return f
}

// committer merges the batches of all nodes into entries, for one term.
type committer struct {
	n *Node

	mu     sync.Mutex
	queue  []*submission
	flying int
	ended  bool
	kick   chan struct{}
}

// submission is one batch that waits. done is answered exactly once.
type submission struct {
	ops  []fsm.SessionOp
	done chan submitted
}

type submitted struct {
	results []fsm.SessionResult
	err     error
}

func newCommitter(n *Node) *committer { return &committer{n: n, kick: make(chan struct{}, 1)} }

// commitOps commits a batch if this node leads. After ctx has ended the outcome is unknown.
func (n *Node) commitOps(ctx context.Context, ops []fsm.SessionOp) ([]fsm.SessionResult, error) {
	l := n.lead.Load()
	if l == nil {
		return nil, n.notLeader()
	}
	if err := n.barred(); err != nil { // its answers would be those of a state that is wrong
		return nil, retryLater(err.Error())
	}
	s := &submission{ops: ops, done: make(chan submitted, 1)}
	if !l.committer.submit(s) {
		return nil, n.notLeader()
	}
	select {
	case got := <-s.done:
		return got.results, got.err
	case <-ctx.Done():
		return nil, timeout(ctx)
	}
}

func (c *committer) submit(s *submission) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return false
	}
	c.queue = append(c.queue, s)
	c.wake()
	return true
}

func (c *committer) wake() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// run commits until the term ends, and then refuses what waits.
func (c *committer) run(ctx context.Context) {
	for {
		for subs := c.take(); subs != nil; subs = c.take() {
			go c.commit(subs)
		}
		select {
		case <-c.kick:
		case <-ctx.Done():
			return
		}
	}
}

// end refuses what waits; nothing of it has been proposed.
func (c *committer) end() {
	c.mu.Lock()
	queue := c.queue
	c.queue, c.ended = nil, true
	c.mu.Unlock()
	for _, s := range queue {
		s.done <- submitted{err: c.n.notLeader()}
	}
}

// take gives the next entry's batches, nil when there is nothing to do now.
func (c *committer) take() []*submission {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flying >= maxEntries || len(c.queue) == 0 {
		return nil
	}
	n, ops := 0, 0
	for n < len(c.queue) && (n == 0 || ops+len(c.queue[n].ops) <= maxBatchOps) {
		ops += len(c.queue[n].ops)
		n++
	}
	subs := c.queue[:n:n]
	if c.queue = c.queue[n:]; len(c.queue) == 0 {
		c.queue = nil
	}
	c.flying++
	return subs
}

func (c *committer) commit(subs []*submission) {
	var ops []fsm.SessionOp
	for _, s := range subs {
		ops = append(ops, s.ops...)
	}
	if mutant.On(mutant.AckBeforeCommit) {
		answer(subs, assumed(ops), nil)
		time.Sleep(rand.N(200 * time.Millisecond))
	}
	res, err := c.n.apply(func(now time.Time) ([]byte, error) { return fsm.EncodeSessions(now, ops), nil })
	if err == nil && len(res.Sessions) != len(ops) {
		err = fmt.Errorf("BUG: %d results for %d operations", len(res.Sessions), len(ops))
	}
	if err == nil {
		c.n.met.commits.WithLabelValues("sessions").Inc()
		c.n.met.batch.Observe(float64(len(ops)))
	}
	answer(subs, res.Sessions, err)
	c.mu.Lock()
	c.flying--
	c.mu.Unlock()
	c.wake()
}

// answer is the one place where a leader answers batches. A second answer to the same is dropped.
func answer(subs []*submission, results []fsm.SessionResult, err error) {
	for _, s := range subs {
		got := submitted{err: err}
		if err == nil {
			got.results, results = results[:len(s.ops)], results[len(s.ops):]
		}
		select {
		case s.done <- got:
		default:
		}
	}
}

// assumed is what a leader that does not wait for the majority would say. Only a known-bad build uses it.
func assumed(ops []fsm.SessionOp) []fsm.SessionResult {
	rs := make([]fsm.SessionResult, len(ops))
	for i, op := range ops {
		rs[i] = fsm.SessionResult{Code: fsm.CodeOK, Instance: op.Instance}
	}
	return rs
}
