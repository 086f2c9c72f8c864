//go:build !wasip1

package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/hashicorp/raft"
)

// Report is what Verify found. Fields of a part that is damaged are zero.
type Report struct {
	Path        string
	Identity    Identity
	HasIdentity bool

	FirstIndex, LastIndex uint64 // of the log, 0 when it is empty
	LastTerm              uint64
	CommitIndex           uint64 // the highest index that is known to be committed
	CurrentTerm           uint64
	Entries               int   // entries whose content was checked: all of them
	LogBytes              int64 // their size as stored
	FileBytes             int64 // size of raft.db

	Snapshots []SnapshotReport

	// Values are those of the stable store, by their keys.
	Values map[string][]byte

	newest *raft.SnapshotMeta // that is whole
}

// SnapshotReport is one snapshot; Err says why it is of no use.
type SnapshotReport struct {
	ID          string
	Index, Term uint64
	Bytes       int64
	Err         error
}

// Verify reads a data directory completely and changes nothing in it. No node may have it open. The error joins everything
// that is wrong, *CorruptError each; the report holds what could be read.
func Verify(dir string) (Report, error) {
	path, lock, err := lockToRead(dir)
	r := Report{Path: path}
	if err != nil {
		return r, err
	}
	if lock != nil {
		defer func() { _ = lock.Close() }()
	}
	return r, errors.Join(r.verify()...)
}

// lockToRead keeps every node from the directory until lock is closed, which is nil when there is nothing to lock.
func lockToRead(dir string) (path string, lock *os.File, err error) {
	if path, err = filepath.Abs(dir); err != nil {
		return dir, nil, fmt.Errorf("verify: %w", err)
	}
	if st, err := os.Stat(path); err != nil {
		return path, nil, fmt.Errorf("verify: %w", err)
	} else if !st.IsDir() {
		return path, nil, fmt.Errorf("verify: %s is not a directory", path)
	}
	if lock, err = lockShared(filepath.Join(path, lockName)); err != nil {
		return path, nil, fmt.Errorf("verify: %w", err)
	}
	return path, lock, nil
}

func (r *Report) verify() []error {
	var problems []error
	var err error
	if r.Identity, r.HasIdentity, err = readIdentity(filepath.Join(r.Path, nodeName)); err != nil {
		problems = append(problems, err)
	}
	unread := err != nil
	newest, damaged := r.verifySnapshots()
	r.newest = newest
	before := problems
	problems = append(problems[:len(before):len(before)], damaged...)

	path := filepath.Join(r.Path, boltName)
	if exists, err := fileExists(path); err != nil {
		return append(problems, err)
	} else if !exists {
		if r.HasIdentity || len(r.Snapshots) > 0 {
			problems = append(problems, &CorruptError{Path: path, Reason: "it is missing, but this directory has been in use"})
		}
		return problems
	}
	check, err := checkBolt(path, -1)
	if err != nil {
		return append(problems, err)
	}
	if st, err := os.Stat(path); err == nil {
		r.FileBytes = st.Size()
	}
	s := check.seal
	r.FirstIndex, r.LastIndex, r.CommitIndex = s.entries.first(), s.entries.last(), s.commit
	r.LastTerm, r.Entries, r.LogBytes = check.term, check.checked, check.bytes
	r.Values = maps.Clone(s.values)
	if v := s.values["CurrentTerm"]; len(v) == 8 {
		r.CurrentTerm = binary.BigEndian.Uint64(v)
	}
	switch err := checkWhole(path, s, newest, damaged); {
	case err == nil || slices.Contains(damaged, err): // it is said already
	case len(damaged) > 0: // it says them all, and what follows
		problems = append(before, err)
	default:
		problems = append(problems, err)
	}
	if !r.HasIdentity && !unread && (r.CurrentTerm > 0 || r.LastIndex > 0 || len(r.Snapshots) > 0) {
		problems = append(problems, &CorruptError{Path: filepath.Join(r.Path, nodeName), Reason: "it is missing, but there is Raft state beside it"})
	}
	return problems
}

// verifySnapshots reads all snapshots, not only the newest.
func (r *Report) verifySnapshots() (newest *raft.SnapshotMeta, damaged []error) {
	dir := filepath.Join(r.Path, snapshotDir)
	ids, err := snapshotIDs(dir)
	if err != nil || len(ids) == 0 {
		if err != nil {
			damaged = append(damaged, err)
		}
		return nil, damaged
	}
	for _, id := range ids {
		sr := SnapshotReport{ID: id}
		meta, err := readSnapshot(dir, id)
		if err != nil {
			sr.Err = err
			damaged = append(damaged, err)
		} else {
			sr.Index, sr.Term, sr.Bytes = meta.Index, meta.Term, meta.Size
			if newest == nil || meta.Term > newest.Term || meta.Term == newest.Term && meta.Index > newest.Index {
				newest = meta
			}
		}
		r.Snapshots = append(r.Snapshots, sr)
	}
	return newest, damaged
}
