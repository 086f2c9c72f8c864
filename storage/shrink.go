//go:build !wasip1

package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/internal/failpoint"
	"github.com/holdfast-lb/holdfast/storage/durable"
)

// bbolt never gives back what its file once took: pages that are free are used again, but the file stays as long as it was after the longest log. So it is written anew when most of it
// is free: at start however much that is, and, when a compaction has left little to copy, in between.
const (
	// shrinkPause bounds what is copied while the node runs: writes wait for it, about a tenth of a second on an ordinary disk.
	shrinkPause = 16 << 20
	// shrinkStep is how many entries go into one transaction of the new file.
	shrinkStep = 512
)

// shrinkWaste is how many bytes must be free, and shrinkShare how many times what is in use, before the file is written anew. They are variables for tests, which have smaller files.
var shrinkWaste, shrinkShare int64 = 64 << 20, 2

// LogFile gives the size of raft.db and how much of it is free for new entries, in bytes. It does not wait for writes.
func (d *Dir) LogFile() (size, free int64, err error) {
	if d.log == nil {
		return 0, 0, ErrClosed
	}
	return d.log.usage()
}

func (l *Log) usage() (size, free int64, err error) {
	st, err := os.Stat(l.path)
	if err != nil {
		return 0, 0, fmt.Errorf("size of the log: %w", err)
	}
	l.file.RLock()
	defer l.file.RUnlock()
	db, ok := l.db.(interface{ Stats() bbolt.Stats })
	if !ok || l.isShut() {
		return st.Size(), 0, nil
	}
	s := db.Stats()
	f, err := os.Open(l.path)
	if err != nil {
		return 0, 0, fmt.Errorf("size of the log: %w", err)
	}
	defer func() { _ = f.Close() }()
	page := int64(os.Getpagesize())
	free = int64(s.FreePageN+s.PendingPageN) * page
	if meta, reason, _ := newestMeta(f); reason == "" { // else a write is under way, or the next one will say so
		free += max(0, st.Size()-int64(meta.end*meta.pageSize))
	}
	return st.Size(), min(free, st.Size()), nil
}

// shrink writes the file anew if that is worth it and no more than limit bytes are in use. l.write is held. It leaves the old file when the new one cannot be made, for example for want
// of room; an error says that the disk is in doubt.
func (l *Log) shrink(limit int64) error {
	size, free, err := l.usage()
	if used := size - free; err != nil || free < shrinkWaste || free < shrinkShare*used || used > limit || !hasRoom(l.path, used) {
		return nil
	}
	cur, err := l.current()
	if err != nil || !cur.pending.empty() {
		return err
	}
	failpoint.Hit(failpoint.RewriteBegin)
	tmp := l.path + ".new"
	next, err := l.copyTo(tmp, cur)
	if err != nil {
		_ = os.Remove(tmp)
		if errors.Is(err, unix.EIO) {
			return l.fail("write the log anew", tmp, err)
		}
		return nil
	}
	failpoint.Hit(failpoint.RewriteCopied)
	err = os.Rename(tmp, l.path)
	failpoint.Hit(failpoint.RewriteNamed)
	if err == nil {
		err = durable.SyncDir(filepath.Dir(l.path))
	}
	if err == nil {
		err = l.afresh()
	}
	if err != nil {
		return l.fail("write the log anew", l.path, err)
	}
	failpoint.Hit(failpoint.RewriteDone)
	l.tx = next.tx
	l.mu.Lock()
	l.cur = next
	l.mu.Unlock()
	return nil
}

// hasRoom tells whether twice as many bytes are free: a disk is not filled up in order to make room.
func hasRoom(path string, bytes int64) bool {
	var fs unix.Statfs_t
	return unix.Statfs(filepath.Dir(path), &fs) == nil && uint64(fs.Bavail)*uint64(fs.Bsize) > 2*uint64(bytes)
}

// copyTo makes a file with the same entries and gives its seal. All of it is durable and has been read again when it returns nil.
func (l *Log) copyTo(path string, cur seal) (seal, error) {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return seal{}, err
	}
	store, err := raftboltdb.New(raftboltdb.Options{Path: path, BoltOptions: boltOptions(), NoSync: true})
	if err != nil {
		return seal{}, err
	}
	var next seal
	err = guard(l.path, func() (err error) {
		next, err = l.copyInto(store, path, cur)
		return err
	})
	if err == nil {
		err = store.Sync()
	}
	if cerr := store.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return seal{}, err
	}
	check, err := checkBolt(path, -1)
	if err == nil && (check.tx != next.tx || check.seal.lastSum != next.lastSum || check.seal.commit != next.commit) {
		err = errors.New("BUG: the copy of the log is another log")
	}
	return next, err
}

func (l *Log) copyInto(store backend, path string, cur seal) (seal, error) {
	var batch []*raft.Log
	for _, s := range cur.entries {
		for i := s.lo; i <= s.hi; i++ {
			var stored raft.Log // with its envelope
			if err := l.db.GetLog(i, &stored); err != nil {
				return seal{}, err
			}
			if batch = append(batch, &stored); len(batch) == shrinkStep {
				if err := store.StoreLogs(batch); err != nil {
					return seal{}, err
				}
				batch = batch[:0]
			}
		}
	}
	tx, err := readTx(path)
	if err != nil {
		return seal{}, err
	}
	next := cur
	next.tx = tx + 1
	var stored raft.Log
	wrapEntry(&stored, next.encode(), 0)
	return next, store.StoreLogs(append(batch, &stored))
}
