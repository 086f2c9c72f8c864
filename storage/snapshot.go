//go:build !wasip1

package storage

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/internal/failpoint"
	"github.com/holdfast-lb/holdfast/storage/durable"
)

const (
	snapshotRetain = 2
	// raft removes old snapshots file by file, so that a crash leaves half of one; reap does it instead.
	neverReap = math.MaxInt32
)

// snapshots is raft's FileSnapshotStore with what it lacks: a checksum of meta.json, whose index, term and members decide
// what the state means (its own CRC64 covers state.bin), and no damaged snapshot passed over in silence.
type snapshots struct {
	dir     string
	store   *raft.FileSnapshotStore
	log     *Log             // whose failure stops writing here too
	damaged map[string]error // found by newest, before the store is used
}

var _ raft.SnapshotStore = (*snapshots)(nil)

func openSnapshots(dir string, log *Log) (*snapshots, error) {
	path := filepath.Join(dir, snapshotDir)
	// What a crash left unfinished: raft had not been told that it was there.
	left, err := filepath.Glob(filepath.Join(path, "*.tmp"))
	if err != nil {
		return nil, fmt.Errorf("open snapshots: %w", err)
	}
	for _, p := range left {
		if err := os.RemoveAll(p); err != nil {
			return nil, fmt.Errorf("open snapshots: %w", err)
		}
	}
	store, err := raft.NewFileSnapshotStoreWithLogger(dir, neverReap, hclog.NewNullLogger())
	if err != nil {
		return nil, fmt.Errorf("open snapshots: %s: %w", path, err)
	}
	return &snapshots{dir: path, store: store, log: log, damaged: make(map[string]error)}, nil
}

// newest gives the newest snapshot that is whole, nil when there is none, and the damage of those above it. Open calls it
// once; those that are damaged are out of List from then on.
func (s *snapshots) newest() (*raft.SnapshotMeta, []error, error) {
	ids, err := snapshotIDs(s.dir)
	if err != nil {
		return nil, nil, err
	}
	var bad []error
	for _, id := range ids {
		meta, err := readSnapshot(s.dir, id)
		if err == nil {
			return meta, bad, nil
		}
		bad = append(bad, err)
		s.damaged[id] = err
	}
	return nil, bad, nil
}

// Create begins a snapshot. It is durable when the sink's Close returns nil.
func (s *snapshots) Create(version raft.SnapshotVersion, index, term uint64, conf raft.Configuration, confIndex uint64, trans raft.Transport) (raft.SnapshotSink, error) {
	if err := s.log.Failed(); err != nil {
		return nil, err
	}
	failpoint.Hit(failpoint.SnapshotBegin)
	sink, err := s.store.Create(version, index, term, conf, confIndex, trans)
	if err != nil {
		return nil, fmt.Errorf("create snapshot in %s: %w", s.dir, err)
	}
	failpoint.Hit(failpoint.SnapshotCreated)
	return &snapshotSink{SnapshotSink: sink, dir: filepath.Join(s.dir, sink.ID()), log: s.log}, nil
}

// List gives the snapshots that are not known to be damaged, newest first.
func (s *snapshots) List() ([]*raft.SnapshotMeta, error) {
	all, err := s.store.List()
	if err != nil {
		return nil, fmt.Errorf("list snapshots in %s: %w", s.dir, err)
	}
	good := all[:0]
	for _, m := range all {
		if s.damaged[m.ID] == nil {
			good = append(good, m)
		}
	}
	return good, nil
}

// Open checks a snapshot completely and gives its content.
func (s *snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	if _, err := readSnapshotMeta(s.dir, id); err != nil {
		return nil, nil, &CorruptError{Path: filepath.Join(s.dir, id, snapshotMetaFile), Reason: "snapshot metadata", Err: err}
	}
	meta, r, err := s.store.Open(id) // holds state.bin against its CRC64
	if err != nil {
		return nil, nil, &CorruptError{Path: filepath.Join(s.dir, id, snapshotStateFile), Reason: "snapshot content", Err: err}
	}
	return meta, r, nil
}

// snapshotSink adds the checksum of meta.json when raft's sink is done.
type snapshotSink struct {
	raft.SnapshotSink
	dir  string
	log  *Log
	once sync.Once
	err  error
}

// Write adds to the state.
func (s *snapshotSink) Write(p []byte) (int, error) {
	n, err := s.SnapshotSink.Write(p)
	failpoint.Hit(failpoint.SnapshotWriting)
	return n, err
}

// Close makes the snapshot durable. raft removes log entries only after it.
func (s *snapshotSink) Close() error {
	s.once.Do(func() {
		// Of a full disk nothing is left but a snapshot that is not there; a disk that fails is not written to again.
		if s.err = s.finish(); errors.Is(s.err, syscall.EIO) {
			s.err = s.log.fail("write snapshot", s.dir, s.err)
		}
	})
	return s.err
}

func (s *snapshotSink) finish() error {
	failpoint.Hit(failpoint.SnapshotWritten)
	err := s.SnapshotSink.Close()
	failpoint.Hit(failpoint.SnapshotNamed)
	var meta []byte
	if err == nil {
		meta, err = readLimited(filepath.Join(s.dir, snapshotMetaFile), maxSnapshotMeta)
	}
	if err == nil {
		// Its fsync of the directory also makes the names of raft's two files durable, which raft leaves to the file system.
		err = writeFileAtomic(filepath.Join(s.dir, snapshotSumFile), metaSum(meta))
	}
	if err == nil {
		failpoint.Hit(failpoint.SnapshotSummed)
		err = reap(filepath.Dir(s.dir))
	}
	if err != nil {
		return fmt.Errorf("finish snapshot %s: %w", s.dir, err)
	}
	failpoint.Hit(failpoint.SnapshotDone)
	return nil
}

// reap removes all snapshots but the newest ones, each under a name that Open clears away. The names are durable before any file goes: else half a snapshot could be left
// under the old one.
func reap(dir string) error {
	ids, err := snapshotIDs(dir)
	if err != nil || len(ids) <= snapshotRetain {
		return err
	}
	for _, id := range ids[snapshotRetain:] {
		if err := os.Rename(filepath.Join(dir, id), filepath.Join(dir, id+".tmp")); err != nil {
			return err
		}
		failpoint.Hit(failpoint.SnapshotPruning)
	}
	if err := durable.SyncDir(dir); err != nil {
		return err
	}
	for _, id := range ids[snapshotRetain:] {
		if err := os.RemoveAll(filepath.Join(dir, id+".tmp")); err != nil {
			return err
		}
		failpoint.Hit(failpoint.SnapshotPruned)
	}
	return nil
}

// Cancel drops the snapshot.
func (s *snapshotSink) Cancel() error {
	var err error
	s.once.Do(func() {
		err = s.SnapshotSink.Cancel()
		s.err = errors.New("snapshot was cancelled")
	})
	return err
}
