//go:build !wasip1

package storage

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"

	"github.com/holdfast-lb/holdfast/storage/durable"
)

func boltOptions() *bbolt.Options {
	return &bbolt.Options{
		Timeout: time.Second, // for bbolt's own lock; the directory's lock comes before it
		// The list of free pages grows with every compaction and would be written by every commit. Without it bbolt walks the
		// file at open, which the check before has just read.
		NoFreelistSync: true,
		FreelistType:   bbolt.FreelistMapType,
	}
}

// createBolt makes an empty raft.db beside its place and renames it, so that a raft.db that is there is always complete: an
// empty or partial one is damage.
func createBolt(path string) error {
	tmp := path + ".new"
	if err := os.Remove(tmp); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("create %s: %w", path, err)
	}
	store, err := raftboltdb.New(raftboltdb.Options{Path: tmp, BoltOptions: boltOptions()})
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	tx, err := readTx(tmp)
	if err == nil {
		first := seal{tx: tx + 1}
		var stored raft.Log
		wrapEntry(&stored, first.encode(), 0)
		err = store.StoreLogs([]*raft.Log{&stored})
	}
	if cerr := store.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err == nil {
		err = durable.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	return nil
}

// openBolt opens a raft.db that checkBolt has passed; it never makes one. raft-boltdb would begin with a transaction that
// creates its buckets, which are there since createBolt; that transaction would separate the file's transaction number from
// the seal's. It is left out when the options say read-only, and bbolt has taken its own copy of that by the time it opens
// the file (TestOpenLeavesFileAlone holds both to it).
func openBolt(path string) (*raftboltdb.BoltStore, error) {
	opts := boltOptions()
	opts.OpenFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		opts.ReadOnly = true
		return os.OpenFile(name, flag&^os.O_CREATE, mode)
	}
	var store *raftboltdb.BoltStore
	err := guard(path, func() (err error) {
		store, err = raftboltdb.New(raftboltdb.Options{Path: path, BoltOptions: opts})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return store, nil
}
