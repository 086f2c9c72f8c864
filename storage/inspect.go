//go:build !wasip1

package storage

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"
	"golang.org/x/sys/unix"
)

// Inspector is given what a data directory has, in the order in which a node would take it: the newest snapshot, if there is one, and the log behind it. Its errors end Inspect.
type Inspector struct {
	Snapshot func(meta raft.SnapshotMeta, state io.Reader) error
	Entry    func(*raft.Log) error
}

// Inspect is Verify, and hands out what a node would start with when nothing is damaged. It changes nothing, so that anybody may run it who can read the files; Open would tidy up, with the rights of whoever calls it.
func Inspect(dir string, to Inspector) (Report, error) {
	path, lock, err := lockToRead(dir)
	r := Report{Path: path}
	if err != nil {
		return r, err
	}
	if lock != nil {
		defer func() { _ = lock.Close() }()
	}
	if problems := r.verify(); len(problems) > 0 {
		return r, errors.Join(problems...)
	}
	if !r.HasIdentity {
		return r, nil
	}
	behind := uint64(0)
	if n := r.newest; n != nil {
		behind = n.Index
		f, err := os.Open(filepath.Join(path, snapshotDir, n.ID, snapshotStateFile))
		if err != nil {
			return r, fmt.Errorf("inspect: %w", err)
		}
		err = to.Snapshot(*n, f)
		_ = f.Close()
		if err != nil {
			return r, err
		}
	}
	return r, visitLog(filepath.Join(path, boltName), behind, to.Entry)
}

// visitLog gives the entries behind an index, the oldest first. The file has been checked.
func visitLog(path string, behind uint64, visit func(*raft.Log) error) error {
	exists, err := fileExists(path)
	if err != nil || !exists {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("inspect: %w", err)
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("inspect: %w", err)
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("inspect: map %s: %w", path, err)
	}
	defer func() { _ = unix.Munmap(data) }()
	return guard(path, func() error { return visitImage(path, data, behind, visit) })
}

func visitImage(path string, data []byte, behind uint64, visit func(*raft.Log) error) error {
	corrupt := func(index uint64, reason string) error {
		return &CorruptError{Path: path, Index: index, Reason: reason}
	}
	_, records, reason := scanBolt(data)
	if reason != "" || len(records) == 0 {
		return corrupt(0, "it has changed while it was read")
	}
	var sealed raft.Log
	if _, _, reason := openRecord(records[len(records)-1], &sealed); reason != "" {
		return corrupt(0, reason)
	}
	s, err := decodeSeal(&sealed)
	if err != nil {
		return corrupt(0, err.Error())
	}
	kept, reason := matchRecords(records[:len(records)-1], s)
	if reason != "" {
		return corrupt(0, reason)
	}
	for _, r := range kept {
		if r.index <= behind {
			continue
		}
		var log raft.Log
		if _, _, reason := openRecord(r, &log); reason != "" {
			return corrupt(r.index, reason)
		}
		if err := visit(&log); err != nil {
			return err
		}
	}
	return nil
}
