package raftnode

import (
	"context"
	"errors"
	"fmt"
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
	left, err := n.gatherWords(ctx, others, need, term)
	if err != nil {
		return 0, err
	}
	until := asked + int64(left)
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

// currentTerm is 0 before raft runs.
func (n *Node) currentTerm() uint64 {
	if r := n.raft.Load(); r != nil {
		return r.CurrentTerm()
	}
	return 0
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

// gatherWords waits until need of the others have vouched for this leader, and gives for how long it may hold by that from the moment before they were asked: by the word among
// them that is over first. It does so with the first that answer and let it hold at all, so that one that is down, or has another profile, is not waited for.
func (n *Node) gatherWords(ctx context.Context, others []raft.Server, need int, term uint64) (left time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, n.timing.lease)
	defer cancel()
	type answer struct {
		vow
		from raft.ServerID
		err  error
	}
	answers := make(chan answer, len(others))
	for _, s := range others {
		go func() {
			v, err := n.askWord(ctx, s, term)
			answers <- answer{v, s.ID, err}
		}()
	}
	left = n.timing.lease
	got, short := 0, []string(nil)
	for range others {
		if got == need {
			break
		}
		var a answer
		select {
		case a = <-answers:
		case <-ctx.Done():
			a.err = timeout(ctx)
		}
		by := n.timing.leaseBy(a.takeover)
		switch {
		case a.err != nil:
			err = fmt.Errorf("node %s: %w", nameOf(a.from), a.err)
		case by == 0:
			short = append(short, fmt.Sprintf("node %s (%s)", nameOf(a.from), profileOf(a.takeover)))
		case a.age >= by:
			err = fmt.Errorf("node %s heard of this leader %v ago", nameOf(a.from), a.age)
		default:
			got++
			left = min(left, by-a.age)
		}
	}
	switch {
	case got == need:
		n.unleased.note("", time.Now())
		return left, nil
	case len(short) > 0 && !errors.Is(ctx.Err(), context.Canceled): // else the rest was not waited for
		return 0, n.noLease(short)
	case ctx.Err() != nil:
		return 0, timeout(ctx)
	}
	return 0, fmt.Errorf("%w: %d of %d nodes vouch for this leader, %d must: %w", ErrNoQuorum, got, len(others), need, err)
}
