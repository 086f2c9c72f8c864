package raftnode

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var (
	// ErrDisk: what this node wrote may not be what is on its disk, or will be. Run ends with it, and the process should: it is found out at the next start.
	ErrDisk = errors.New("the disk is in doubt")
	// ErrDiskStalled: a write of this node has been under way for longer than any that a sound disk takes.
	ErrDiskStalled = errors.New("the disk does not answer")
)

// slowDisk is by how much a write must exceed what is usual on this disk before it is held to be stalled. A disk that is slow for good is not given up for: on the
// next leader's it would be no faster if all have one store, and leadership would go round without a single commit.
const slowDisk = 4

// stallBound is how long a write may take before this node is held to have lost its disk. A leader that gives up too early costs new sessions an election; one
// that gives up too late, the wait until then. With a bound of about what the election costs neither is much more than it had to be. Known sessions need no
// write, and see nothing of either.
func (n *Node) stallBound() time.Duration {
	return min(max(n.timing.stall, slowDisk*n.disk.writes.usual()), n.timing.hung/2)
}

// DiskStalled is an ErrDiskStalled while a write of this node's log or vote has been under way for too long, nil otherwise. It never blocks.
func (n *Node) DiskStalled() error {
	if w, ok := n.disk.writes.oldest(false); ok && time.Since(w.since) >= n.stallBound() {
		return fmt.Errorf("%w: %s under way for %v", ErrDiskStalled, w.op, time.Since(w.since).Round(time.Millisecond))
	}
	return nil
}

// DiskLost is DiskStalled on a node for which others can do what it cannot: so it should not be sent what it can only half do. A node alone goes on with what it knows, and
// so does a leader as long as the others' disks are no better.
func (n *Node) DiskLost() error {
	err := n.DiskStalled()
	if err == nil {
		return nil
	}
	if others, _ := n.otherVoters(); len(others) == 0 {
		return nil
	}
	if n.lead.Load() != nil && !n.disks.sound.Load() {
		return nil
	}
	return err
}

// watchDisk looks at the writes under way, from a goroutine that has nothing to do with the disk. A leader whose write stalls gives up when the others' disks answer, which it
// asks from half the bound on; a node whose disk has not answered for timing.hung ends.
func (n *Node) watchDisk(ctx context.Context) {
	tick := time.NewTicker(n.timing.stall / 16)
	defer tick.Stop()
	stalled := false
	for {
		err := n.DiskStalled()
		if err != nil != stalled {
			if stalled = err != nil; stalled {
				n.met.diskStalls.Inc()
				n.log.Error("the disk does not answer: this node does not lead until it does, unless the others' disks are no better", "error", err)
			} else {
				n.log.Info("the disk answers again")
			}
		}
		switch w, ok := n.disk.writes.oldest(false); {
		case !ok || time.Since(w.since) < n.stallBound()/2:
			n.disks.sound.Store(false)
		case n.lead.Load() != nil:
			n.askDisks(ctx)
		}
		if stalled && n.disks.sound.Load() {
			n.giveUp()
		}
		if w, ok := n.disk.writes.oldest(true); ok && time.Since(w.since) >= n.timing.hung {
			n.fail(fmt.Errorf("%w: %w: %s has not ended for %v; look at the disk and start the node again", ErrDisk, ErrDiskStalled, w.op, n.timing.hung))
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// giveUp ends the term in which this node leads although raft, whose main goroutine is in the write, does not know yet. What raft does on other goroutines goes on:
// it sends heartbeats, and the others would follow this node for ever. So they get no more of them (peerTransport.mute), find their leader silent, and elect
// another; Lease fails at once, and what is held by it goes. When the disk answers, raft finds that no majority has heard of it, or that there is a newer term, and
// follows.
func (n *Node) giveUp() {
	l := n.lead.Load()
	if l == nil {
		return
	}
	n.trans.mute(l.term)
	if n.lead.CompareAndSwap(l, nil) {
		n.leave(l)
	}
}
