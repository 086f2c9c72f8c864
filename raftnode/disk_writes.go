package raftnode

import (
	"slices"
	"sync"
	"time"
)

// diskWrites knows the writes of this node's log and votes that are under way. A write of a hung disk does not come back, nor can it be ended; and the goroutine that
// waits for it is the one on which raft would find out that something is wrong. So others look here.
type diskWrites struct {
	mu   sync.Mutex
	next uint64
	open map[uint64]diskWrite
	past [5]time.Duration // how long the last ones took, the newest at seen-1 modulo 5
	seen int
	took func(time.Duration) // is told of each that has ended; may be nil
}

type diskWrite struct {
	op    string
	since time.Time
	bulk  bool // takes as long as it takes, and is missed only when it never ends
}

// begin notes a write; the function that it gives says that it has ended.
func (w *diskWrites) begin(op string) (end func()) {
	return w.beginAt(diskWrite{op: op, since: time.Now()})
}

func (w *diskWrites) beginAt(d diskWrite) (end func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open == nil {
		w.open = make(map[uint64]diskWrite)
	}
	id := w.next
	w.next++
	w.open[id] = d
	return func() { w.end(id, time.Now()) }
}

func (w *diskWrites) end(id uint64, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.open[id]
	delete(w.open, id)
	if d.bulk {
		return
	}
	w.past[w.seen%len(w.past)] = now.Sub(d.since)
	w.seen++
	if w.took != nil {
		w.took(now.Sub(d.since))
	}
}

// oldest gives the write that has been under way longest, of all or of those that should be quick.
func (w *diskWrites) oldest(bulk bool) (d diskWrite, found bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.open {
		if (bulk || !one.bulk) && (!found || one.since.Before(d.since)) {
			d, found = one, true
		}
	}
	return d, found
}

// usual is how long a write of this disk takes, 0 as long as that is not known: the median of the last five. So one that hung counts for nothing, and a disk
// that has become slow for good is known after three.
func (w *diskWrites) usual() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen < len(w.past) {
		return 0
	}
	sorted := w.past
	slices.Sort(sorted[:])
	return sorted[len(sorted)/2]
}
