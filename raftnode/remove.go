package raftnode

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/internal/failpoint"
)

const (
	// partingPause lets the answer to whoever asked for a removal go first: it may be on its way through the node that is removed.
	partingPause = 250 * time.Millisecond
	partingTries = 5
)

// RemoveMember takes the node of that name out of the group, and tells it. It must be called on the leader, which cannot remove itself: another node must
// lead first. It returns when the new membership is committed.
//
// It is an ErrRefused, and nothing is changed: for a name that is no member's, for the leader, when those that are left would be no majority, and, unless force is set, when the group could
// not survive the next failure any more where it could before. It is an ErrNoQuorum on a node that does not lead, and an ErrTimeout when it may still happen.
func (n *Node) RemoveMember(ctx context.Context, name string, force bool) error {
	if err := n.removeMember(ctx, name, force); err != nil {
		return fmt.Errorf("remove node %.80s: %w", name, err)
	}
	return nil
}

func (n *Node) removeMember(ctx context.Context, name string, force bool) error {
	n.admitting.Lock()
	defer n.admitting.Unlock()
	if _, err := n.leading(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrNoQuorum, err)
	}
	s, ok := memberNamed(n.membership(), name)
	switch {
	case !ok:
		return refused("it is no member of this group")
	case s.ID == *n.id.Load():
		return refused("it leads: another node must lead first")
	}
	if err := n.maySpare(ctx, s, force); err != nil {
		return err
	}
	r := n.raft.Load()
	failpoint.Hit(failpoint.RemoveBegin)
	if err := n.changed(ctx, func() raft.IndexFuture { return r.RemoveServer(s.ID, 0, enqueueWait) }); err != nil {
		return err
	}
	failpoint.Hit(failpoint.RemoveDone)
	if err := n.revoke(ctx, s.ID); err != nil { // keepRevoked goes on with it, here or on another node
		n.log.Warn("the removed node is not revoked yet", "member", name, "error", err)
	}
	failpoint.Hit(failpoint.RemoveRevoked)
	n.log.Warn("node removed", "member", name, "address", string(s.Address))
	n.goRun(func(ctx context.Context) { n.part(ctx, s) })
	return nil
}

// maySpare is nil when the group can do without the vote of a member for good.
func (n *Node) maySpare(ctx context.Context, s raft.Server, force bool) error {
	if s.Suffrage != raft.Voter {
		return nil
	}
	now, then := n.standings(ctx, s.ID)
	switch {
	case then.spare() < 0:
		return refused("without it %v: nothing could be recorded or changed any more; bring the others back first, or remove those that are gone for good before it", then)
	case then.spare() == 0 && now.spare() > 0 && !force:
		return refused("without it %v: the group could not survive the next failure, as it can now; let another node join first, or force it", then)
	}
	return nil
}

func memberNamed(c raft.Configuration, name string) (raft.Server, bool) {
	for _, s := range c.Servers {
		if nameOf(s.ID) == name {
			return s, true
		}
	}
	return raft.Server{}, false
}

// parting tells a node that it is a member no more.
type parting struct {
	ID raft.ServerID `json:"id"` // the node that is meant: another one may have its address by now
	By string        `json:"by"`
}

// part tells a removed node. One that cannot be reached finds out by itself: see expelled.
func (n *Node) part(ctx context.Context, s raft.Server) {
	wait := backoff{base: partingPause, limit: time.Second}
	for range partingTries {
		select {
		case <-time.After(wait.next()):
		case <-ctx.Done():
			return
		}
		call, cancel := context.WithTimeout(ctx, memberWait)
		_, err := n.pool.call(call, string(s.Address), nameOf(s.ID), callRemoved, encodeJSON(parting{s.ID, n.opt.Name}))
		cancel()
		if err == nil {
			return
		}
	}
}

// handleRemoved is the removed node's end. It believes a member of its group as it knows it.
func (n *Node) handleRemoved(_ context.Context, from caller, payload []byte) ([]byte, error) {
	p, err := decodeJSON[parting](payload)
	switch {
	case err != nil:
		return nil, refused("%v", err)
	case p.ID != *n.id.Load():
		return nil, refused("this node is %s, not %.80s", *n.id.Load(), p.ID)
	}
	if _, member := memberByID(n.membership(), from.id); !member {
		return nil, refused("node %s is not a member", from.name)
	}
	failpoint.Hit(failpoint.RemoveTold)
	n.goRun(func(context.Context) { n.expel(removedText(from.name)) }) // the answer goes first, most likely
	return nil, nil
}

func removedText(by string) string {
	return fmt.Sprintf("this node was removed from its group, says node %s: it takes no part any more; to let it in again as a new member move its data directory away and start it with a join token ('holdfast token create --role node')", by)
}
