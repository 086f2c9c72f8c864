package raftnode

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// A node that parts from its group gives its place to a successor, which has the same name, the same data directory and the same addresses: the next program on this
// machine. It stops its Raft, so that the successor may open the directory, and is from then on nobody's member. But it has clients still, so that it goes on asking: what it
// has to record goes to whoever leads, over the connections that it had as a follower, and from there it learns what the group commits meanwhile (part_tail.go).

const (
	// partLook is how often a node that has parted looks who leads, partAsk how long it waits for one answer.
	partLook = 50 * time.Millisecond
	partAsk  = 500 * time.Millisecond
)

// ErrLeads: a node that leads cannot part before another one does, unless it is alone.
var ErrLeads = errors.New("this node leads: another one has to before it parts")

// Part ends the membership of this process and leaves Options.Dir to its successor: when it returns without an error nothing uses the directory any more, and the peer port is given
// up (a duplicate of its socket stays as it is, and keeps what connects). Record, Propose, Sync and all that waits for an index go on. ErrLeads, or a node
// that has not entered its group, changes nothing; after any other error the node is of no use but to be stopped.
func (n *Node) Part(ctx context.Context) error {
	r := n.raft.Load()
	if r == nil {
		return fmt.Errorf("part: the node is %s", *n.phase.Load())
	}
	if n.watch.hasParted() {
		return errors.New("part: the node has parted already")
	}
	if r.State() == raft.Leader && !n.Alone() {
		return fmt.Errorf("part: %w", ErrLeads)
	}
	n.noMoreRaft()
	own := leaderInfo{known: true, id: *n.id.Load(), addr: n.addr}
	members := n.membership().Servers
	n.watch.part(own)
	n.settle(ctx)
	down := make(chan struct{})
	go func() {
		defer close(down)
		n.endRaft()
	}()
	select {
	case <-down:
	case <-ctx.Done():
		return fmt.Errorf("part: raft does not end: %w", timeout(ctx))
	}
	n.leaveGroup()
	at := position{index: n.state.Applied()}
	if at.index > 0 {
		var err error
		if at.term, err = (committedLog{n.store, n.opt.Dir.Log()}).term(at.index); err != nil {
			return fmt.Errorf("part: %w", tailError(at.index, err))
		}
	}
	n.adapter.stop, n.adapter.hold = func(error) {}, nil
	n.learnt.mu.Lock()
	n.learnt.at = at
	n.learnt.mu.Unlock()
	n.aside.Go(func() { n.seekLeader(members) })
	n.aside.Go(n.followGroup)
	n.log.Info("this process is no member of the group any more", "applied", at.index, "term", at.term)
	return nil
}

// Parted tells that this process has left the node's place to its successor: what it knows of the group since, others have told it.
func (n *Node) Parted() bool { return n.watch.hasParted() }

// leaveGroup ends everything that a member does, and returns when it has ended.
func (n *Node) leaveGroup() {
	_ = n.stream.Close()
	if l := n.port.Load(); l != nil {
		l.close()
	}
	n.endMember()
	n.server.close()
	if l := n.port.Load(); l != nil {
		l.wg.Wait()
	}
	n.starting.Lock()
	n.ended = true
	n.starting.Unlock()
	n.wg.Wait()
	n.audit.images.close()
}

// Alone tells that no other node has a vote: nobody could lead in the place of this one.
func (n *Node) Alone() bool {
	others, _ := n.otherVoters()
	return len(others) == 0
}

// learnt is how far a node that has parted has followed the log since.
type learnt struct {
	mu sync.Mutex
	at position
}

func (l *learnt) position() position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at
}

// errLearn is in the error after which nothing more can be learnt, such as that of an entry that only a newer program knows.
var errLearn = errors.New("learn")

// learn applies what the group has committed behind the state of a node that has parted. One goroutine calls it.
func (n *Node) learn(list []TailEntry) error {
	logs := make([]*raft.Log, len(list))
	at := n.learnt.position()
	for i, e := range list {
		if e.Index != at.index+1 || e.Term < at.term {
			return fmt.Errorf("%w: entry %d of term %d comes behind entry %d of term %d", errFrame, e.Index, e.Term, at.index, at.term)
		}
		at = position{e.Index, e.Term}
		logs[i] = &raft.Log{Index: e.Index, Term: e.Term, Type: raft.LogNoop}
		if e.Command {
			logs[i].Type, logs[i].Data = raft.LogCommand, e.Data
		}
	}
	for _, answer := range n.adapter.ApplyBatch(logs) {
		if err, bad := answer.(error); bad {
			return fmt.Errorf("%w: %w", errLearn, err)
		}
	}
	n.learnt.mu.Lock()
	n.learnt.at = at
	n.learnt.mu.Unlock()
	return nil
}

// seekLeader keeps looking who leads, since this node hears of no election any more. The successor, which is at this node's own address, knows as well as all others.
func (n *Node) seekLeader(members []raft.Server) {
	tick := time.NewTicker(partLook)
	defer tick.Stop()
	for {
		n.lookForLeader(members)
		select {
		case <-tick.C:
		case <-n.ctx.Done():
			return
		}
	}
}

// lookForLeader asks the last known leader first. Nobody's word is taken for the leader's own absence: without an answer the last known one stays.
func (n *Node) lookForLeader(members []raft.Server) {
	at, _ := n.watch.get()
	order := []raft.Server{{ID: at.id, Address: raft.ServerAddress(at.addr)}}
	for _, s := range members {
		if s.ID != at.id {
			order = append(order, s)
		}
	}
	for _, s := range order {
		ctx, cancel := context.WithTimeout(n.ctx, partAsk)
		info, err := n.askInfo(ctx, string(s.Address), nameOf(s.ID))
		cancel()
		if err != nil || info.Leader == "" || info.LeaderAddr == "" {
			continue
		}
		next := leaderInfo{known: true, id: raft.ServerID(info.Leader), addr: info.LeaderAddr}
		for _, m := range members {
			if nameOf(m.ID) == info.Leader {
				next.id = m.ID
			}
		}
		n.watch.point(next)
		return
	}
}
