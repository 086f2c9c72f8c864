//go:build !wasip1

package storage

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

const (
	lockName    = "lock"
	nodeName    = "node.json"
	boltName    = "raft.db"
	snapshotDir = "snapshots"
	tlsDir      = "tls"
)

// IdentityOf says whose data directory there is at path, false when it is nobody's yet. Nothing is opened or locked.
func IdentityOf(path string) (Identity, bool, error) {
	return readIdentity(filepath.Join(path, nodeName))
}

// Dir is an open data directory. This process is its only user until Close.
type Dir struct {
	path      string
	lock      *os.File
	log       *Log
	snapshots *snapshots
	warnings  []error
	named     atomic.Bool // identity is set

	mu       sync.Mutex // guards identity and closed
	identity Identity
	closed   bool
}

// Open opens the data directory at path and makes it when it does not exist or is empty. It checks what is there before
// anything else uses it: lock, identity, structure and newest entries of the log, newest snapshot, and that log and snapshot
// together hold everything from the first entry on. It never starts empty where there was something.
//
// Errors: *LockedError, *CorruptError, *FormatError, or one of the operating system.
func Open(path string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open data directory: %w", err)
	}
	if err := prepareDir(path); err != nil {
		return nil, fmt.Errorf("open data directory: %w", err)
	}
	lock, err := lockFile(filepath.Join(path, lockName))
	if err != nil {
		return nil, fmt.Errorf("open data directory: %w", err)
	}
	d := &Dir{path: path, lock: lock}
	if err := d.open(); err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("open data directory: %w", err)
	}
	return d, nil
}

func (d *Dir) open() error {
	warnings, err := secureFiles(d.path)
	if err != nil {
		return err
	}
	d.warnings = warnings
	id, named, err := readIdentity(filepath.Join(d.path, nodeName))
	if err != nil {
		return err
	}
	d.identity = id
	d.named.Store(named)
	check, err := d.openLog()
	if err != nil {
		return err
	}
	if d.snapshots, err = openSnapshots(d.path, d.log); err != nil {
		return err
	}
	newest, damaged, err := d.snapshots.newest()
	if err != nil {
		return err
	}
	if err := checkWhole(d.log.path, check.seal, newest, damaged); err != nil {
		return err
	}
	d.warnings = append(d.warnings, damaged...)
	if !named && !d.Empty() {
		return &CorruptError{Path: filepath.Join(d.path, nodeName), Reason: "it is missing, but there is Raft state beside it"}
	}
	return nil
}

// openLog checks raft.db and opens it, or makes it in a directory that has never had one.
func (d *Dir) openLog() (logCheck, error) {
	path := filepath.Join(d.path, boltName)
	_ = os.Remove(path + ".new") // of a crash; whoever needs the name says so
	exists, err := fileExists(path)
	if err != nil {
		return logCheck{}, err
	}
	if !exists {
		// raft.db comes before node.json and before any snapshot, so that it cannot be missing beside them.
		ids, err := snapshotIDs(filepath.Join(d.path, snapshotDir))
		if err != nil {
			return logCheck{}, err
		}
		if d.named.Load() || len(ids) > 0 {
			return logCheck{}, &CorruptError{Path: path, Reason: "it is missing, but this directory has been in use"}
		}
		if err := createBolt(path); err != nil {
			return logCheck{}, err
		}
	}
	check, err := checkBolt(path, openCheckBytes)
	if err != nil {
		return logCheck{}, err
	}
	db, err := openBolt(path)
	if err != nil {
		return logCheck{}, err
	}
	d.log = &Log{
		db: db, path: path, identity: &d.named, cur: check.seal, tx: check.tx,
		diskTx: func() (uint64, error) { return readTx(path) },
		reopen: func() (backend, error) { return openBolt(path) },
	}
	d.log.write.Lock()
	defer d.log.write.Unlock()
	if err := d.log.finishPending(check.seal); err != nil {
		return check, err
	}
	return check, d.log.shrink(math.MaxInt64)
}

