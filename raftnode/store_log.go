package raftnode

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// nodeLog is the log as raft gets it. The newest entries are in memory, since replication reads each of them once for each
// follower. And it knows the newest snapshot, to fill a hole that raft 1.8.0 leaves:
//
// A follower that was sent a snapshot of index S goes on with entry S+1, without entry S. If the answer for S+1 is lost, the
// leader asks again with "the entry before is S"; the follower does not find it (raft.go, appendEntries, looks for it in
// the log alone), so that it is sent the same snapshot again, and again, until there is a newer one. Here S is found: its
// term is that of the snapshot. What the log has below such a hole is hidden, as it is not to be used for anything.
type nodeLog struct {
	*raft.LogCache
	log raft.CommitTrackingLogStore

	mu   sync.RWMutex
	snap raft.Log // index and term of the newest snapshot
	hole bool     // the log has no entry of that index

	weight logWeight
}

var _ raft.CommitTrackingLogStore = (*nodeLog)(nil)

func newNodeLog(log raft.CommitTrackingLogStore, snaps raft.SnapshotStore) (*nodeLog, error) {
	cache, err := raft.NewLogCache(logCacheEntries, log)
	if err != nil {
		return nil, err
	}
	list, err := snaps.List()
	if err != nil {
		return nil, err
	}
	l := &nodeLog{LogCache: cache, log: log, weight: logWeight{heavy: make(chan struct{}, 1)}}
	if len(list) > 0 {
		err = l.snapshotAt(list[0].Index, list[0].Term)
	}
	return l, err
}

// snapshotAt takes note of a snapshot that is on disk.
func (l *nodeLog) snapshotAt(index, term uint64) error {
	var entry raft.Log
	err := l.LogCache.GetLog(index, &entry)
	if err != nil && !errors.Is(err, raft.ErrLogNotFound) {
		return fmt.Errorf("look for the snapshot's last entry: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if index > l.snap.Index {
		l.snap, l.hole = raft.Log{Index: index, Term: term, Type: raft.LogNoop}, err != nil
	}
	return nil
}

// GetLog never gives the made-up entry to be sent to others: for that the one before it would have to be there. Without an
// entry behind the hole there is none: raft then reads the last entry below it, at its start.
func (l *nodeLog) GetLog(index uint64, log *raft.Log) error {
	l.mu.RLock()
	snap, hole := l.snap, l.hole
	l.mu.RUnlock()
	if hole && index <= snap.Index {
		last, err := l.LogCache.LastIndex()
		switch {
		case err != nil:
			return err
		case last > snap.Index && index < snap.Index:
			return raft.ErrLogNotFound
		case last > snap.Index:
			*log = snap
			return nil
		}
	}
	return l.LogCache.GetLog(index, log)
}

func (l *nodeLog) StageCommitIndex(index uint64) error { return l.log.StageCommitIndex(index) }

// GetCommitIndex says none, so that raft does not run its own restore (see replay).
func (l *nodeLog) GetCommitIndex() (uint64, error) { return 0, nil }

// notedSnapshots tells the log of each new snapshot.
type notedSnapshots struct {
	raft.SnapshotStore
	log  *nodeLog
	disk *diskGuard
}

func (s notedSnapshots) Create(v raft.SnapshotVersion, index, term uint64, c raft.Configuration, ci uint64, t raft.Transport) (raft.SnapshotSink, error) {
	sink, err := s.SnapshotStore.Create(v, index, term, c, ci, t)
	if err != nil {
		return nil, err
	}
	entries, bytes := s.log.weight.now()
	return notedSink{sink, s, index, term, entries, bytes}, nil
}

type notedSink struct {
	raft.SnapshotSink
	to             notedSnapshots
	index, term    uint64
	entries, bytes int64 // see logWeight
}

func (s notedSink) Close() error {
	end := s.to.disk.writes.beginAt(diskWrite{op: "the end of a snapshot", since: time.Now(), bulk: true})
	err := s.SnapshotSink.Close()
	end()
	if err != nil {
		return err
	}
	s.to.log.weight.covered(s.entries, s.bytes)
	return s.to.log.snapshotAt(s.index, s.term)
}
