package raftnode

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// TransferTo makes the voter of that name lead; it returns when this node does not lead any more. It is an ErrRefused for a name that is no member's, or that of a node
// without a vote, or this node's own, and an ErrNoQuorum when this node does not lead. When that voter does not take over this node goes on leading, and the
// error says so.
func (n *Node) TransferTo(ctx context.Context, name string) error {
	if err := n.transferTo(ctx, name); err != nil {
		return fmt.Errorf("hand leadership over to node %.80s: %w", name, err)
	}
	return nil
}

func (n *Node) transferTo(ctx context.Context, name string) error {
	r, l := n.raft.Load(), n.lead.Load()
	if r == nil || l == nil {
		return fmt.Errorf("%w: this node does not lead", ErrNoQuorum)
	}
	to, err := n.voterNamed(name)
	if err != nil {
		return err
	}
	if n.trans.absent.gone(to.ID, n.timing.election) { // raft would try, and commit nothing meanwhile
		return errors.New("this node goes on leading: that node does not answer")
	}
	n.trans.absent.release()
	for {
		err := await(ctx, n, func() raft.Future { return r.LeadershipTransferToServer(to.ID, to.Address) })
		switch {
		case l.ctx.Err() != nil || r.State() != raft.Leader:
			return nil
		case ctx.Err() != nil:
			return timeout(ctx)
		case err == nil:
			return errors.New("BUG: raft has handed over and leads still")
		case errors.Is(err, raft.ErrRaftShutdown):
			return ErrClosed
		case !errors.Is(err, raft.ErrEnqueueTimeout) && !errors.Is(err, raft.ErrLeadershipTransferInProgress):
			return fmt.Errorf("this node goes on leading: %w", err)
		}
		select { // raft's main goroutine has something else to do, or another transfer is under way
		case <-time.After(n.timing.poll()):
		case <-ctx.Done():
			return timeout(ctx)
		}
	}
}

// voterNamed gives another voter.
func (n *Node) voterNamed(name string) (raft.Server, error) {
	for _, s := range n.membership().Servers {
		switch {
		case nameOf(s.ID) != name:
		case s.ID == *n.id.Load():
			return raft.Server{}, refused("it leads already")
		case s.Suffrage != raft.Voter:
			return raft.Server{}, refused("it has no vote: it has not caught up yet")
		default:
			return s, nil
		}
	}
	return raft.Server{}, refused("it is no member of this group")
}
