//go:build !wasip1

package storage

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/hashicorp/raft"
)

// stable keeps Raft's term and vote, in the seal of the same file: each Set is one transaction with one checksum. The
// values are in memory too, so that Get never reads the disk.
type stable struct{ log *Log }

var _ Stable = stable{}

// raftKeys are the keys by which raft knows that a node has had state (raft's api.go and raft.go).
var raftKeys = []string{"CurrentTerm", "LastVoteTerm", "LastVoteCand"}

// Set stores a value and returns when it is durable. Keys and values are small and few: 256 bytes, 16 KiB, 64.
func (s stable) Set(key, value []byte) error { return s.SetAll(Pair{key, value}) }

// SetAll implements Stable.
func (s stable) SetAll(pairs ...Pair) error {
	op := "set stable value"
	for _, p := range pairs {
		op += " " + string(p.Key)
		if len(p.Key) > maxValueKey || len(p.Value) > maxValueSize {
			return fmt.Errorf("%.64s: key or value is too long", op)
		}
		if !s.log.identity.Load() && slices.Contains(raftKeys, string(p.Key)) {
			return fmt.Errorf("%s: %w", op, ErrNoIdentity)
		}
	}
	s.log.write.Lock()
	defer s.log.write.Unlock()
	next, err := s.log.current()
	if err != nil {
		return err
	}
	for _, p := range pairs {
		next.values = next.with(string(p.Key), p.Value)
	}
	if len(next.values) > maxValues {
		return fmt.Errorf("%s: more than %d keys", op, maxValues)
	}
	return s.log.commit(op, make([]*raft.Log, 1), next)
}

// Get gives a copy of the value, ErrKeyNotFound when the key was never set.
func (s stable) Get(key []byte) ([]byte, error) {
	cur, err := s.log.current()
	if err != nil {
		return nil, err
	}
	value, ok := cur.values[string(key)]
	if !ok {
		return nil, ErrKeyNotFound
	}
	return append([]byte{}, value...), nil
}

// SetUint64 stores a number.
func (s stable) SetUint64(key []byte, value uint64) error {
	return s.Set(key, binary.BigEndian.AppendUint64(nil, value))
}

// GetUint64 gives a number that SetUint64 stored, ErrKeyNotFound when the key was never set.
func (s stable) GetUint64(key []byte) (uint64, error) {
	value, err := s.Get(key)
	if err != nil {
		return 0, err
	}
	if len(value) != 8 {
		return 0, fmt.Errorf("stable value %s is not a number", key)
	}
	return binary.BigEndian.Uint64(value), nil
}
