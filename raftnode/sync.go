package raftnode

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// Sync returns nil when the local state holds everything that was acknowledged anywhere in the group before the call (read
// index: Ongaro, "Consensus", 6.4). It fails like Record, except that nothing is ever left open by it.
func (n *Node) Sync(ctx context.Context) error {
	wait := backoff{base: 4 * time.Millisecond, limit: 100 * time.Millisecond}
	for {
		at, changed := n.watch.get()
		if at.known {
			index, err := n.reads.join(ctx, n.readIndex)
			if err == nil {
				return waitApplied(ctx, n.state, &n.applied, index)
			}
			if errors.Is(err, ErrRefused) {
				return fmt.Errorf("sync: %w", err)
			}
		} else if !n.watch.quorum() {
			return ErrNoQuorum
		}
		if err := n.pause(ctx, changed, wait.next(), at.known); err != nil {
			return err
		}
	}
}

// pause waits before the next attempt: for a new leader, or, if there is one, for d.
func (n *Node) pause(ctx context.Context, changed <-chan struct{}, d time.Duration, known bool) error {
	if !known {
		d = n.timing.poll()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-changed:
	case <-t.C:
	case <-ctx.Done():
		return timeout(ctx)
	case <-n.ctx.Done():
		return ErrClosed
	}
	return nil
}

// readIndex asks whoever leads, once.
func (n *Node) readIndex() (uint64, error) {
	ctx, cancel := context.WithTimeout(n.ctx, n.timing.attempt())
	defer cancel()
	at, changed := n.watch.get()
	if !at.known {
		return 0, n.notLeader()
	}
	if at.self {
		return n.leaderIndex(ctx)
	}
	// A leader that is lost is not waited for.
	go func() {
		select {
		case <-changed:
			cancel()
		case <-ctx.Done():
		}
	}()
	b, err := n.pool.call(ctx, at.addr, nameOf(at.id), callReadIndex, nil)
	if err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			n.pool.drop(at.addr, nameOf(at.id), err)
		}
		return 0, err
	}
	return decodeIndex(b)
}

// leaderIndex gives an index at or behind everything that was acknowledged or read so far, if this node still leads: what was is committed by this leader, or by an earlier one, so that the term's barrier
// has brought it here.
func (n *Node) leaderIndex(ctx context.Context) (uint64, error) {
	l, err := n.leading(ctx)
	if err != nil {
		return 0, err
	}
	index := n.committed(l)
	if err := n.confirmTerm(ctx, l.term); err != nil {
		return 0, retryLater("leadership is not confirmed: " + err.Error())
	}
	return index, nil
}

// committed gives the last entry of the state that this leader knows to be committed. What it has applied itself is not enough: a follower may have applied more, and have told somebody, who must not read
// something older elsewhere.
//
// Behind the term's barrier there are only entries that move the applied index; raft's own ones up to there (no-op and barrier) do not, so that nobody could wait for them.
func (n *Node) committed(l *leadership) uint64 {
	if r := n.raft.Load(); r != nil && l.barrier > 0 {
		if index := r.CommitIndex(); index > l.barrier {
			return index
		}
	}
	return n.state.Applied()
}

// confirmTerm asks the other voters for their terms. If a majority is in the given term after the request came, then no later
// leader had been elected before it, since a majority would have left the term to vote.
//
// raft 1.8.0's VerifyLeader does not hold that: an answer to a heartbeat that was sent before the call counts (replication.go,
// heartbeat and notifyAll), so that a leader that was frozen between the two takes one from before its successor's election;
// and non-voters' answers count as well.
func (n *Node) confirmTerm(ctx context.Context, term uint64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	servers := n.membership().Servers
	answers := make(chan bool, len(servers))
	voters, asked := 0, 0
	for _, s := range servers {
		if s.Suffrage != raft.Voter {
			continue
		}
		voters++
		if s.ID == *n.id.Load() {
			continue
		}
		asked++
		go func() {
			b, err := n.pool.call(ctx, string(s.Address), nameOf(s.ID), callTerm, nil)
			theirs, derr := decodeIndex(b)
			answers <- err == nil && derr == nil && theirs == term
		}()
	}
	same := 0
	if n.currentTerm() == term {
		same++
	}
	for ; asked > 0 && same <= voters/2; asked-- {
		if <-answers {
			same++
		}
	}
	if same <= voters/2 {
		return fmt.Errorf("%d of %d voters are in term %d", same, voters, term)
	}
	return nil
}

func (n *Node) handleReadIndex(ctx context.Context, _ caller, _ []byte) ([]byte, error) {
	// Requests of all followers share the verification too.
	index, err := n.verified.join(ctx, func() (uint64, error) {
		ctx, cancel := context.WithTimeout(n.ctx, n.timing.attempt())
		defer cancel()
		return n.leaderIndex(ctx)
	})
	if err != nil {
		return nil, err
	}
	return encodeIndex(index), nil
}

func (n *Node) handleTerm(context.Context, caller, []byte) ([]byte, error) {
	return encodeIndex(n.currentTerm()), nil
}

// handleWait answers when this node has applied an index.
func (n *Node) handleWait(ctx context.Context, _ caller, payload []byte) ([]byte, error) {
	index, err := decodeIndex(payload)
	if err != nil {
		return nil, refused("%v", err)
	}
	return nil, waitApplied(ctx, n.state, &n.applied, index)
}
