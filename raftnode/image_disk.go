package raftnode

import (
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/fsm"
)

// ReadImage takes the state out of the data directory of a node that does not run, and fills the empty state with it.
//
// It goes to the end of the log. Up to Confirmed the entries are known to be committed; the ones behind it may have been acknowledged all the same, by a majority that this node
// never heard of, so leaving them out could lose what a client has seen. Such an entry may also have come to nothing: to its proposer the outcome was unknown.
func ReadImage(dir Disk, state *fsm.State) (*Image, error) {
	log := dir.Log()
	last, err := log.LastIndex()
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	confirmed, err := log.GetCommitIndex()
	if err != nil {
		return nil, fmt.Errorf("read commit index: %w", err)
	}
	if err := replayTo(last, log, dir.Snapshots(), state); err != nil {
		return nil, fmt.Errorf("restore state: %w", err)
	}
	group := state.Group()
	if group == nil {
		return nil, errors.New("there is no state of a group in it yet")
	}
	members, err := membersOnDisk(dir)
	if err != nil {
		return nil, err
	}
	i := &Image{Group: *group, Index: state.Applied(), Time: state.Now(), Schema: state.Schema(), Members: imageMembers(members)}
	newest, err := newestSnapshot(dir)
	if err != nil {
		return nil, err
	}
	if i.Term = newest.Term; last > newest.Index {
		var l raft.Log
		if err := log.GetLog(last, &l); err != nil {
			return nil, fmt.Errorf("read log entry %d: %w", last, err)
		}
		i.Term = l.Term
	}
	i.Confirmed = min(i.Index, max(confirmed, newest.Index))
	i.State = streamOf(state)
	return i, nil
}

// newestSnapshot is empty when there is none.
func newestSnapshot(dir Disk) (raft.SnapshotMeta, error) {
	list, err := dir.Snapshots().List()
	if err != nil || len(list) == 0 {
		return raft.SnapshotMeta{}, err
	}
	return *list[0], nil
}

// streamOf gives the snapshot of a state that nobody changes.
func streamOf(state *fsm.State) io.ReadCloser {
	pr, pw := io.Pipe()
	snap := state.Snapshot()
	go func() {
		_, err := snap.WriteTo(pw)
		snap.Release()
		_ = pw.CloseWithError(err) // its error is nil always
	}()
	return pr
}
