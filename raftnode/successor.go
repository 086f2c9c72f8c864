package raftnode

import (
	"context"
	"slices"
	"sync"

	"github.com/hashicorp/raft"
)

// successor asks the other members, as this node knows them, whether the group has replaced it: whether the committed membership of one of
// them has its name under another id, and not its own. It gives that id, else "". A replaced node hears from no leader (dialRaft), so it asks
// while it knows none; nobody but a node of the group can answer, and what is committed stays true.
func (n *Node) successor(ctx context.Context) raft.ServerID {
	ctx, cancel := context.WithTimeout(ctx, memberWait)
	defer cancel()
	self := *n.id.Load()
	var mu sync.Mutex
	var found raft.ServerID
	var all sync.WaitGroup
	for _, s := range n.membership().Servers {
		if s.ID == self {
			continue
		}
		all.Go(func() {
			info, err := n.askInfo(ctx, string(s.Address), nameOf(s.ID))
			if err != nil || slices.Contains(info.Members, string(self)) {
				return
			}
			for _, id := range info.Members {
				if nameOf(raft.ServerID(id)) == n.opt.Name {
					mu.Lock()
					found = raft.ServerID(id)
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	return found
}

// committedMembers gives the Raft ids of the membership if this node knows it to be committed, else nil. After a restart that is once a leader
// has said how far the group is: what the log holds alone may be older, and name a predecessor.
func (n *Node) committedMembers() []string {
	r := n.raft.Load()
	if r == nil {
		return nil
	}
	f := r.GetConfiguration()
	if f.Error() != nil || f.Index() > r.CommitIndex() {
		return nil
	}
	var ids []string
	for _, s := range f.Configuration().Servers {
		ids = append(ids, string(s.ID))
	}
	slices.Sort(ids)
	return ids
}
