package raftnode

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/internal/failpoint"
)

// fsmAdapter gives committed entries to the state. raft calls all of it on one goroutine.
type fsmAdapter struct {
	state *fsm.State
	// stop is called once, with the reason, when an entry cannot be applied: the node must not go on without it.
	stop func(error)
	// applied is signalled after each batch, revised after those that changed something in Operating or added an event.
	applied, revised *broadcast
	// members is told each committed membership, heard the replicated time whenever entries have moved it.
	members func(index uint64, c raft.Configuration)
	heard   func(time.Time)
	// progress is told while entries are being applied; hold is given an image of the state where an entry asks for one. Both may be nil.
	progress *progress
	hold     func(*fsm.Snapshot)
	// badly applies an entry in the place of the state, for a node that is to go wrong; nil in every other.
	badly func(index uint64, entry []byte) (fsm.Result, error)

	delivered uint64 // the last index that raft gave to this adapter
	operating uint64 // Operating().Index as of the last signal
	event     uint64 // LastEvent() as of then
	failed    bool
}

var _ raft.BatchingFSM = (*fsmAdapter)(nil)

var errStopped = errors.New("node has stopped applying")

// Apply is here for the interface: raft calls ApplyBatch.
func (a *fsmAdapter) Apply(l *raft.Log) any { return a.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch answers a command with its fsm.Result, or with an error if the node has stopped, and all else with nil. An
// entry that replay has applied is skipped: its proposer is not waiting here.
func (a *fsmAdapter) ApplyBatch(logs []*raft.Log) []any {
	defer a.progress.beginApply()()
	out := make([]any, len(logs))
	before := a.state.Now()
	for i, l := range logs {
		out[i] = a.applyOne(l)
	}
	if now := a.state.Now(); now.After(before) {
		a.heard(now)
	}
	if !a.failed {
		a.publish()
	}
	return out
}

func (a *fsmAdapter) applyOne(l *raft.Log) any {
	if a.failed {
		return errStopped
	}
	if l.Type == raft.LogConfiguration {
		a.members(l.Index, raft.DecodeConfiguration(l.Data))
	}
	a.delivered = l.Index
	if l.Index <= a.state.Applied() {
		return nil
	}
	if l.Type != raft.LogCommand {
		a.state.Advance(l.Index)
		return nil
	}
	group := a.state.Group()
	r, err := a.apply(l)
	if err != nil {
		a.failed = true
		err = fmt.Errorf("apply entry %d of term %d: %w", l.Index, l.Term, err)
		a.stop(err)
		return err
	}
	if now := a.state.Group(); group != nil && now.Epoch != group.Epoch {
		failpoint.Hit(failpoint.RegroupApplied)
	}
	return r
}

func (a *fsmAdapter) apply(l *raft.Log) (fsm.Result, error) {
	apply := a.state.Apply
	if a.badly != nil {
		apply = a.badly
	}
	r, err := apply(l.Index, l.Data)
	if point := a.state.Checkpoint(); err == nil && a.hold != nil && point.Hold && point.Index == l.Index {
		a.hold(a.state.Snapshot())
	}
	return r, err
}

func (a *fsmAdapter) publish() {
	a.applied.signal()
	if index, event := a.state.Operating().Index, a.state.LastEvent(); index != a.operating || event != a.event {
		a.operating, a.event = index, event
		a.revised.signal()
	}
}

// Snapshot takes a copy-on-write image of the state.
func (a *fsmAdapter) Snapshot() (raft.FSMSnapshot, error) {
	if a.failed {
		return nil, errStopped
	}
	if a.delivered < a.state.Applied() {
		// After a restart raft goes once more over what replay has applied. It would label the image with its own index.
		return nil, errors.New("snapshot: still catching up after the start")
	}
	return fsmSnapshot{a.state.Snapshot()}, nil
}

// Restore replaces the state by a snapshot that the leader sent.
func (a *fsmAdapter) Restore(r io.ReadCloser) error {
	defer func() { _ = r.Close() }()
	if err := a.state.Restore(r); err != nil {
		return fmt.Errorf("restore snapshot: %w", err)
	}
	a.delivered = a.state.Applied()
	a.publish()
	return nil
}

type fsmSnapshot struct{ s *fsm.Snapshot }

func (f fsmSnapshot) Persist(sink raft.SnapshotSink) error {
	if _, err := f.s.WriteTo(&pacedWriter{w: sink}); err != nil {
		_ = sink.Cancel()
		return fmt.Errorf("write snapshot: %w", err)
	}
	return sink.Close()
}

func (f fsmSnapshot) Release() { f.s.Release() }
