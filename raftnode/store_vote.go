package raftnode

import (
	"encoding/binary"
	"errors"
	"sync"

	"github.com/holdfast-lb/holdfast/storage"
)

var keyLastVoteTerm, keyLastVoteCand = []byte("LastVoteTerm"), []byte("LastVoteCand") // raft.go

// voteStore stores the two halves of a vote, its term and its candidate, in one transaction. raft stores first the one and then the other, and gives its vote
// after that: as long as there is only the first half, nothing has been promised to anybody. So there is one disk sync less in an election.
type voteStore struct {
	storage.Stable

	mu   sync.Mutex
	term []byte // of the vote whose candidate raft will store next; nil: none. It is not stored, and not read.
}

// SetUint64 implements raft.StableStore.
func (s *voteStore) SetUint64(key []byte, value uint64) error {
	if string(key) != string(keyLastVoteTerm) {
		return s.Stable.SetUint64(key, value)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.term = binary.BigEndian.AppendUint64(nil, value)
	return nil
}

// Set implements raft.StableStore. After ErrNoSpace it may be called again.
func (s *voteStore) Set(key, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.term == nil || string(key) != string(keyLastVoteCand) {
		return s.Stable.Set(key, value)
	}
	err := s.SetAll(storage.Pair{Key: keyLastVoteTerm, Value: s.term}, storage.Pair{Key: keyLastVoteCand, Value: value})
	if !errors.Is(err, storage.ErrNoSpace) {
		s.term = nil
	}
	return err
}
