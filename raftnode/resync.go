package raftnode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/internal/failpoint"
	"github.com/holdfast-lb/holdfast/storage"
)

// A resync gives a node a new copy of the group's state: it drops its log and its snapshots and gets both from the leader. It keeps its name, its id and its keys.
//
// A voter that has lost its log must not vote: entries that it has acknowledged may be on too few nodes without it, and it has forgotten how far it was. So its vote is taken first, by a
// change of the membership that is committed: a majority of the others has everything then that was committed before, and the next leader is one of those. It gets its vote again
// when it has caught up. The same goes for a node that comes without its log, but with its id, for whatever reason (see admitAgain). Term and last vote are kept on its disk.

// ErrResync is Run's error when the node takes a new copy of the state: it must be opened again on the same directory, with an empty state.
var ErrResync = errors.New("the node takes a new copy of the group's state")

var keyResync = []byte("HoldfastResync")

// resync is what a node remembers over the restart.
type resync struct {
	// Drop: log and snapshots have yet to be removed.
	Drop bool `json:"drop"`
	// Members are who may let it in again; what it was told at its start need not be so any more. It founds no group.
	Members []founder `json:"members"`
	At      time.Time `json:"at"` // by this node's own clock
}

// Resync gives up this node's vote and ends Run with ErrResync, to take a new copy of the group's state when the node is opened again. Until Stop it records what is asked of it as before.
//
// It is an ErrRefused, and nothing is changed, on the leader, on a node that is alone or whose disk is full, and when those that are left with a vote would be no majority; an ErrNoQuorum
// when no leader is known. After any other error nothing is dropped; the node has perhaps no vote, and asks for it by itself.
func (n *Node) Resync(ctx context.Context) error {
	if err := n.beginResync(ctx); err != nil {
		return fmt.Errorf("resync node %s: %w", n.opt.Name, err)
	}
	return nil
}

func (n *Node) beginResync(ctx context.Context) error {
	if !n.resyncing.CompareAndSwap(false, true) {
		return refused("it is under way")
	}
	err := n.roomToResync()
	if err == nil {
		err = n.giveUpVote(ctx)
	}
	if err == nil {
		failpoint.Hit(failpoint.ResyncBegin)
		mark := resync{Drop: true, At: n.opt.Now().UTC()}
		for _, s := range n.membership().Servers {
			if s.ID != *n.id.Load() {
				mark.Members = append(mark.Members, founder{nameOf(s.ID), s.ID, string(s.Address)})
			}
		}
		err = saveResync(n.opt.Dir, mark)
	}
	if err != nil {
		n.resyncing.Store(false)
		return err
	}
	failpoint.Hit(failpoint.ResyncMarked)
	n.log.Warn("this node drops its state and takes a new copy of the group's", "applied", n.state.Applied())
	n.goRun(func(ctx context.Context) {
		select {
		case <-time.After(partingPause): // the answer to whoever asked goes first
		case <-ctx.Done():
		}
		n.resign(ErrResync)
	})
	return nil
}

func (n *Node) giveUpVote(ctx context.Context) error {
	wait := backoff{base: 4 * time.Millisecond, limit: 100 * time.Millisecond}
	for {
		at, changed := n.watch.get()
		switch {
		case n.raft.Load() == nil:
			return ErrNoQuorum
		case len(n.membership().Servers) < 2:
			return refused("it is alone: nobody else has the state")
		case at.self:
			return refused("it leads: another node must lead first")
		case at.known:
			_, err := n.pool.call(ctx, at.addr, nameOf(at.id), callDemote, nil)
			if !TryAgain(err) {
				return err
			}
		case !n.watch.quorum():
			return ErrNoQuorum
		}
		if err := n.pause(ctx, changed, wait.next(), at.known); err != nil {
			return err
		}
	}
}

// handleDemote is the leader's end: it takes the vote of the member that asks for that.
func (n *Node) handleDemote(ctx context.Context, from caller, payload []byte) ([]byte, error) {
	if len(payload) != 0 {
		return nil, refused("a request to take the vote away: %d bytes", len(payload))
	}
	n.admitting.Lock()
	defer n.admitting.Unlock()
	if _, err := n.leading(ctx); err != nil {
		return nil, err
	}
	s, ok := memberByID(n.membership(), from.id)
	if !ok {
		return nil, refused("node %s is not a member", from.name)
	}
	return nil, n.demote(ctx, s)
}

// demote takes the vote of a member that has one, unless the group would stop. admitting is held.
func (n *Node) demote(ctx context.Context, s raft.Server) error {
	if s.Suffrage != raft.Voter {
		return nil
	}
	if _, then := n.standings(ctx, s.ID); then.spare() < 0 {
		return refused("while it has no vote %v: nothing could be recorded or changed; bring the others back first", then)
	}
	r := n.raft.Load()
	failpoint.Hit(failpoint.DemoteBegin)
	if err := n.changed(ctx, func() raft.IndexFuture { return r.DemoteVoter(s.ID, 0, enqueueWait) }); err != nil {
		return err
	}
	failpoint.Hit(failpoint.DemoteDone)
	n.log.Warn("node has no vote until it has caught up again", "member", nameOf(s.ID))
	return nil
}

// admitAgain is for a member that comes without its log: only such a node joins.
func (n *Node) admitAgain(ctx context.Context, s raft.Server, f founder) error {
	if s.Suffrage == raft.Voter {
		if err := n.demote(ctx, s); err != nil {
			return retryLater(err.Error())
		}
		s.Suffrage = raft.Nonvoter
	}
	if string(s.Address) == f.Addr {
		return nil
	}
	return n.readdress(ctx, s, f.Addr)
}

// resumeResync removes what a resync has yet to remove, before anything of it is read.
func (n *Node) resumeResync() (err error) {
	if n.back, err = loadResync(n.opt.Dir); err != nil || !n.back.Drop {
		return err
	}
	n.log.Info("dropping log and snapshots, to take a new copy of the group's state", "since", n.back.At)
	if err := n.opt.Dir.DropState(); err != nil {
		return err
	}
	n.back.Drop = false
	if err := saveResync(n.opt.Dir, n.back); err != nil {
		return err
	}
	failpoint.Hit(failpoint.ResyncDropped)
	return nil
}

// endResync forgets it once the state is there.
func (n *Node) endResync() error {
	if len(n.back.Members) == 0 {
		return nil
	}
	failpoint.Hit(failpoint.ResyncReturned)
	n.back = resync{}
	if err := saveResync(n.opt.Dir, n.back); err != nil {
		return err
	}
	failpoint.Hit(failpoint.ResyncDone)
	return nil
}

// comesBack tells whether the node is to join its group again, and found none.
func (n *Node) comesBack() bool { return len(n.back.Members) > 0 }

func (m resync) addresses() (list []string) {
	for _, f := range m.Members {
		list = append(list, f.Addr)
	}
	return list
}

func loadResync(dir Disk) (m resync, err error) {
	b, err := dir.Stable().Get(keyResync)
	if errors.Is(err, storage.ErrKeyNotFound) {
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		return m, fmt.Errorf("%s: read what is left of a resync: %w", dir.Path(), err)
	}
	return m, nil
}

func saveResync(dir Disk, m resync) error {
	if err := dir.Stable().Set(keyResync, encodeJSON(m)); err != nil {
		return fmt.Errorf("note the resync: %w", err)
	}
	return nil
}
