package raftnode

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/fsm"
)

// replay brings an empty state to what was known to be committed when the node stopped: the newest snapshot that can be
// read, and the log behind it up to the commit index on disk. So a node serves its sessions before it has found a leader,
// and also without one.
//
// raft 1.8.0 has RestoreCommittedLogs for this, but (api.go, NewRaft) it then takes the membership only from entries behind
// the commit index, so that a group whose nodes all restart knows no members and elects nobody; and it hands the entries to
// a goroutine that is not started yet through a channel of 128 batches, so that a longer log locks up. With the state
// restored here raft starts as if nothing was applied and delivers the same entries again; fsmAdapter skips them.
func replay(log raft.CommitTrackingLogStore, snaps raft.SnapshotStore, state *fsm.State) error {
	upto, err := log.GetCommitIndex()
	if err != nil {
		return fmt.Errorf("read commit index: %w", err)
	}
	return replayTo(upto, log, snaps, state)
}

// replayTo goes on to the entry upto, or to what is in the newest snapshot if that is more.
func replayTo(upto uint64, log raft.LogStore, snaps raft.SnapshotStore, state *fsm.State) error {
	from, newest, err := restoreNewest(snaps, state)
	if err != nil {
		return err
	}
	upto = max(upto, newest) // what is in a snapshot was committed
	first, err := log.FirstIndex()
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	if from < upto && first > from+1 {
		return fmt.Errorf("the log begins at entry %d, but the newest snapshot that can be read ends at %d", first, from)
	}
	for i := from + 1; i <= upto; i++ {
		var l raft.Log
		if err := log.GetLog(i, &l); err != nil {
			return fmt.Errorf("read log entry %d: %w", i, err)
		}
		switch {
		case i <= state.Applied():
		case l.Type == raft.LogCommand:
			if _, err := state.Apply(i, l.Data); err != nil {
				return fmt.Errorf("apply log entry %d: %w", i, err)
			}
		case l.Type == raft.LogConfiguration:
			state.Advance(i)
		}
		// No-ops and barriers do not count, as in fsmAdapter, which never sees them: a read index that is one of theirs would
		// be waited for in vain by the other nodes.
	}
	return nil
}

// restoreNewest gives the index of the snapshot that was restored and of the newest there is; 0 and 0 without one.
func restoreNewest(snaps raft.SnapshotStore, state *fsm.State) (restored, newest uint64, err error) {
	list, err := snaps.List()
	if err != nil {
		return 0, 0, err
	}
	var errs []error
	for _, meta := range list {
		if err := restoreOne(snaps, meta.ID, state); err != nil {
			err = fmt.Errorf("restore snapshot %s: %w", meta.ID, err)
			if errors.Is(err, fsm.ErrSnapshotUnknown) { // it is whole, so an older one is no way round it
				return 0, 0, err
			}
			errs = append(errs, err)
			continue
		}
		return meta.Index, list[0].Index, nil
	}
	return 0, 0, errors.Join(errs...)
}

func restoreOne(snaps raft.SnapshotStore, id string, state *fsm.State) error {
	_, r, err := snaps.Open(id)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	return state.Restore(r)
}
