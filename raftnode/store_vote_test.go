package raftnode

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/storage"
)

// countedStable counts transactions, and fails those that it is told to.
type countedStable struct {
	*raft.InmemStore
	writes int
	fail   error
}

func (s *countedStable) SetAll(pairs ...storage.Pair) error {
	if s.writes++; s.fail != nil {
		return s.fail
	}
	for _, p := range pairs {
		if err := s.InmemStore.Set(p.Key, p.Value); err != nil {
			return err
		}
	}
	return nil
}

func (s *countedStable) Set(key, value []byte) error {
	return s.SetAll(storage.Pair{Key: key, Value: value})
}

func (s *countedStable) GetUint64(key []byte) (uint64, error) {
	b, err := s.Get(key)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(b), nil
}

// TestVoteIsOneTransaction: and as long as it is not stored, what was before is what can be read.
func TestVoteIsOneTransaction(t *testing.T) {
	dir, err := storage.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	if err := dir.SetIdentity(storage.Identity{Name: "n1", NodeID: storage.NewNodeID(), GroupID: storage.NewNodeID(), Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	s := &voteStore{Stable: dir.Stable()}
	is := func(when string, term uint64, candidate string) {
		t.Helper()
		gotTerm, err1 := s.GetUint64(keyLastVoteTerm)
		got, err2 := s.Get(keyLastVoteCand)
		if gotTerm != term || string(got) != candidate {
			t.Errorf("%s: term %d, candidate %q, want %d, %q (%v, %v)", when, gotTerm, got, term, candidate, err1, err2)
		}
	}
	vote := func(term uint64, candidate string) error {
		return errors.Join(s.SetUint64(keyLastVoteTerm, term), s.Set(keyLastVoteCand, []byte(candidate)))
	}
	if err := vote(5, "a"); err != nil {
		t.Fatal(err)
	}
	is("voted", 5, "a")
	if err := errors.Join(s.SetUint64(keyLastVoteTerm, 6), s.Set([]byte("other"), []byte("x")), s.SetUint64([]byte("CurrentTerm"), 6)); err != nil {
		t.Fatal(err)
	}
	is("half a vote", 5, "a")
	if err := s.Set(keyLastVoteCand, []byte("b")); err != nil {
		t.Fatal(err)
	}
	is("voted again", 6, "b")
	if err := s.Set(keyLastVoteCand, []byte("c")); err != nil {
		t.Fatal(err)
	}
	is("a candidate alone", 6, "c")
}

func TestVoteThatCannotBeStored(t *testing.T) {
	d := &countedStable{InmemStore: raft.NewInmemStore()}
	s := &voteStore{Stable: d}
	vote := func(term uint64, candidate string) error {
		return errors.Join(s.SetUint64(keyLastVoteTerm, term), s.Set(keyLastVoteCand, []byte(candidate)))
	}
	if err := vote(5, "a"); err != nil || d.writes != 1 {
		t.Fatalf("%v, in %d transactions", err, d.writes)
	}
	d.fail = storage.ErrNoSpace
	if err := vote(6, "b"); !errors.Is(err, storage.ErrNoSpace) {
		t.Fatal(err)
	}
	d.fail = nil
	if err := s.Set(keyLastVoteCand, []byte("b")); err != nil { // as guardedStable does when there is room
		t.Fatal(err)
	}
	if term, _ := s.GetUint64(keyLastVoteTerm); term != 6 {
		t.Errorf("the vote's term is %d when there was room again", term)
	}
	d.fail = errors.New("input/output error")
	if err := vote(7, "a"); !errors.Is(err, d.fail) {
		t.Fatal(err)
	}
	if term, _ := s.GetUint64(keyLastVoteTerm); term != 6 {
		t.Errorf("a vote that was not stored is read: term %d", term)
	}
	d.fail = nil
	if err := s.Set(keyLastVoteCand, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if term, _ := s.GetUint64(keyLastVoteTerm); term != 6 {
		t.Errorf("the term of a vote that failed comes with another one: %d", term)
	}
}
