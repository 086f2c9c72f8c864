package raftnode

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/raft"
)

// raft's own timer, which is random, may have a node ask whether it may stand for election (the pre-vote) while another one is about to, or does. raft says yes
// to that whenever it knows no leader, also as a candidate in the very term that is asked for. Then both stand, and split the votes.

// asked is the last question of this node's raft to others. It is immutable.
type asked struct {
	term uint64
	vote bool // for their votes; else whether it may ask for them
	self raft.ServerID
	last position
	at   time.Time
}

// wordKeeper is what a node has promised (see word).
type wordKeeper interface {
	// give promises it to another node, if it is free.
	give(term uint64, to raft.ServerID, sole bool, d time.Duration) bool
	// wordFor gives whose election to follow the leader of term this node does not stand in the way of; empty: anybody's.
	wordFor(term uint64) raft.ServerID
}

var errYield = errors.New("another node stands for election")

// passPreVote lets raft answer when nothing of this node is in the way. A yes is this node's word.
func (t *peerTransport) passPreVote(ctx context.Context, rpc raft.RPC, m *raft.RequestPreVoteRequest) {
	if t.giveWay(m) {
		rpc.Respond(nil, errYield)
		return
	}
	t.handAndWait(ctx, rpc, func(answer any) {
		if a, ok := answer.(*raft.RequestPreVoteResponse); ok && a.Granted && t.words != nil && m.Term > 0 {
			a.Granted = t.words.give(m.Term-1, raft.ServerID(m.ID), true, t.timing.keepWord())
		}
	})
}

// giveWay tells whether the one that asks should wait. That is bounded: a node may hear others' questions, and be heard by none.
func (t *peerTransport) giveWay(m *raft.RequestPreVoteRequest) bool {
	from := raft.ServerID(m.ID)
	if !t.mayAsk(m.Term, from) {
		return true
	}
	r, own := t.raft(), t.asked.Load()
	if r == nil || own == nil || r.State() != raft.Candidate {
		return false
	}
	if own.vote {
		return own.term >= m.Term && time.Since(own.at) < t.timing.keepWord()
	}
	equal := own.term == m.Term && own.last == position{m.LastLogIndex, m.LastLogTerm}
	return equal && own.self < from && time.Since(own.at) < t.timing.patience()
}

// mayAsk is false while this node has given its word to another one than id.
func (t *peerTransport) mayAsk(term uint64, id raft.ServerID) bool {
	if t.words == nil || term == 0 {
		return true
	}
	to := t.words.wordFor(term - 1)
	return to == "" || to == id
}

// RequestPreVote asks whether this node may stand. A yes does not count when this node has given its word to another one meanwhile.
func (t *peerTransport) RequestPreVote(id raft.ServerID, target raft.ServerAddress, m *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	if err := t.mayLead(); err != nil {
		return err
	}
	if t.vouched() {
		return errBound
	}
	self := raft.ServerID(m.ID)
	t.asked.Store(&asked{term: m.Term, self: self, last: position{m.LastLogIndex, m.LastLogTerm}, at: time.Now()})
	err := hedge(t.timing.heartbeat, resp, func(resp *raft.RequestPreVoteResponse) error {
		return t.NetworkTransport.RequestPreVote(id, target, m, resp)
	})
	if err != nil {
		return err
	}
	resp.Granted = resp.Granted && t.mayAsk(m.Term, self)
	return nil
}
