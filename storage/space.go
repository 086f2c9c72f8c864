//go:build !wasip1

package storage

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// reserveBytes is for growth of raft.db, which bbolt extends by 16 MiB at a time, and for what others write on the same file system in a second.
const reserveBytes = 64 << 20

// Space asks the operating system. It does not wait for the disk.
func (d *Dir) Space() (Space, error) { return SpaceOf(d.path) }

// SpaceOf is the room that a node with its data directory at path has.
func SpaceOf(path string) (Space, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return Space{}, fmt.Errorf("room in %s: %w", path, err)
	}
	s := Space{Free: uint64(fs.Bavail) * uint64(fs.Bsize), Total: uint64(fs.Blocks) * uint64(fs.Bsize)}
	s.Reserve = min(reserveBytes+newestSnapshotBytes(path), s.Total/10)
	return s, nil
}

// newestSnapshotBytes is 0 when there is none.
func newestSnapshotBytes(path string) uint64 {
	dir := filepath.Join(path, snapshotDir)
	ids, err := snapshotIDs(dir)
	if err != nil || len(ids) == 0 {
		return 0
	}
	st, err := os.Stat(filepath.Join(dir, ids[0], snapshotStateFile))
	if err != nil {
		return 0
	}
	return uint64(st.Size())
}
