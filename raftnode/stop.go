package raftnode

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// Stop leaves gracefully: it hands leadership over, waits for what is under way, and closes everything but Options.Dir.
// It waits at most until ctx ends. Called again it waits for the first call.
func (n *Node) Stop(ctx context.Context) error { return n.shut(ctx, true) }

// Kill ends the node so that the others see what they see when its process dies: nothing is handed over, and all connections end at once. It is for tests and
// simulators, which have no process to kill.
func (n *Node) Kill(ctx context.Context) error { return n.shut(ctx, false) }

// shut is Stop, or, without handing over, what the others see when the process dies.
func (n *Node) shut(ctx context.Context, handOver bool) error {
	n.stopOnce.Do(func() {
		go func() {
			defer close(n.stopped)
			n.stop(ctx, handOver)
		}()
	})
	select {
	case <-n.stopped:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop node: %w", ctx.Err())
	}
}

func (n *Node) stop(ctx context.Context, handOver bool) {
	n.noMoreRaft()
	r := n.raft.Load()
	if r != nil && handOver && n.lead.Load() != nil {
		if err := n.handOver(ctx, r); err != nil {
			n.log.Warn("leadership was not handed over", "error", err)
		}
	}
	n.rec.close()
	if !handOver {
		_ = n.stream.Close()
	}
	n.settle(ctx)
	if r != nil {
		down := make(chan struct{})
		go func() {
			defer close(down)
			n.endRaft()
		}()
		select {
		case <-down:
		case <-ctx.Done():
		}
	}
	_ = n.stream.Close()
	if l := n.port.Load(); l != nil {
		l.close()
	} else {
		_ = n.tcp.Close()
	}
	n.cancel()
	n.pool.close()
	n.beside.close()
	n.server.close()
	if l := n.port.Load(); l != nil {
		l.wg.Wait()
	}
	n.rec.wait()
	n.starting.Lock()
	n.ended = true
	n.starting.Unlock()
	n.wg.Wait()
	n.aside.Wait()
	n.audit.images.close()
}

// TransferLeadership makes another voter lead. It does nothing on a node that does not lead.
func (n *Node) TransferLeadership(ctx context.Context) error {
	r := n.raft.Load()
	if r == nil || n.lead.Load() == nil {
		return nil
	}
	return n.handOver(ctx, r)
}

func (n *Node) handOver(ctx context.Context, r *raft.Raft) error {
	others, votes := n.otherVoters()
	if !votes || len(others) == 0 {
		return nil // nobody to hand over to
	}
	// One try may pick a follower that is just gone; and raft always picks the same one, which may not want to: then it is the others' turn.
	if there := slices.DeleteFunc(slices.Clone(others), func(s raft.Server) bool { return n.trans.absent.gone(s.ID, n.timing.election) }); len(there) > 0 {
		others = there
	}
	n.trans.absent.release()
	transfer := r.LeadershipTransfer
	for i := 0; ; i++ {
		err := await(ctx, n, transfer)
		to := others[i%len(others)]
		transfer = func() raft.Future { return r.LeadershipTransferToServer(to.ID, to.Address) }
		if err == nil || r.State() != raft.Leader {
			return nil
		}
		// One in quarantine never will, and keeps this node a leader for as long as it is asked.
		if i >= 2*len(others) && strings.Contains(err.Error(), ErrQuarantined.Error()) {
			return err
		}
		select {
		case <-time.After(n.timing.heartbeat / 4):
		case <-ctx.Done():
			return err
		case <-n.ctx.Done():
			return err
		}
	}
}

// noMoreRaft keeps a node that is told to stop while it starts from bringing up raft behind the stop's back: it would go on without its disk.
func (n *Node) noMoreRaft() {
	n.raftStart.Lock()
	n.raftOver = true
	n.raftStart.Unlock()
}

// endRaft shuts raft down and waits for its goroutines; raft itself waits at the first call only.
func (n *Node) endRaft() {
	r := n.raft.Load()
	if r == nil {
		return
	}
	n.raftEnd.Do(func() {
		down := r.Shutdown()
		n.endSending()
		go func() {
			defer close(n.raftDown)
			_ = down.Error()
		}()
	})
	<-n.raftDown
}

// settle refuses new futures and waits for those under way: raft does not answer them once it is shut down.
func (n *Node) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, n.timing.noLeader())
	defer cancel()
	for n.flying.close() > 0 {
		ch := n.flying.less.wait()
		if n.flying.close() == 0 {
			return
		}
		select {
		case <-ch:
		case <-ctx.Done():
			return
		}
	}
}

// flights counts what waits for an answer of raft.
type flights struct {
	mu     sync.Mutex
	n      int
	closed bool
	less   broadcast
}

// begin tells whether raft may still be asked; end must follow then.
func (f *flights) begin() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return false
	}
	f.n++
	return true
}

func (f *flights) end() {
	f.mu.Lock()
	f.n--
	f.mu.Unlock()
	f.less.signal()
}

// close refuses all that follow and gives how many are under way.
func (f *flights) close() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return f.n
}

// await asks raft and waits for the answer. raft's futures know no context, so that one may outlive ctx.
func await[F raft.Future](ctx context.Context, n *Node, ask func() F) error {
	if !n.flying.begin() {
		return raft.ErrRaftShutdown
	}
	done := make(chan error, 1)
	go func() {
		defer n.flying.end()
		done <- ask().Error()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
