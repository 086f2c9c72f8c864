package raftnode

import (
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// word is what a node that finds the leader of a term gone has promised to another: not to stand for election itself for a while. One that is sole is given to
// nobody else besides. A node that claims has its own.
//
// So at most one node stands at a time: it has the word of every other node but the lost leader, or it claims, and has the sole words of a majority, with its own. Two
// claims have a node in common. And if one node has the words of all, then every other one has either not begun to claim when it gave its own, and does not
// afterwards; or it has, and did not give it. (raft's own question before an election, the pre-vote, is a claim too: see peerTransport.passPreVote.)
type word struct {
	term  uint64 // in which the lost leader led
	to    raft.ServerID
	until time.Time
	sole  bool
}

// challenges are those of this node: at most one of each cause at a time, and at most one election in a term.
type challenges struct {
	mu    sync.Mutex
	run   map[cause]bool
	stood uint64 // the last term whose leader was challenged
	word  word
}

// givenTo is the node that has this node's word, empty when none has. mu is held.
func (s *challenges) givenTo(term uint64) (to raft.ServerID, sole bool) {
	if s.word.term != term || time.Now().After(s.word.until) {
		return "", false
	}
	return s.word.to, s.word.sole
}

// give promises another node that wants to stand not to do so for that time; false: this node has just stood, or its word is another one's. It implements wordKeeper.
func (s *challenges) give(term uint64, to raft.ServerID, sole bool, d time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.giveLocked(term, to, sole, d)
}

func (s *challenges) giveLocked(term uint64, to raft.ServerID, sole bool, d time.Duration) bool {
	has, only := s.givenTo(term)
	if only && has != to || s.word.term > term {
		return false
	}
	s.word = word{term, to, time.Now().Add(d), sole || only}
	return true
}

// claim gives this node's word to itself, if it is free.
func (s *challenges) claim(term uint64, self raft.ServerID, d time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.isFree(term, self) {
		return false
	}
	s.word = word{term, self, time.Now().Add(d), true}
	return true
}

// answer is what this node, self, says to one that asks because the leader is gone, which it is. own is the end of its own log, and able whether it could stand itself.
// After verdictLonger and verdictFirst it must challenge.
func (s *challenges) answer(g goneRequest, self, from raft.ServerID, own position, able bool, d time.Duration) verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	if able && s.isFree(g.lost.term, self) {
		switch {
		case own.longer(g.last):
			return verdictLonger
		case own == g.last && self < from && !g.claim:
			return verdictFirst
		}
	}
	if !s.giveLocked(g.lost.term, from, g.claim, d) {
		return verdictTaken
	}
	return verdictGo
}

// isFree tells whether this node may stand: it has not yet, and its word is nobody else's. mu is held.
func (s *challenges) isFree(term uint64, self raft.ServerID) bool {
	has, _ := s.givenTo(term)
	return s.stood < term && (has == "" || has == self)
}

// unclaim takes the word back that this node gave to itself in vain.
func (s *challenges) unclaim(term uint64, self raft.ServerID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.word.term == term && s.word.to == self {
		s.word = word{}
	}
}

// free is isFree.
func (s *challenges) free(term uint64, self raft.ServerID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.isFree(term, self)
}

// take has this node stand, if it may.
func (s *challenges) take(term uint64, self raft.ServerID, d time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.isFree(term, self) {
		return false
	}
	s.stood = term
	s.word = word{term, self, time.Now().Add(d), true}
	return true
}

// untake takes back that this node stands: it did not come to it.
func (s *challenges) untake(term uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stood == term {
		s.stood = term - 1
		s.word = word{}
	}
}

// stoodIn tells whether this node has stood because the leader of term was gone.
func (s *challenges) stoodIn(term uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stood == term
}

// wordFor implements wordKeeper.
func (s *challenges) wordFor(term uint64) raft.ServerID {
	s.mu.Lock()
	defer s.mu.Unlock()
	has, _ := s.givenTo(term)
	return has
}
