package raftnode

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/internal/mutant"
)

// leadership is one term in which this node leads.
type leadership struct {
	term      uint64
	ctx       context.Context // ends with the term
	cancel    context.CancelFunc
	ready     chan struct{} // closed when everything of earlier terms is applied here
	barrier   uint64        // index of the entry that said so, which is none of the state's; 0 for none. Read it when ready is closed
	committer *committer
	over      chan struct{} // closed when all duties have returned
	before    reign         // whom it follows
	planned   bool          // the one before handed over
	sessions  int           // assignments here when the term began: nothing of the barrier's is in it
	probation probation     // of new members; under Node.admitting
}

// followTerms is the only reader of raft's NotifyCh: raft's main goroutine waits until each notice is read.
func (n *Node) followTerms(ctx context.Context) {
	before := make(chan struct{})
	close(before)
	for {
		select {
		case leads := <-n.notify:
			n.endTerm()
			if leads {
				before = n.beginTerm(ctx, before)
			}
		case <-ctx.Done():
			n.endTerm()
			<-before
			return
		}
	}
}

// beginTerm starts a term's work; before is when the last term's duties are over.
func (n *Node) beginTerm(ctx context.Context, before <-chan struct{}) chan struct{} {
	l := &leadership{term: n.currentTerm(), ready: make(chan struct{}), committer: newCommitter(n), over: make(chan struct{}), probation: probation{}, sessions: n.state.Len()}
	l.before, l.planned = n.trans.begun(*n.id.Load(), l.term)
	l.ctx, l.cancel = context.WithCancel(ctx)
	n.lead.Store(l)
	go func() {
		defer close(l.over)
		<-before
		n.runTerm(l)
	}()
	return l.over
}

func (n *Node) endTerm() {
	if l := n.lead.Swap(nil); l != nil {
		n.leave(l)
		n.endSending()
	}
}

// endSending ends what raft's goroutines wait in that send to followers.
func (n *Node) endSending() {
	n.pipes.close()
	n.trans.absent.forget()
}

// leave ends a leadership that was taken out of n.lead.
func (n *Node) leave(l *leadership) {
	l.cancel()
	l.committer.end()
	n.log.Info("leadership ended", "term", l.term)
}

// runTerm applies everything of earlier terms, then takes batches and does the leader's duties until the term ends.
func (n *Node) runTerm(l *leadership) {
	for {
		r := n.raft.Load()
		if r != nil { // nil in the instant between NewRaft and its return
			if mutant.On(mutant.BarrierSkipped) {
				break
			}
			var asked raft.Future
			if err := await(l.ctx, n, func() raft.Future { asked = r.Barrier(enqueueWait); return asked }); err == nil {
				if entry, ok := asked.(raft.IndexFuture); ok {
					l.barrier = entry.Index()
				}
				break
			}
		}
		select {
		case <-time.After(n.timing.poll()):
		case <-l.ctx.Done():
			return
		}
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	run := func(f func()) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			f()
		}()
	}
	took := n.succeed(l)
	for _, f := range n.onElected {
		run(func() { f(l.ctx, took) })
	}
	judged := n.settleClock(l.ctx)
	if l.ctx.Err() != nil {
		return
	}
	close(l.ready)
	n.log.Info("leading the group", "term", l.term, "applied", n.state.Applied())
	run(func() { l.committer.run(l.ctx) })
	run(func() { n.watchClock(l, judged) })
	run(func() { n.foundState(l) })
	run(func() { n.checkpoints(l) })
	run(func() { n.expireIdle(l) })
	run(func() { n.sweepStore(l) })
	run(func() { n.raiseSchema(l) })
	for _, f := range n.onLead {
		run(func() { f(l.ctx, l.term) })
	}
}

// leading gives the term in which this node leads, once it is ready; nil if it does not lead.
func (n *Node) leading(ctx context.Context) (*leadership, error) {
	l := n.lead.Load()
	if l == nil {
		return nil, n.notLeader()
	}
	select {
	case <-l.ready:
		return l, nil
	case <-l.ctx.Done():
		return nil, n.notLeader()
	case <-ctx.Done():
		return nil, retryLater("the new leader is not ready yet")
	}
}
