//go:build !wasip1

package storage

import (
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/internal/failpoint"
)

// deleteStep bounds one deleting transaction, so that a compaction of tens of thousands of entries does not keep
// StoreLogs, and with it every new session, waiting for all of it.
const deleteStep = 512

// DeleteRange removes the entries lo..hi, both included. The range must reach the first or the last entry; one that touches
// no entry is fine.
//
// The new extent is sealed first and the entries are removed after it, a few at a time: a crash in between leaves entries
// that Open knows to be deleted.
func (l *Log) DeleteRange(lo, hi uint64) error {
	l.write.Lock()
	cur, err := l.current()
	if err != nil {
		l.write.Unlock()
		return err
	}
	lo, hi = max(lo, cur.entries.first()), min(hi, cur.entries.last())
	if lo == 0 || lo > hi {
		l.write.Unlock()
		return nil
	}
	suffix := hi == cur.entries.last()
	failpoint.Hit(failpoint.CompactBegin)
	if err := l.declare(cur, span{lo, hi}); err != nil {
		l.write.Unlock()
		return err
	}
	failpoint.Hit(failpoint.CompactDeclared)
	for from := lo; ; from += deleteStep {
		to := min(hi, from+deleteStep-1)
		err := l.sweep(from, to)
		failpoint.Hit(failpoint.CompactSealed)
		if err != nil || to == hi {
			failpoint.Hit(failpoint.CompactDone)
			if err == nil && !suffix {
				err = l.shrink(shrinkPause)
			}
			l.write.Unlock()
			return err
		}
		// raft calls for a prefix from its snapshot goroutine while its main goroutine appends: let that one in between. After
		// a suffix it appends the same indexes again, so nothing may come in between.
		if !suffix {
			l.write.Unlock()
			l.write.Lock()
		}
	}
}

// declare seals the log without del, to which del is then removed.
func (l *Log) declare(cur seal, del span) error {
	next := cur
	var err error
	if next.entries, err = cur.entries.cut(del); err != nil {
		return fmt.Errorf("delete log entries: %w", err)
	}
	if err := l.finishPending(cur); err != nil {
		return err
	}
	if last := next.entries.last(); last != cur.entries.last() {
		next.commit = min(cur.commit, last)
		next.lastSum = 0
		if last > 0 {
			var log raft.Log
			if next.lastSum, err = l.read(last, &log); err != nil {
				return fmt.Errorf("delete log entries: %w", err)
			}
		}
	}
	next.pending = del
	return l.commit("delete log entries", make([]*raft.Log, 1), next)
}

// sweep removes a part of the pending deletion and seals the rest of it.
func (l *Log) sweep(lo, hi uint64) error {
	cur, err := l.current()
	if err != nil {
		return err
	}
	if !cur.pending.has(lo) {
		return nil // another deletion has finished this one
	}
	if err := l.transact("delete log entries", func() error { return l.db.DeleteRange(lo, hi) }); err != nil {
		return err
	}
	failpoint.Hit(failpoint.CompactDeleted)
	next := cur
	next.pending = span{hi + 1, cur.pending.hi}
	if next.pending.lo > next.pending.hi {
		next.pending = span{}
	}
	return l.commit("delete log entries", make([]*raft.Log, 1), next)
}

// finishPending completes a deletion that was interrupted: by a crash, or by another deletion in a pause of the first.
func (l *Log) finishPending(cur seal) error {
	for !cur.pending.empty() {
		to := min(cur.pending.hi, cur.pending.lo+deleteStep-1)
		if err := l.sweep(cur.pending.lo, to); err != nil {
			return err
		}
		var err error
		if cur, err = l.current(); err != nil {
			return err
		}
	}
	return nil
}
