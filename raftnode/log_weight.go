package raftnode

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// heavyLog is how many bytes of entries there may be behind the last snapshot, beside as many as the values have that the state keeps. Raft counts entries alone: with values of many
// KiB its threshold would be gigabytes, on each disk, to be read at each start.
const heavyLog = 256 << 20

// heavyPause is between two attempts to make a heavy log lighter, when one has failed.
const heavyPause = 10 * time.Second

// logWeight counts what the log has got since the last snapshot.
type logWeight struct {
	heavy chan struct{} // holds one: it is more than limit

	mu             sync.Mutex
	limit          int64 // 0: none
	entries, bytes int64
}

func (w *logWeight) add(logs []*raft.Log) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range logs {
		w.entries++
		w.bytes += int64(len(l.Data))
	}
	if w.limit > 0 && w.bytes > w.limit {
		select {
		case w.heavy <- struct{}{}:
		default:
		}
	}
}

// now is what a snapshot that begins has in it, for covered once it is on disk.
func (w *logWeight) now() (entries, bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.entries, w.bytes
}

func (w *logWeight) covered(entries, bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.entries, w.bytes = max(w.entries-entries, 0), max(w.bytes-bytes, 0)
}

// bound sets the limit and tells whether the log is over it. tail is how many entries half of the limit has, about.
func (w *logWeight) bound(limit int64) (tail uint64, over bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.limit = limit; w.bytes <= limit {
		return 0, false
	}
	return uint64(w.entries * (limit / 2) / w.bytes), true
}

// StoreLogs is that of raft.LogStore.
func (l *nodeLog) StoreLogs(logs []*raft.Log) error {
	err := l.LogCache.StoreLogs(logs)
	if err == nil {
		l.weight.add(logs)
	}
	return err
}

func (l *nodeLog) StoreLog(log *raft.Log) error { return l.StoreLogs([]*raft.Log{log}) }

// keepLight has a snapshot written when the log has become heavy, and the part of the log before it go but for half of the limit, which followers that are a little behind still need.
func (n *Node) keepLight(ctx context.Context, r *raft.Raft) {
	for {
		limit := n.opt.Compaction.Bytes
		if limit == 0 {
			limit = heavyLog
		}
		_, values := n.state.StoreUse()
		if tail, over := n.store.weight.bound(limit + values); over {
			if err := n.snapshotKeeping(ctx, r, tail); err != nil {
				n.log.Warn("the log has many bytes, and no snapshot could be written; it is tried again", "error", err)
				select {
				case <-time.After(heavyPause):
				case <-ctx.Done():
				}
			}
		}
		select {
		case <-n.store.weight.heavy:
		case <-ctx.Done():
			return
		}
	}
}

// snapshotKeeping writes a snapshot and keeps tail entries of the log before its end, or fewer.
func (n *Node) snapshotKeeping(ctx context.Context, r *raft.Raft, tail uint64) error {
	usual, err := n.reload(r, func(c *raft.ReloadableConfig) { c.TrailingLogs = min(c.TrailingLogs, tail) })
	if err != nil {
		return err
	}
	defer func() { _, _ = n.reload(r, func(c *raft.ReloadableConfig) { c.TrailingLogs = usual.TrailingLogs }) }() // raft had it before
	return n.Snapshot(ctx)
}

// reload changes what raft lets be changed while it runs, and gives what it was. Two changes at once would lose one.
func (n *Node) reload(r *raft.Raft, change func(*raft.ReloadableConfig)) (was raft.ReloadableConfig, err error) {
	n.reloading.Lock()
	defer n.reloading.Unlock()
	was = r.ReloadableConfig()
	next := was
	change(&next)
	return was, r.ReloadConfig(next)
}
