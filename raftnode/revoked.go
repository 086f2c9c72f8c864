package raftnode

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/fsm"
)

// A node that was removed or replaced keeps a certificate that no clock ends. So the group's state has the ids of all of them (fsm.NodeRevoke), for nodes that were away then, that have been started since, or that come
// later. Until the state has it, those that saw it happen remember.

const (
	// revokeEvery is how often a node looks whether the state lacks somebody whom it saw leave.
	revokeEvery = 5 * time.Second
	// revokeAnyway is how long a node that does not lead leaves that to the leader.
	revokeAnyway = 15 * time.Second
	// revokeWait bounds one attempt.
	revokeWait = 5 * time.Second
	// partingGrace is how long a node that was removed may go on to have sessions recorded, and to ask for those that it does not know: it finishes the requests that it has, for 30 s at most.
	partingGrace = 35 * time.Second
)

// removedNodes remembers who was a member and is none any more, since this node started.
type removedNodes struct {
	mu   sync.Mutex
	last map[raft.ServerID]bool
	// gone says for each of them since when the state is to have it; zero: it has had it.
	gone map[raft.ServerID]time.Time
	// left says when this node saw each of them leave.
	left map[raft.ServerID]time.Time
	more broadcast // somebody is gone
}

// note takes a committed membership, and gives who has left with it.
func (r *removedNodes) note(c raft.Configuration) (left []raft.ServerID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := make(map[raft.ServerID]bool, len(c.Servers))
	for _, s := range c.Servers {
		now[s.ID] = true
		delete(r.gone, s.ID)
	}
	for id := range r.last {
		if !now[id] {
			left = append(left, id)
		}
	}
	r.last = now
	if r.left == nil {
		r.left = make(map[raft.ServerID]time.Time)
	}
	for _, id := range left {
		r.left[id] = time.Now()
	}
	r.remember(left)
	return left
}

// add takes nodes that were members before this one knew any.
func (r *removedNodes) add(ids ...raft.ServerID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remember(ids)
}

func (r *removedNodes) remember(ids []raft.ServerID) {
	if r.gone == nil {
		r.gone = make(map[raft.ServerID]time.Time)
	}
	for _, id := range ids {
		if _, known := r.gone[id]; !known {
			r.gone[id] = time.Now()
		}
	}
	if len(ids) > 0 {
		r.more.signal()
	}
}

// parting tells that a node was removed just now.
func (r *removedNodes) parting(id raft.ServerID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, left := r.left[id]
	return left && time.Since(at) < partingGrace
}

func (r *removedNodes) has(id raft.ServerID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, gone := r.gone[id]
	return gone
}

// due gives those that the state is to have for at least age, in the order of their ids.
func (r *removedNodes) due(age time.Duration) (ids []raft.ServerID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, since := range r.gone {
		if !since.IsZero() && time.Since(since) >= age {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// settled takes note that the state has it, or never will.
func (r *removedNodes) settled(id raft.ServerID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, gone := r.gone[id]; gone {
		r.gone[id] = time.Time{}
	}
}

// noteMembers takes a committed membership.
func (n *Node) noteMembers(index uint64, c raft.Configuration) {
	left := n.removed.note(c)
	n.roll.commit(index, c)
	for _, id := range left {
		if n.wasRemoved(id) {
			n.inbound.cut(id)
		}
	}
}

// wasRemoved tells whether the node of that id is none of the group's, by the state or by what this node has seen. What it has seen counts only if the latest membership says so too: after a restart raft tells the old
// ones again, one by one. A node that this one does not know yet was not removed: it may be the new leader, with the news on its way.
func (n *Node) wasRemoved(id raft.ServerID) bool {
	switch {
	case n.state.Operating().Revoked(string(id)):
		return true
	case !n.removed.has(id):
		return false
	}
	_, member := memberByID(n.membership(), id)
	return !member
}

// staysOut is the answer to a removed node that wants to be a member again.
func staysOut(name string) error {
	return refused("node %s was removed from the group: to let it in again as a new member move its data directory and its keys away, and start it with a join token ('holdfast token create --role node')", name)
}

// refusesRemoved keeps nodes that were removed from everything but the news that they were. A greeting is answered, because one that waits for others to found a group would go on waiting: it learns that there is one.
// One that was removed just now finishes its requests, and what they need.
func (n *Node) refusesRemoved(from caller, kind callKind) error {
	switch {
	case kind == callInfo, kind == callHello, !n.wasRemoved(from.id):
		return nil
	case (kind == callRecord || kind == callReadIndex) && n.removed.parting(from.id):
		return nil
	}
	n.met.refused.WithLabelValues("not a member").Inc()
	return staysOut(from.name)
}

// revoke has the state remember that a node is none of the group's any more.
func (n *Node) revoke(ctx context.Context, id raft.ServerID) error {
	ctx, cancel := context.WithTimeout(ctx, revokeWait)
	defer cancel()
	r, err := n.Propose(ctx, &fsm.NodeRevoke{IDs: []string{string(id)}, Proposer: n.opt.Name})
	if err != nil {
		return fmt.Errorf("revoke node %s: %w", id, err)
	}
	n.removed.settled(id)
	if r.Code != fsm.CodeOK {
		return fmt.Errorf("revoke node %s: %s", id, r.Message)
	}
	return nil
}

// keepRevoked sees to it that the state has everybody whom this node saw leave: whoever removed a node may have died before that. The leader does so at once, the others when it does not.
func (n *Node) keepRevoked(ctx context.Context) {
	for {
		more := n.removed.more.wait()
		age := revokeAnyway
		if n.lead.Load() != nil {
			age = 0
		}
		for _, id := range n.removed.due(age) {
			if _, member := memberByID(n.membership(), id); member || n.state.Group() == nil {
				continue
			}
			if n.state.Operating().Revoked(string(id)) {
				n.removed.settled(id)
			} else if err := n.revoke(ctx, id); err != nil && ctx.Err() == nil {
				n.log.Debug("revoke a removed node", "member", string(id), "error", err)
			}
		}
		select {
		case <-more:
		case <-time.After(jitter(revokeEvery)):
		case <-ctx.Done():
			return
		}
	}
}

// inbound are the open connections on which nodes talk Raft to this one, so that those of a node that is removed can be ended: what it sends on them would be believed otherwise.
type inbound struct {
	mu   sync.Mutex
	open map[raft.ServerID]map[*inboundConn]struct{}
}

// keep remembers c until it is closed.
func (in *inbound) keep(c net.Conn, id raft.ServerID) net.Conn {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.open == nil {
		in.open = make(map[raft.ServerID]map[*inboundConn]struct{})
	}
	if in.open[id] == nil {
		in.open[id] = make(map[*inboundConn]struct{})
	}
	kept := &inboundConn{Conn: c, in: in, id: id}
	in.open[id][kept] = struct{}{}
	return kept
}

// cut ends all of a node. It does not wait: to close a connection takes a write.
func (in *inbound) cut(id raft.ServerID) {
	in.mu.Lock()
	conns := in.open[id]
	delete(in.open, id)
	in.mu.Unlock()
	for c := range conns {
		go func() { _ = c.Close() }()
	}
}

type inboundConn struct {
	net.Conn
	in *inbound
	id raft.ServerID
}

func (c *inboundConn) Close() error {
	c.in.mu.Lock()
	if conns := c.in.open[c.id]; conns != nil {
		if delete(conns, c); len(conns) == 0 {
			delete(c.in.open, c.id)
		}
	}
	c.in.mu.Unlock()
	return c.Conn.Close()
}
