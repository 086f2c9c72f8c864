package raftnode

import (
	"errors"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/fsm"
)

// The last entries of a follower's log wait for the word that they are committed. The leader that would give it may have told clients already, and died: whoever is left without a quorum has
// their sessions in its log and not in its state.

// unapplied is what the log has of sessions behind the state. It is read when somebody asks, and again when either has moved.
type unapplied struct {
	mu            sync.Mutex
	applied, last uint64
	ops           map[fsm.Key]fsm.SessionOp
}

// Unapplied gives what the log of this node says of a session behind what is applied, if all of it is committed one day: OpAssign for one that begins there, OpMove or OpMoveAt for one that goes from where
// the state has it to another instance; Instance is where it ends. false: the log says nothing of that kind, or cannot be read. Whether the group has committed it, or something else in its place, is
// known to the quorum alone.
func (n *Node) Unapplied(key fsm.Key) (fsm.SessionOp, bool) {
	r := n.raft.Load()
	if r == nil {
		return fsm.SessionOp{}, false
	}
	u := &n.behind
	u.mu.Lock()
	defer u.mu.Unlock()
	if applied, last := n.state.Applied(), r.LastIndex(); u.ops == nil || u.applied != applied || u.last != last {
		ops, err := unappliedOps(committedLog{n.store, n.opt.Dir.Log()}, applied, last)
		if err != nil {
			n.log.Warn("what the log has behind the state cannot be read", "applied", applied, "last", last, "error", err)
			return fsm.SessionOp{}, false
		}
		u.applied, u.last, u.ops = applied, last, ops
	}
	op, ok := u.ops[key]
	return op, ok
}

// unappliedOps puts together what the entries after applied, up to last, do to each session. One that is not there any more, or not yet, ends them.
func unappliedOps(log committedLog, applied, last uint64) (map[fsm.Key]fsm.SessionOp, error) {
	ops := map[fsm.Key]fsm.SessionOp{}
	for index := applied + 1; index <= last; index++ {
		var l raft.Log
		if err := log.get(index, &l); errors.Is(err, raft.ErrLogNotFound) {
			break
		} else if err != nil {
			return nil, err
		}
		if l.Type != raft.LogCommand {
			continue
		}
		list, _, err := fsm.EntryOps(l.Data)
		if err != nil {
			return nil, err
		}
		for _, op := range list {
			follow(ops, op)
		}
	}
	return ops, nil
}

// follow adds an operation to those before it.
func follow(ops map[fsm.Key]fsm.SessionOp, op fsm.SessionOp) {
	before, known := ops[op.Key]
	switch op.Kind {
	case fsm.OpAssign:
		if !known { // the first one counts
			ops[op.Key] = op
		}
	case fsm.OpMove, fsm.OpMoveAt:
		switch {
		case !known:
			ops[op.Key] = op
		case op.Kind == fsm.OpMoveAt || op.Expect == before.Instance: // what OpMoveAt expects there has no index yet that could be compared
			before.Instance = op.Instance
			ops[op.Key] = before
		}
	case fsm.OpDrop:
		delete(ops, op.Key)
	}
}
