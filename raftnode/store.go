package raftnode

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/storage"
)

// diskGuard stops the node when the disk is in doubt. raft panics on some of these errors and only logs others; here all
// of them end in Run's error, and raft's goroutine that met one goes no further.
type diskGuard struct {
	stop   func(error)
	live   atomic.Bool // set once raft's own goroutines are the only callers
	done   <-chan struct{}
	writes diskWrites
	space  diskSpace
	first  atomic.Pointer[error] // the first one that puts the disk in doubt
}

// check looks at the error of a disk operation.
func (g *diskGuard) check(err error) {
	if g.doubts(err) {
		g.stop(fmt.Errorf("%w: %w", ErrDisk, err))
	}
}

// doubts tells whether an error puts the disk in doubt, and keeps the first one that does.
func (g *diskGuard) doubts(err error) bool {
	var damaged *storage.CorruptError
	var fatal *storage.FatalError
	if !errors.As(err, &damaged) && !errors.As(err, &fatal) {
		return false
	}
	g.first.CompareAndSwap(nil, &err)
	return true
}

// explain makes an ErrDisk of what raft says while it starts, if the disk is the reason: raft keeps the text alone.
func (g *diskGuard) explain(err error) error {
	if first := g.first.Load(); first != nil {
		return fmt.Errorf("%w: %w: %w", ErrDisk, err, *first)
	}
	return err
}

// leave ends the calling goroutine, which is one of raft's. The alternative would be raft's panic.
func (g *diskGuard) leave(err error) {
	if g.doubts(err); err != nil && g.live.Load() {
		g.stop(fmt.Errorf("%w: %w", ErrDisk, err))
		runtime.Goexit()
	}
}

// guardedLog is the log as raft sees it.
type guardedLog struct {
	raft.CommitTrackingLogStore
	guard *diskGuard
}

func (l guardedLog) GetLog(index uint64, log *raft.Log) error {
	err := l.CommitTrackingLogStore.GetLog(index, log)
	if err != nil && !errors.Is(err, raft.ErrLogNotFound) {
		l.guard.leave(err)
	}
	return err
}

func (l guardedLog) StoreLog(log *raft.Log) error { return l.StoreLogs([]*raft.Log{log}) }

// StoreLogs may fail on a full disk: then a leader steps down, a follower refuses, and both go on when there is room.
func (l guardedLog) StoreLogs(logs []*raft.Log) error {
	if err := l.guard.space.refuses(logs); err != nil {
		l.guard.space.full(err)
		return err
	}
	end := l.guard.writes.begin("a write of log entries")
	err := l.CommitTrackingLogStore.StoreLogs(logs)
	end()
	l.guard.space.wrote(err)
	l.guard.check(err)
	return err
}

func (l guardedLog) DeleteRange(min, max uint64) error {
	err := l.CommitTrackingLogStore.DeleteRange(min, max)
	l.guard.check(err)
	return err
}

// guardedStable keeps term and vote. raft panics when they cannot be written.
type guardedStable struct {
	raft.StableStore
	guard *diskGuard
}

func (s guardedStable) Set(key, value []byte) error {
	return s.retry(func() error { return s.StableStore.Set(key, value) })
}

func (s guardedStable) SetUint64(key []byte, value uint64) error {
	return s.retry(func() error { return s.StableStore.SetUint64(key, value) })
}

// retry waits while the disk is full: to raft that is a slow disk, which is safe.
func (s guardedStable) retry(set func() error) error {
	for {
		end := s.guard.writes.begin("a write of Raft's term or vote")
		err := set()
		end()
		s.guard.space.full(err)
		if !errors.Is(err, storage.ErrNoSpace) || !s.guard.live.Load() {
			s.guard.leave(err)
			return err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-s.guard.done:
			s.guard.leave(err)
			return err
		}
	}
}
