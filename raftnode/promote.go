package raftnode

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/internal/failpoint"
)

const (
	// DefaultSteady is how long a new member must have kept up before it gets its vote.
	DefaultSteady = 10 * time.Second
	// promoteLag is how many entries behind the leader a member may be that keeps up: what a busy group writes in about a second.
	promoteLag = 2048
	// promotePause is the pause in a member's requests from which on it has not kept up.
	promotePause = 5 * time.Second
)

// probation is since when members without a vote have kept up, as the leader has seen it.
type probation map[raft.ServerID]trial

type trial struct{ since, last time.Time }

// passed takes a request of a member that is lag entries behind, and says why it gets no vote yet.
func (p probation) passed(id raft.ServerID, lag uint64, now time.Time, steady time.Duration) error {
	t, known := p[id]
	if !known || now.Sub(t.last) > promotePause {
		t.since = now
	}
	if t.last = now; lag > promoteLag {
		t.since = now
	}
	p[id] = t
	switch left := steady - now.Sub(t.since); {
	case lag > promoteLag:
		return retryLater(fmt.Sprintf("it is %d entries behind, %d are the most", lag, promoteLag))
	case left > 0:
		return retryLater(fmt.Sprintf("it gets its vote when it has kept up for %v more", left.Round(time.Millisecond)))
	}
	return nil
}

// handlePromote gives a vote to a member that has kept up for a while. That it has is no matter of safety: a voter that is behind only delays. The payload is what it has applied; older
// versions do not say.
func (n *Node) handlePromote(ctx context.Context, from caller, payload []byte) ([]byte, error) {
	n.admitting.Lock()
	defer n.admitting.Unlock()
	l, err := n.leading(ctx)
	if err != nil {
		return nil, err
	}
	s, ok := memberByID(n.membership(), from.id)
	if !ok {
		return nil, refused("node %s is not a member", from.name)
	}
	if s.Suffrage == raft.Voter {
		return nil, nil
	}
	lag := uint64(0)
	if len(payload) > 0 {
		applied, err := decodeIndex(payload)
		if err != nil {
			return nil, refused("%v", err)
		}
		if own := n.state.Applied(); own > applied {
			lag = own - applied
		}
	}
	if err := l.probation.passed(s.ID, lag, time.Now(), n.opt.Steady); err != nil {
		return nil, err
	}
	failpoint.Hit(failpoint.VoteBegin)
	if err := n.changed(ctx, func() raft.IndexFuture { return n.raft.Load().AddVoter(s.ID, s.Address, 0, enqueueWait) }); err != nil {
		return nil, err
	}
	failpoint.Hit(failpoint.VoteDone)
	delete(l.probation, s.ID)
	n.log.Info("node votes", "member", from.name)
	return nil, nil
}

// askVote asks the leader for a vote, or, on a node that is to have none, to take it.
func (n *Node) askVote(ctx context.Context, votes bool) error {
	switch {
	case n.opt.ReadOnly && votes && n.lead.Load() != nil:
		return n.TransferLeadership(ctx)
	case n.opt.ReadOnly && votes:
		return n.giveUpVote(ctx)
	case n.opt.ReadOnly, votes, n.resyncing.Load():
		return nil
	}
	if err := n.Sync(ctx); err != nil {
		return err
	}
	at, _ := n.watch.get()
	if !at.known {
		return ErrNoQuorum
	}
	_, err := n.pool.call(ctx, at.addr, nameOf(at.id), callPromote, encodeIndex(n.state.Applied()))
	return err
}
