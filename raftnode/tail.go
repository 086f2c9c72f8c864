package raftnode

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// TailEntry is a committed log entry on its way out of the group.
type TailEntry struct {
	Index, Term uint64
	// Command tells that Data is for fsm.State.Apply; all other entries only count.
	Command bool
	Data    []byte
}

// The reasons for which there is no tail.
var (
	// ErrTailGone: the log of this node does not go back so far; another node's may, and a whole state always helps.
	ErrTailGone = errors.New("the log does not go back so far")
	// ErrTailForks: the caller's last entry is none of this group's log.
	ErrTailForks = errors.New("the log has another entry there")
)

// Tail gives the committed entries behind entry after, whose term the caller knows, up to entry upto and to about size bytes (at least one entry, if there is any). It gives none
// when this node has applied nothing behind after. It reads the disk alone, and what it gives is the caller's: whoever is slow with it is in nobody's way.
func (n *Node) Tail(after, term, upto uint64, size int) ([]TailEntry, error) {
	if n.raft.Load() == nil {
		return nil, retryLater("the node is " + *n.phase.Load())
	}
	applied := n.state.Applied()
	if upto = min(upto, applied); after > applied {
		return nil, nil
	}
	log := committedLog{n.store, n.opt.Dir.Log()}
	switch have, err := log.term(after); {
	case err != nil:
		return nil, tailError(after, err)
	case have != term:
		return nil, fmt.Errorf("%w: entry %d is of term %d, not %d", ErrTailForks, after, have, term)
	}
	var list []TailEntry
	for index := after + 1; index <= upto && size > 0; index++ {
		var l raft.Log
		if err := log.get(index, &l); err != nil {
			return nil, tailError(index, err)
		}
		e := TailEntry{Index: l.Index, Term: l.Term, Command: l.Type == raft.LogCommand}
		if e.Command {
			e.Data = l.Data
		}
		list = append(list, e)
		size -= len(e.Data) + 64
	}
	return list, nil
}

func tailError(index uint64, err error) error {
	if errors.Is(err, raft.ErrLogNotFound) {
		return fmt.Errorf("%w: entry %d", ErrTailGone, index)
	}
	return fmt.Errorf("read entry %d: %w", index, err)
}

// NextApplied gives a channel that is closed when this node has applied more than at the call.
func (n *Node) NextApplied() <-chan struct{} { return n.applied.wait() }

// committedLog reads entries that have been applied. It goes around raft's cache, whose errors are for raft's own goroutines.
type committedLog struct {
	node *nodeLog
	disk raft.LogStore
}

// get gives an entry that the node has applied, ErrLogNotFound when the log has it no more. What lies below a snapshot from another node may be another history's.
func (c committedLog) get(index uint64, l *raft.Log) error {
	c.node.mu.RLock()
	snap, hole := c.node.snap, c.node.hole
	c.node.mu.RUnlock()
	if index > snap.Index {
		return c.disk.GetLog(index, l)
	}
	if hole {
		return raft.ErrLogNotFound
	}
	// Logs that agree in one entry agree in all before it (Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm", 5.3).
	var last raft.Log
	if err := c.disk.GetLog(snap.Index, &last); err != nil {
		return err
	}
	if last.Term != snap.Term {
		return raft.ErrLogNotFound
	}
	return c.disk.GetLog(index, l)
}

// term is that of an entry; of the newest snapshot's last one it is known without a log.
func (c committedLog) term(index uint64) (uint64, error) {
	c.node.mu.RLock()
	snap := c.node.snap
	c.node.mu.RUnlock()
	if index == snap.Index {
		return snap.Term, nil
	}
	var l raft.Log
	err := c.get(index, &l)
	return l.Term, err
}
