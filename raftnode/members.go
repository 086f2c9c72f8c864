package raftnode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/raftnode/pki"
)

// MemberInfo is a member by the membership, and what it says about itself if it answers.
type MemberInfo struct {
	Name   string `json:"name"`
	ID     string `json:"id"`
	Addr   string `json:"addr"`
	Voter  bool   `json:"voter"`
	Leader bool   `json:"leader"`
	// Reachable tells whether the member answered; if not, Error says why and Info is empty.
	Reachable bool   `json:"reachable"`
	Error     string `json:"error,omitempty"`
	Info      Info   `json:"info"`
	// Skew is the member's clock minus this node's, exact to half of RTT.
	Skew time.Duration `json:"skew"`
	RTT  time.Duration `json:"rtt"`
}

// memberWait is how long a member may take to answer.
const memberWait = time.Second

// Members asks every member, for at most a second, and gives them in the order of the membership.
func (n *Node) Members(ctx context.Context) []MemberInfo {
	ctx, cancel := context.WithTimeout(ctx, memberWait)
	defer cancel()
	at, _ := n.watch.get()
	servers := n.membership().Servers
	out := make([]MemberInfo, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		out[i] = MemberInfo{Name: nameOf(s.ID), ID: string(s.ID), Addr: string(s.Address), Voter: s.Suffrage == raft.Voter,
			Leader: at.known && at.id == s.ID}
		wg.Add(1)
		go func() {
			defer wg.Done()
			n.askMember(ctx, &out[i])
		}()
	}
	wg.Wait()
	return out
}

func (n *Node) askMember(ctx context.Context, m *MemberInfo) {
	if m.ID == n.ID() {
		m.Reachable, m.Info = true, n.Info()
		return
	}
	sent := n.opt.Now()
	start := time.Now()
	info, err := n.askInfo(ctx, m.Addr, m.Name)
	m.RTT = time.Since(start)
	if err != nil {
		m.Error = err.Error()
		return
	}
	m.Reachable, m.Info = true, info
	m.Skew = info.Now.Sub(sent.Add(m.RTT / 2))
}

func (n *Node) askInfo(ctx context.Context, addr, name string) (Info, error) {
	b, err := n.pool.call(ctx, addr, name, callInfo, nil)
	if err != nil {
		return Info{}, err
	}
	var i Info
	if err := json.Unmarshal(b, &i); err != nil { // as large as a frame may be: hundreds of instances are described in it
		return Info{}, fmt.Errorf("%w: %w", errFrame, err)
	}
	if err := errors.Join(i.release().valid(), pki.CheckName("node name", i.Name)); err != nil {
		return Info{}, fmt.Errorf("%w: %w", errFrame, err)
	}
	i.Schema = i.release().schema()
	return i, nil
}

// WaitAll returns nil when every member has applied index.
func (n *Node) WaitAll(ctx context.Context, index uint64) error {
	servers := n.membership().Servers
	errs := make([]error, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if s.ID == *n.id.Load() {
				errs[i] = waitApplied(ctx, n.state, &n.applied, index)
				return
			}
			if err := n.waitMember(ctx, s, index); err != nil {
				errs[i] = fmt.Errorf("node %s has not applied %d: %w", nameOf(s.ID), index, err)
			}
		}()
	}
	wg.Wait()
	return errors.Join(errs...)
}

// waitMember asks again while the member cannot be reached, or gives up waiting before ctx ends.
func (n *Node) waitMember(ctx context.Context, s raft.Server, index uint64) error {
	wait := backoff{base: 20 * time.Millisecond, limit: time.Second}
	for {
		_, err := n.pool.call(ctx, string(s.Address), nameOf(s.ID), callWait, encodeIndex(index))
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(wait.next()):
		case <-ctx.Done():
			return err
		case <-n.ctx.Done():
			return ErrClosed
		}
	}
}

// removedNodes remembers who was a member and is none any more, since this node started: their Raft connections are
// refused. A node that this one does not know yet is not: it may be the new leader, with the news on its way.
type removedNodes struct {
	mu   sync.Mutex
	last map[raft.ServerID]bool
	gone map[raft.ServerID]bool
}

// note takes a committed membership.
func (r *removedNodes) note(c raft.Configuration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := make(map[raft.ServerID]bool, len(c.Servers))
	if r.gone == nil {
		r.gone = make(map[raft.ServerID]bool)
	}
	for _, s := range c.Servers {
		now[s.ID] = true
		delete(r.gone, s.ID)
	}
	for id := range r.last {
		if !now[id] {
			r.gone[id] = true
		}
	}
	r.last = now
}

// wasRemoved looks at the latest membership too: after a restart raft tells the old ones again, one by one.
func (n *Node) wasRemoved(id raft.ServerID) bool {
	_, member := memberByID(n.membership(), id)
	return !member && n.removed.has(id)
}

func (r *removedNodes) has(id raft.ServerID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gone[id]
}
