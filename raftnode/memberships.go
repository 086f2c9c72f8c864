package raftnode

import (
	"fmt"
	"slices"
	"sync"

	"github.com/hashicorp/raft"
)

// memberships knows of which log entry the group's membership is: raft 1.8.0 does not say (GetConfiguration leaves the index out). Of two answers about who is a
// member the one of the later entry counts.
type memberships struct {
	mu        sync.Mutex
	committed []string // Raft ids, sorted
	at        uint64   // the entry that says so; 0: none is known to be committed
	latest    uint64   // no membership in this node's log or snapshots is of a later entry
}

// commit takes a committed membership.
func (m *memberships) commit(index uint64, c raft.Configuration) {
	ids := make([]string, 0, len(c.Servers))
	for _, s := range c.Servers {
		ids = append(ids, string(s.ID))
	}
	slices.Sort(ids)
	m.mu.Lock()
	defer m.mu.Unlock()
	if index >= m.at { // after a restart raft tells the old ones again, one by one
		m.at, m.committed = index, ids
	}
	m.latest = max(m.latest, index)
}

// append takes note of one that is in the log.
func (m *memberships) append(index uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.latest = max(m.latest, index)
}

// cut takes note that the log ends before index.
func (m *memberships) cut(index uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.latest = max(m.at, min(m.latest, index-1))
}

func (m *memberships) get() (committed []string, at, latest uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.committed, m.at, m.latest
}

// load takes what is on disk.
func (m *memberships) load(dir Disk) error {
	newest, err := newestSnapshot(dir)
	if err != nil {
		return err
	}
	if newest.Index > 0 {
		m.commit(newest.ConfigurationIndex, newest.Configuration)
	}
	_, index, err := membershipOnDisk(dir)
	if err != nil {
		return err
	}
	m.append(index)
	return nil
}

// membershipOnDisk gives the latest membership that log and snapshots have, as raft will find it, and the index of its entry.
func membershipOnDisk(dir Disk) ([]raft.Server, uint64, error) {
	newest, err := newestSnapshot(dir)
	if err != nil {
		return nil, 0, err
	}
	log := dir.Log()
	first, err := log.FirstIndex()
	if err != nil {
		return nil, 0, fmt.Errorf("read log: %w", err)
	}
	last, err := log.LastIndex()
	if err != nil {
		return nil, 0, fmt.Errorf("read log: %w", err)
	}
	for i := last; i > 0 && i > newest.Index && i >= first; i-- {
		var l raft.Log
		if err := log.GetLog(i, &l); err != nil {
			return nil, 0, fmt.Errorf("read log entry %d: %w", i, err)
		}
		if l.Type != raft.LogConfiguration {
			continue
		}
		c, err := decodeConfiguration(l.Data)
		if err != nil {
			return nil, 0, fmt.Errorf("read log entry %d: %w", i, err)
		}
		return c.Servers, i, nil
	}
	return newest.Configuration.Servers, newest.ConfigurationIndex, nil
}

// membersOnDisk is the membership alone.
func membersOnDisk(dir Disk) ([]raft.Server, error) {
	servers, _, err := membershipOnDisk(dir)
	return servers, err
}

// decodeConfiguration is raft.DecodeConfiguration without its panic.
func decodeConfiguration(b []byte) (c raft.Configuration, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("decode membership: %v", p)
		}
	}()
	return raft.DecodeConfiguration(b), nil
}

// memberLog is the log as raft gets it, with a note of each membership in it.
type memberLog struct {
	*nodeLog
	known *memberships
}

func (l memberLog) StoreLog(log *raft.Log) error { return l.StoreLogs([]*raft.Log{log}) }

func (l memberLog) StoreLogs(logs []*raft.Log) error {
	if err := l.nodeLog.StoreLogs(logs); err != nil {
		return err
	}
	for _, entry := range logs {
		if entry.Type == raft.LogConfiguration {
			l.known.append(entry.Index)
		}
	}
	return nil
}

// DeleteRange deletes entries at either end.
func (l memberLog) DeleteRange(lo, hi uint64) error {
	last, err := l.LastIndex()
	if err != nil {
		return err
	}
	if err := l.nodeLog.DeleteRange(lo, hi); err != nil {
		return err
	}
	first, err := l.FirstIndex()
	if err == nil && hi >= last && first > 0 && first < lo { // the end, not all of it behind a snapshot
		l.known.cut(lo)
	}
	return err
}

// memberSnapshots takes the membership that comes with a snapshot: what is in one was committed.
type memberSnapshots struct {
	raft.SnapshotStore
	known *memberships
}

func (s memberSnapshots) Create(v raft.SnapshotVersion, index, term uint64, c raft.Configuration, ci uint64, t raft.Transport) (raft.SnapshotSink, error) {
	sink, err := s.SnapshotStore.Create(v, index, term, c, ci, t)
	if err != nil {
		return nil, err
	}
	return memberSink{sink, func() { s.known.commit(ci, c) }}, nil
}

type memberSink struct {
	raft.SnapshotSink
	done func()
}

func (s memberSink) Close() error {
	if err := s.SnapshotSink.Close(); err != nil {
		return err
	}
	s.done()
	return nil
}