// checkWhole refuses state with a hole: a log that does not join the newest whole snapshot, or a damaged snapshot that
// reached further than what is left. raft would start from less, or panic on the missing entry.
func checkWhole(path string, s seal, newest *raft.SnapshotMeta, damaged []error) error {
	var index uint64
	if newest != nil {
		index = newest.Index
	}
	reach := index
	if last := s.entries.last(); last > index {
		if s.entries[len(s.entries)-1].lo > index+1 {
			reason := "there is no snapshot, and the log does not begin at entry 1"
			if newest != nil {
				reason = fmt.Sprintf("the newest whole snapshot ends at entry %d, and the log does not go on from there", index)
			}
			if len(damaged) > 0 {
				return needed(damaged, s.entries[len(s.entries)-1].lo, newest)
			}
			return &CorruptError{Path: path, Reason: reason}
		}
		reach = last
	}
	for _, err := range damaged {
		var c *CorruptError
		if !errors.As(err, &c) || c.Index > reach {
			return err
		}
	}
	return nil
}

// needed says of damaged snapshots that nothing makes up for them: the log is whole, and begins behind them.
func needed(damaged []error, first uint64, newest *raft.SnapshotMeta) error {
	other := "there is no other snapshot"
	if newest != nil {
		other = fmt.Sprintf("the newest that is whole ends at entry %d", newest.Index)
	}
	list := append([]error{}, damaged...)
	var c *CorruptError
	if errors.As(list[0], &c) {
		with := *c
		with.Then = fmt.Sprintf("nothing makes up for it: %s, and the log begins with entry %d", other, first)
		list[0] = &with
	}
	return errors.Join(list...)
}

// Path is the absolute path of the directory.
func (d *Dir) Path() string { return d.path }

// TLSDir is where the node's keys and certificates are (mode 0700).
func (d *Dir) TLSDir() string { return filepath.Join(d.path, tlsDir) }

// Log is the Raft log.
func (d *Dir) Log() raft.CommitTrackingLogStore { return d.log }

// Stable is the store of Raft's term and vote.
func (d *Dir) Stable() Stable { return stable{d.log} }

// Snapshots is the store of snapshots. The newest two are kept.
func (d *Dir) Snapshots() raft.SnapshotStore { return d.snapshots }

// Warnings are findings of Open that the node can live with but an operator should know: modes that were corrected, a
// damaged snapshot that others make up for.
func (d *Dir) Warnings() []error { return d.warnings }

// Identity gives whose directory this is, false before SetIdentity.
func (d *Dir) Identity() (Identity, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.identity, d.named.Load()
}

// SetIdentity writes the identity durably, once. The same one again is fine, another one is refused. It must come before any
// Raft state.
func (d *Dir) SetIdentity(id Identity) error {
	if err := id.validate(); err != nil {
		return fmt.Errorf("set identity: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return fmt.Errorf("set identity: %w", ErrClosed)
	case d.named.Load() && d.identity == id:
		return nil
	case d.named.Load():
		return fmt.Errorf("set identity: directory %s belongs to node %q (%s) already", d.path, d.identity.Name, d.identity.NodeID)
	}
	if err := writeFileAtomic(filepath.Join(d.path, nodeName), encodeIdentity(id)); err != nil {
		return fmt.Errorf("set identity: %w", err)
	}
	d.identity = id
	d.named.Store(true)
	return nil
}

// Empty says that there is no Raft state yet: no term, no entry, no snapshot (what raft.HasExistingState asks).
func (d *Dir) Empty() bool {
	has, err := raft.HasExistingState(d.log, d.Stable(), d.snapshots)
	return err == nil && !has
}

// Close releases everything. raft must be shut down before. A second Close does nothing.
func (d *Dir) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	var err error
	if d.log != nil {
		err = d.log.close()
	}
	// Last of all: it also ends the lock.
	if cerr := d.lock.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("close data directory: %w", err)
	}
	return nil
}
