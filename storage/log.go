//go:build !wasip1

package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/internal/failpoint"
)

// backend is what the log needs of raft-boltdb's BoltStore.
type backend interface {
	GetLog(index uint64, log *raft.Log) error
	StoreLogs(logs []*raft.Log) error
	DeleteRange(min, max uint64) error
	Close() error
}

// Log is the Raft log of one data directory: raft.LogStore and raft.CommitTrackingLogStore.
//
// Every entry is checked when it is read. The commit index that raft stages is durable with the next StoreLogs and costs no
// fsync of its own. Writes exclude each other and each takes one transaction; readers do not wait for a writer's fsync.
type Log struct {
	path     string
	reopen   func() (backend, error)
	diskTx   func() (uint64, error) // reads the transaction number from the file
	identity *atomic.Bool           // set once the directory has an identity

	staged atomic.Uint64
	failed atomic.Pointer[FatalError]

	file sync.RWMutex // held, to read or to write, while db is used; taken alone to put another one in its place
	db   backend

	write sync.Mutex // one writer; held through the fsync
	tx    uint64     // number of the transaction on disk; guarded by write

	mu   sync.RWMutex // guards the rest
	cur  seal         // what is on disk
	shut bool
}

var _ raft.CommitTrackingLogStore = (*Log)(nil)

// FirstIndex gives the index of the oldest entry, 0 for an empty log.
func (l *Log) FirstIndex() (uint64, error) {
	s, err := l.current()
	return s.entries.first(), err
}

// LastIndex gives the index of the newest entry, 0 for an empty log.
func (l *Log) LastIndex() (uint64, error) {
	s, err := l.current()
	return s.entries.last(), err
}

// StageCommitIndex takes the commit index that the next StoreLogs makes durable together with its entries.
func (l *Log) StageCommitIndex(index uint64) error {
	l.staged.Store(index)
	return nil
}

// GetCommitIndex gives the commit index that was staged for the newest StoreLogs on disk, never more than the last index;
// 0 when none is known.
func (l *Log) GetCommitIndex() (uint64, error) {
	s, err := l.current()
	return s.commit, err
}

// GetLog reads the entry at index. raft.ErrLogNotFound when there is none; *CorruptError when it is not what was stored, and
// then log is left alone.
func (l *Log) GetLog(index uint64, log *raft.Log) error {
	s, err := l.current()
	if err != nil {
		return err
	}
	if !s.entries.has(index) {
		return raft.ErrLogNotFound
	}
	var got raft.Log
	if _, err := l.read(index, &got); err != nil {
		// A compaction may have overtaken this call.
		if s, serr := l.current(); serr == nil && !s.entries.has(index) {
			return raft.ErrLogNotFound
		}
		return err
	}
	*log = got
	return nil
}

// read gets and checks one entry and gives its checksum.
func (l *Log) read(index uint64, log *raft.Log) (uint32, error) {
	l.file.RLock()
	err := guard(l.path, func() error { return l.db.GetLog(index, log) })
	l.file.RUnlock()
	var corrupt *CorruptError
	switch {
	case errors.As(err, &corrupt):
		corrupt.Index = index
		return 0, corrupt
	case errors.Is(err, raft.ErrLogNotFound):
		return 0, &CorruptError{Path: l.path, Index: index, Reason: "it is missing"}
	case err != nil && l.isShut():
		return 0, ErrClosed
	case err != nil:
		return 0, &CorruptError{Path: l.path, Index: index, Reason: "it cannot be decoded", Err: err}
	}
	sum, _, reason := unwrapEntry(log, index)
	if reason != "" {
		return 0, &CorruptError{Path: l.path, Index: index, Reason: reason}
	}
	return sum, nil
}

// StoreLog stores one entry; see StoreLogs.
func (l *Log) StoreLog(log *raft.Log) error { return l.StoreLogs([]*raft.Log{log}) }

