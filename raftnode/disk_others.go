package raftnode

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// keyTried is what a node writes when the leader asks whether its disk answers: a number that means nothing.
var keyTried = []byte("HoldfastTried")

// othersDisks is what a leader whose own disk does not answer knows of the others' disks. Several nodes often have one disk below them: one storage array, one machine
// beneath three virtual ones. When that one hangs a change of the leader costs an election, and no write is sooner on any disk.
type othersDisks struct {
	asking atomic.Bool
	begun  time.Time     // the last round; only watchDisk looks at it
	rounds atomic.Uint64 // that have ended
	sound  atomic.Bool   // the last one found that the others alone could commit
}

// askPatience is how long the disk of another node may take for one small write to be worth a change of the leader, and how far apart rounds begin.
func (t timing) askPatience() time.Duration { return t.stall / 4 }

// askDisks begins a round of questions, unless one is under way or was just begun.
func (n *Node) askDisks(ctx context.Context) {
	e := &n.disks
	if time.Since(e.begun) < n.timing.askPatience() || !e.asking.CompareAndSwap(false, true) {
		return
	}
	e.begun = time.Now()
	go func() {
		defer e.asking.Store(false)
		ctx, cancel := context.WithTimeout(ctx, n.timing.askPatience())
		defer cancel()
		e.sound.Store(n.othersCouldCommit(ctx))
		e.rounds.Add(1)
	}()
}

// othersCouldCommit asks the other voters to write something, and tells whether so many have done it within ctx that they are a majority without this node.
func (n *Node) othersCouldCommit(ctx context.Context) bool {
	others, _ := n.otherVoters()
	need := (len(others)+1)/2 + 1
	answers := make(chan error, len(others))
	for _, s := range others {
		go func() {
			_, err := n.pool.call(ctx, string(s.Address), nameOf(s.ID), callDisk, nil)
			answers <- err
		}()
	}
	for left := len(others); need > 0; left-- {
		if left < need {
			return false
		}
		select {
		case err := <-answers:
			if err == nil {
				need--
			}
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// diskTrial lets one question at a time reach the disk, whoever asks: a disk that hangs is not asked again before it has answered.
type diskTrial struct {
	mu    sync.Mutex
	count uint64
}

// handleDisk writes something to the disk for a member, durably, and answers when it is there.
func (n *Node) handleDisk(_ context.Context, from caller, payload []byte) ([]byte, error) {
	if len(payload) != 0 {
		return nil, refused("%d bytes where there should be none", len(payload))
	}
	if _, member := memberByID(n.membership(), from.id); !member {
		return nil, refused("node %s is not a member", from.name)
	}
	if n.raft.Load() == nil {
		return nil, retryLater("the node is " + *n.phase.Load())
	}
	if err := errors.Join(n.DiskTrouble(), n.barred()); err != nil {
		return nil, retryLater(err.Error())
	}
	if !n.trial.mu.TryLock() {
		return nil, retryLater("the disk has not answered the last one yet")
	}
	defer n.trial.mu.Unlock()
	n.trial.count++
	var stable raft.StableStore = guardedStable{n.stable, n.disk}
	return nil, stable.Set(keyTried, binary.LittleEndian.AppendUint64(nil, n.trial.count))
}
