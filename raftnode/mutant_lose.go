package raftnode

import (
	"encoding/hex"
	"slices"
	"sync/atomic"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/internal/mutant"
)

// loseAt is which session that begins is lost, counted from the start of the process.
const loseAt = 150

var begun atomic.Int64

// loseOnce applies entries, but for one operation in the life of the process, if this node is the one that is to go wrong. Only a known-bad build uses it.
func (n *Node) loseOnce(index uint64, entry []byte) (fsm.Result, error) {
	return applyWithout(n.state, index, entry, func(op fsm.SessionOp) bool {
		if op.Kind != fsm.OpAssign || begun.Add(1) != loseAt || mutant.On(mutant.LoseOpLeader) != (n.lead.Load() != nil) {
			return false
		}
		at, _ := n.watch.get()
		for _, s := range n.membership().Servers { // of the followers, the first
			if s.ID != at.id {
				if mutant.On(mutant.LoseOpFollower) && s.ID != *n.id.Load() {
					return false
				}
				break
			}
		}
		n.log.Error("known bug: this node loses a session", "key", hex.EncodeToString(op.Key[:]))
		return true
	})
}

// applyWithout applies an entry but for the operations that are to be lost, of which it says that they were applied.
func applyWithout(state *fsm.State, index uint64, entry []byte, lost func(fsm.SessionOp) bool) (fsm.Result, error) {
	ops, at, err := fsm.EntryOps(entry)
	if err != nil || len(ops) == 0 {
		return state.Apply(index, entry)
	}
	var rest []fsm.SessionOp
	var gone []int
	for i, op := range ops {
		if lost(op) {
			gone = append(gone, i)
		} else {
			rest = append(rest, op)
		}
	}
	if len(gone) == 0 {
		return state.Apply(index, entry)
	}
	res, err := state.Apply(index, fsm.EncodeSessions(at, rest))
	for _, i := range gone {
		if err == nil {
			res.Sessions = slices.Insert(res.Sessions, i, fsm.SessionResult{Code: fsm.CodeOK, Instance: ops[i].Instance, Index: index})
		}
	}
	return res, err
}
