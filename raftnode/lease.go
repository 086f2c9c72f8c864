package raftnode

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/internal/mutant"
)

// Lease gives the time until which this node may hold, as the leader of term, what only one node of the group may: in nanoseconds of CLOCK_BOOTTIME. A
// majority of the voters, this one among them, votes for no other node before that, with the reserve that TimingSums documents. It asks the other voters,
// and returns as soon as enough have answered; so it must be called again every LeaseTiming. A leader alone in its group gets one lease from now.
//
// Two things give another node votes all the same: this leader hands over (TransferTo, TransferLeadership, Stop), or a majority has found that its process is
// dead, and refuses connections; whoever holds must have let go before its peer port is closed (PeerListener).
//
// A node that does not lead in that term gets an error at once, and so does one that no majority vouches for, after one lease at the latest.
func (n *Node) Lease(ctx context.Context, term uint64) (until int64, err error) {
	if until, err = n.askLease(ctx, term); err != nil {
		return 0, fmt.Errorf("lease: %w", err)
	}
	return until, nil
}

func (n *Node) askLease(ctx context.Context, term uint64) (int64, error) {
	if err := n.leadsIn(term); err != nil {
		return 0, err
	}
	asked, err := n.opt.BootTime()
	if err != nil {
		return 0, err
	}
	others, votes := n.otherVoters()
	if !votes {
		return 0, fmt.Errorf("%w: this node has no vote", ErrNoQuorum)
	}
	need := (len(others) + 1) / 2 // besides this node: a majority of them all
	if mutant.On(mutant.LeaseUnconfirmed) {
		need = 0
	}
	oldest, err := n.gatherWords(ctx, others, need, term)
	if err != nil {
		return 0, err
	}
	until := asked - int64(oldest) + int64(n.timing.lease)
	// This node does not vote for another one before that either, should it step down; and it may have just before.
	if !n.trans.mayHold(until) {
		return 0, retryLater("this node is asked for its vote")
	}
	if err := n.leadsIn(term); err != nil {
		return 0, err
	}
	if now, err := n.opt.BootTime(); err != nil || now >= until {
		return 0, fmt.Errorf("%w: what the others vouched for is over already", ErrTimeout)
	}
	return until, nil
}

// leadsIn is nil while raft says that this node leads in that term.
func (n *Node) leadsIn(term uint64) error {
	if err := n.barred(); err != nil {
		return fmt.Errorf("%w: %w", ErrNoQuorum, err)
	}
	l, r := n.lead.Load(), n.raft.Load()
	if l == nil || r == nil || l.term != term || l.ctx.Err() != nil || r.State() != raft.Leader || r.CurrentTerm() != term {
		return fmt.Errorf("%w: this node does not lead in term %d", ErrNoQuorum, term)
	}
	return nil
}

// otherVoters gives the voters besides this node, and whether it is one.
func (n *Node) otherVoters() (others []raft.Server, self bool) {
	for _, s := range n.membership().Servers {
		switch {
		case s.Suffrage != raft.Voter:
		case s.ID == *n.id.Load():
			self = true
		default:
			others = append(others, s)
		}
	}
	return others, self
}

// gatherWords waits until need of the others have vouched for this leader, and gives the age of the oldest contact among them: with the first that answer,
// so that one that is down is not waited for.
func (n *Node) gatherWords(ctx context.Context, others []raft.Server, need int, term uint64) (oldest time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, n.timing.lease)
	defer cancel()
	type word struct {
		age time.Duration
		err error
	}
	words := make(chan word, len(others))
	for _, s := range others {
		go func() {
			age, err := n.askWord(ctx, s, term)
			words <- word{age, err}
		}()
	}
	got := 0
	for range others {
		if got == need {
			break
		}
		select {
		case w := <-words:
			if w.err == nil {
				got++
				oldest = max(oldest, w.age)
			} else {
				err = w.err
			}
		case <-ctx.Done():
			return 0, timeout(ctx)
		}
	}
	if got < need {
		return 0, fmt.Errorf("%w: %d of %d nodes vouch for this leader, %d must: %w", ErrNoQuorum, got, len(others), need, err)
	}
	return oldest, nil
}

func (n *Node) askWord(ctx context.Context, s raft.Server, term uint64) (time.Duration, error) {
	b, err := n.pool.call(ctx, string(s.Address), nameOf(s.ID), callLease, encodeIndex(term))
	if err != nil {
		return 0, fmt.Errorf("node %s: %w", nameOf(s.ID), err)
	}
	return decodeAge(b, n.timing.heartbeat)
}

// handleLease is the follower's end: the age of its last contact with the caller, whom it follows in the term that is asked for.
func (n *Node) handleLease(ctx context.Context, from caller, payload []byte) ([]byte, error) {
	term, err := decodeIndex(payload)
	if err != nil {
		return nil, refused("%v", err)
	}
	if n.raft.Load() == nil {
		return nil, retryLater("the node is " + *n.phase.Load())
	}
	if s, ok := memberByID(n.membership(), *n.id.Load()); !ok || s.Suffrage != raft.Voter {
		return nil, retryLater("this node has no vote")
	}
	age, err := n.trans.vouch(ctx, from.id, term)
	if err != nil {
		return nil, retryLater(err.Error())
	}
	return encodeAge(age), nil
}

// encodeAge writes nanoseconds, 8 bytes.
func encodeAge(d time.Duration) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(d)) }

// decodeAge refuses what no follower that keeps its word says.
func decodeAge(b []byte, limit time.Duration) (time.Duration, error) {
	if len(b) != 8 {
		return 0, fmt.Errorf("%w: age: %d bytes", errFrame, len(b))
	}
	v := binary.LittleEndian.Uint64(b)
	if v > math.MaxInt64 || time.Duration(v) >= limit {
		return 0, fmt.Errorf("%w: an age of %d ns, less than %v is needed", errFrame, v, limit)
	}
	return time.Duration(v), nil
}
