package raftnode

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/internal/failpoint"
)

// admit makes f a non-voting member, if this node leads. It may be repeated. A member that has lost its disk comes back with
// its old name and a new id: the old one is removed first, unless it answers.
func (n *Node) admit(ctx context.Context, f founder, says release) error {
	n.admitting.Lock()
	defer n.admitting.Unlock()
	if _, err := n.leading(ctx); err != nil {
		return err
	}
	if err := n.admissible(f.Name, says); err != nil { // the schema may have been raised meanwhile
		return err
	}
	if err := n.nameIsFree(ctx, f.Name, f.ID); err != nil {
		return err
	}
	if n.wasRemoved(f.ID) {
		return staysOut(f.Name)
	}
	r := n.raft.Load()
	for _, s := range n.membership().Servers {
		switch {
		case s.ID == f.ID:
			return n.admitAgain(ctx, s, f)
		case nameOf(s.ID) == f.Name:
			n.log.Warn("a member comes back without its data; removing what it was", "member", f.Name)
			if err := n.changed(ctx, func() raft.IndexFuture { return r.RemoveServer(s.ID, 0, enqueueWait) }); err != nil {
				return err
			}
		case string(s.Address) == f.Addr:
			return refused("address %s is that of node %s", f.Addr, nameOf(s.ID))
		}
	}
	failpoint.Hit(failpoint.AddBegin)
	if err := n.changed(ctx, func() raft.IndexFuture { return r.AddNonvoter(f.ID, raft.ServerAddress(f.Addr), 0, enqueueWait) }); err != nil {
		return err
	}
	failpoint.Hit(failpoint.AddDone)
	n.log.Info("node joined", "member", f.Name, "address", f.Addr)
	return nil
}

// nameIsFree refuses the name of another node that is alive.
func (n *Node) nameIsFree(ctx context.Context, name string, id raft.ServerID) error {
	for _, s := range n.membership().Servers {
		if nameOf(s.ID) != name || s.ID == id {
			continue
		}
		if s.ID == *n.id.Load() {
			return refused("this group has a node %s already: it is the leader", name)
		}
		ctx, cancel := context.WithTimeout(ctx, memberWait)
		info, err := n.askInfo(ctx, string(s.Address), name)
		cancel()
		if err == nil && info.ID == string(s.ID) {
			return refused("this group has a node %s already, and it answers at %s: choose another --name", name, s.Address)
		}
	}
	return nil
}

// readdress changes a member's address and leaves its vote as it is.
func (n *Node) readdress(ctx context.Context, s raft.Server, addr string) error {
	for _, other := range n.membership().Servers {
		if other.ID != s.ID && string(other.Address) == addr {
			return refused("address %s is that of node %s", addr, nameOf(other.ID))
		}
	}
	r := n.raft.Load()
	was := string(s.Address)
	if was == unknownAddr {
		was = "not known"
	}
	n.log.Info("a member has a new address", "member", nameOf(s.ID), "address", addr, "was", was)
	if s.Suffrage == raft.Voter {
		return n.changed(ctx, func() raft.IndexFuture { return r.AddVoter(s.ID, raft.ServerAddress(addr), 0, enqueueWait) })
	}
	return n.changed(ctx, func() raft.IndexFuture { return r.AddNonvoter(s.ID, raft.ServerAddress(addr), 0, enqueueWait) })
}

// changed waits until a change of the membership is committed.
func (n *Node) changed(ctx context.Context, change func() raft.IndexFuture) error {
	if err := await(ctx, n, change); err != nil {
		if ctx.Err() != nil {
			return timeout(ctx)
		}
		return fmt.Errorf("change membership: %w", n.applyError(err))
	}
	return nil
}

// handleJoin admits a node that has a certificate of the group.
func (n *Node) handleJoin(ctx context.Context, from caller, payload []byte) ([]byte, error) {
	f, err := decodeJSON[joinRequest](payload)
	if err != nil {
		return nil, refused("%v", err)
	}
	if err := f.check(from); err != nil {
		return nil, err
	}
	if _, err := n.leading(ctx); err != nil {
		return nil, err
	}
	if err := n.admissible(f.Name, f.release); err != nil {
		return nil, err
	}
	if err := n.checkClock(f); err != nil {
		return nil, err
	}
	if s, member := memberByID(n.membership(), f.ID); member {
		c := claim{f.Process, f.Addr}
		if err := n.elsewhere(ctx, s, c); err != nil {
			n.knocked(s, c, true)
			return nil, err
		}
	}
	return nil, n.admit(ctx, f.founder, f.release)
}

// joinRequest is what a node sends that wants to be a member, or comes back.
type joinRequest struct {
	founder
	release
	// Now is the node's clock; older versions do not say.
	Now time.Time `json:"now,omitzero"`
	// Process is Info.Process.
	Process string `json:"process,omitempty"`
}

// checkClock keeps a node out whose clock is far off: it may lead one day, and its clock is the group's then. It asks again, so that it comes in once
// its clock has been set. A node that is a member already is not turned away.
func (n *Node) checkClock(f joinRequest) error {
	limit := n.opt.MaxJoinSkew
	if _, member := memberByID(n.membership(), f.ID); member || f.Now.IsZero() || limit < 0 {
		return nil
	}
	if skew := f.Now.Sub(n.opt.Now()); skew.Abs() > limit {
		return retryLater(fmt.Sprintf("the clock of node %s differs from the leader's by %v, more than %v: synchronise the clocks (NTP)", f.Name, skew.Round(time.Millisecond), limit))
	}
	return nil
}

// handleAnnounce takes what a member runs, and its address if that is a new one.
func (n *Node) handleAnnounce(ctx context.Context, from caller, payload []byte) ([]byte, error) {
	f, err := decodeJSON[joinRequest](payload)
	if err != nil {
		return nil, refused("%v", err)
	}
	if err := f.check(from); err != nil {
		return nil, err
	}
	n.admitting.Lock()
	defer n.admitting.Unlock()
	if _, err := n.leading(ctx); err != nil {
		return nil, err
	}
	s, ok := memberByID(n.membership(), f.ID)
	if !ok {
		return nil, refused("node %s is not a member", f.Name)
	}
	if err := n.admissible(f.Name, f.release); err != nil {
		return nil, err
	}
	if string(s.Address) == f.Addr {
		return nil, nil
	}
	c := claim{f.Process, f.Addr}
	if err := n.elsewhere(ctx, s, c); err != nil {
		n.knocked(s, c, true)
		return nil, err
	}
	return nil, n.readdress(ctx, s, f.Addr)
}