// StoreLogs appends entries, whose indexes must ascend and lie behind the last one (a gap is allowed), and makes them and
// the staged commit index durable before it returns nil. On an error none of them is in the log. The entries themselves are
// not changed.
func (l *Log) StoreLogs(logs []*raft.Log) error {
	if len(logs) == 0 {
		return nil
	}
	if !l.identity.Load() {
		return fmt.Errorf("store log entries: %w", ErrNoIdentity)
	}
	l.write.Lock()
	defer l.write.Unlock()
	cur, err := l.current()
	if err != nil {
		return err
	}
	next := cur
	next.entries = slices.Clone(cur.entries)
	batch := make([]*raft.Log, len(logs)+1)
	copies := make([]raft.Log, len(logs))
	for i, log := range logs {
		if log.Index == sealIndex {
			return fmt.Errorf("store log entries: index %d is reserved", log.Index)
		}
		last := next.entries.last()
		if err := next.entries.add(log.Index); err != nil {
			return fmt.Errorf("store log entries: %w", err)
		}
		prev := next.lastSum
		if log.Index != last+1 {
			prev = 0
		}
		next.lastSum = wrapEntry(&copies[i], log, prev)
		batch[i] = &copies[i]
	}
	next.commit = max(cur.commit, min(l.staged.Load(), next.entries.last()))
	failpoint.Hit(failpoint.AppendBegin)
	if err := l.commit("store log entries", batch, next); err != nil {
		return err
	}
	failpoint.Hit(failpoint.AppendDone)
	return nil
}

// commit writes entries (the last place of batch is free for the seal) and the seal in one transaction. l.write is held.
func (l *Log) commit(op string, batch []*raft.Log, next seal) error {
	next.tx = l.tx + 1
	var stored raft.Log
	wrapEntry(&stored, next.encode(), 0)
	batch[len(batch)-1] = &stored
	if err := l.transact(op, func() error { return l.db.StoreLogs(batch) }); err != nil {
		return err
	}
	l.mu.Lock()
	l.cur = next
	l.mu.Unlock()
	return nil
}

// transact runs one writing transaction. After an error that leaves the content of the disk unknown no other is run.
func (l *Log) transact(op string, f func() error) error {
	if first := l.failed.Load(); first != nil {
		return first
	}
	err := guard(l.path, f)
	if err == nil {
		l.tx++
		return nil
	}
	if l.isShut() {
		return ErrClosed
	}
	if isNoSpace(err) {
		// The meta page is written last, so that nothing of this transaction counts, if its number is still the old one.
		if tx, terr := l.diskTx(); terr == nil && tx == l.tx {
			if rerr := l.afresh(); rerr != nil {
				return l.fail(op, l.path, errors.Join(err, rerr))
			}
			return fmt.Errorf("%s: %w: %v", op, ErrNoSpace, err)
		}
	}
	return l.fail(op, l.path, err)
}

// afresh opens the file anew after a transaction that was broken off. bbolt (1.5.0) then goes on with a list of free pages that can be wrong: the next transaction may find a page
// freed twice, or, worse, use one that is in use. l.write is held.
func (l *Log) afresh() error {
	l.file.Lock()
	defer l.file.Unlock()
	if err := guard(l.path, l.db.Close); err != nil {
		return err
	}
	db, err := l.reopen()
	if err != nil {
		return err
	}
	l.db = db
	return nil
}

// fail stops all writing for good.
func (l *Log) fail(op, path string, err error) error {
	l.failed.CompareAndSwap(nil, &FatalError{Op: op, Path: path, Err: err})
	return l.failed.Load()
}

// isNoSpace tells a full disk at write time from one at fsync time: the kernel reports the latter only once. bbolt passes on the text alone of an error when it makes its file
// longer, which comes before any write.
func isNoSpace(err error) bool {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return errors.Is(pe.Err, syscall.ENOSPC) || errors.Is(pe.Err, syscall.EDQUOT)
	}
	text := err.Error()
	return strings.HasPrefix(text, "file resize error: ") && (strings.HasSuffix(text, syscall.ENOSPC.Error()) || strings.HasSuffix(text, syscall.EDQUOT.Error()))
}

func (l *Log) current() (seal, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.shut {
		return seal{}, ErrClosed
	}
	return l.cur, nil
}

func (l *Log) isShut() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.shut
}

// Failed gives the error after which nothing is written any more, nil while the disk is well.
func (l *Log) Failed() error {
	if f := l.failed.Load(); f != nil {
		return f
	}
	return nil
}

func (l *Log) close() error {
	l.write.Lock()
	defer l.write.Unlock()
	l.mu.Lock()
	was := l.shut
	l.shut = true
	l.mu.Unlock()
	if was {
		return nil
	}
	l.file.Lock()
	defer l.file.Unlock()
	return guard(l.path, l.db.Close)
}
