package raftnode

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/raft"
)

// order has this node stand for election because the leader of a term is gone.
type order struct {
	lost   lost
	still  func() bool // looked at once more
	silent bool
	done   chan error
}

// lost is a leader that does not lead any more, it seems.
type lost struct {
	leader raft.ServerID
	term   uint64
}

// beginWait bounds the time for which nothing else reaches raft.
const beginWait = 100 * time.Millisecond

var errOvertaken = errors.New("the leader is there, or there is another one")

// stand makes this node a candidate, or says why not.
func (t *peerTransport) stand(ctx context.Context, o order) error {
	o.done = make(chan error, 1)
	select {
	case t.orders <- o:
		return <-o.done
	case <-ctx.Done():
		return timeout(ctx)
	}
}

// begin runs on the goroutine of run. When raft's main goroutine has nothing to do, and gets nothing while mu is held, then what is found here holds until
// it takes the order: this node is in the term of the lost leader. A process that was frozen since it decided to stand is in a later one, or nobody was
// elected meanwhile, or its candidacy is of a term in which a majority has voted already.
func (t *peerTransport) begin(ctx context.Context, o order) error {
	ctx, cancel := context.WithTimeout(ctx, beginWait)
	defer cancel()
	if !t.canStand(o) {
		return errOvertaken
	}
	if err := t.idle(ctx); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.canStand(o) {
		return errOvertaken
	}
	if o.silent {
		t.unflagged.Store(o.lost.term + 1)
	}
	done := make(chan raft.RPCResponse, 1)
	// raft skips its question before the election: the challenge was that.
	if !t.hand(ctx, raft.RPC{Command: &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax}}, RespChan: done}) {
		return timeout(ctx)
	}
	select {
	case a := <-done:
		return a.Error
	case <-ctx.Done():
		return timeout(ctx)
	}
}

func (t *peerTransport) canStand(o order) bool {
	r := t.raft()
	_, leader := r.LeaderWithID()
	return r.CurrentTerm() == o.lost.term && r.State() == raft.Follower && (leader == "" || leader == o.lost.leader) && o.still()
}

// raftIdle returns nil when raft's main goroutine has finished what it was given before the call.
func (n *Node) raftIdle(ctx context.Context) error {
	r := n.raft.Load()
	if r == nil {
		return ErrNoQuorum
	}
	// The cheapest question that goes through that goroutine; the answer itself does not matter.
	err := await(ctx, n, r.VerifyLeader)
	if err != nil && !errors.Is(err, raft.ErrNotLeader) && !errors.Is(err, raft.ErrLeadershipLost) {
		return err
	}
	return nil
}
