package sim

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/raftnode"
	"github.com/holdfast-lb/holdfast/storage"
)

// image is what is on a disk. It is what a power loss leaves.
type image struct {
	identity storage.Identity
	values   map[string][]byte
	first    uint64 // 0: the log is empty
	last     uint64
	entries  map[uint64]*raft.Log
	commit   uint64
	snaps    []*snapshot // the newest first
}

// disk is the disk of one machine. It outlives the processes that use it, one at a time.
type disk struct {
	path   string // where keys and certificates are, on the real disk of the test: they are written once, before anything is broken
	chance *chance

	mu     sync.Mutex
	image  image
	usual  time.Duration // of an fsync
	extra  time.Duration // more, while the disk is slow
	hangs  chan struct{} // not nil: no write ends before it is closed
	breaks bool          // the next fsync fails
	full   bool
	// lies: a write says that it is durable before it is. No disk of a run does, but that of the test which shows that it would be found.
	lies bool
}

func newDisk(seed uint64, name, path string) *disk {
	return &disk{path: path, chance: newChance(seed, "disk "+name), usual: 400 * time.Microsecond,
		image: image{values: map[string][]byte{}, entries: map[uint64]*raft.Log{}}}
}

// handle is the disk as one process has it open. It is a raftnode.Disk.
type handle struct {
	disk   *disk
	writes chan struct{} // one write at a time
	over   chan struct{} // closed when the process has ended

	mu     sync.Mutex
	dead   bool
	ghost  image // what a dead process believes the disk to be
	failed *storage.FatalError
	staged uint64
	cached []func(*image) // by a disk that lies: what it says is durable and is not
}

var _ raftnode.Disk = (*handle)(nil)

func (d *disk) open() *handle {
	return &handle{disk: d, writes: make(chan struct{}, 1), over: make(chan struct{})}
}

// die is the end of the process. A write that is under way comes to nothing, or was done: the process never knew. Its goroutines are still to be ended, and until then
// find a disk of their own that is well, so that what they do is to end.
func (h *handle) die() {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.dead {
		h.dead, h.failed = true, nil
		h.ghost = h.disk.image.clone()
		close(h.over)
	}
}

// image is what the process believes the disk to be. disk.mu is held.
func (h *handle) image() *image {
	if h.isDead() {
		return &h.ghost
	}
	return &h.disk.image
}

func (h *handle) isDead() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.dead
}

var errIO = &storage.FatalError{Op: "fsync", Path: "raft.db", Err: syscall.EIO}

// write makes one change durable, all of it or nothing.
func (h *handle) write(op string, change func(*image)) error {
	h.writes <- struct{}{}
	defer func() { <-h.writes }()
	if err := h.state(); err != nil {
		return err
	}
	d := h.disk
	if h.isDead() {
		h.apply(change)
		return nil
	}
	d.mu.Lock()
	wait := d.usual/2 + d.chance.about(d.usual/2)
	if d.extra > 0 {
		wait += d.chance.between(d.extra/2, d.extra)
	}
	hangs, lies, full := d.hangs, d.lies, d.full
	d.mu.Unlock()
	if full {
		return fmt.Errorf("%s: %w", op, storage.ErrNoSpace)
	}
	if lies {
		return h.cache(change)
	}
	if !h.pause(wait, hangs) {
		if d.chance.is(0.5) {
			d.apply(change)
		}
		h.apply(change)
		return nil
	}
	d.mu.Lock()
	broken := d.breaks
	d.breaks = false
	d.mu.Unlock()
	if broken {
		if d.chance.is(0.5) {
			d.apply(change)
		}
		h.mu.Lock()
		h.failed = errIO
		h.mu.Unlock()
		return errIO
	}
	h.apply(change)
	return nil
}

// state says why nothing is written any more.
func (h *handle) state() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failed != nil {
		return h.failed
	}
	return nil
}

// pause waits as long as an fsync takes; false when the process ended before.
func (h *handle) pause(d time.Duration, hangs chan struct{}) bool {
	if hangs != nil {
		select {
		case <-hangs:
		case <-h.over:
			return false
		}
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-h.over:
		return false
	}
}

func (d *disk) apply(change func(*image)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(&d.image)
}

func (h *handle) apply(change func(*image)) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	change(h.image())
}

// cache is what a disk that lies does: the process sees its write, and the last ones are gone when the power goes.
func (h *handle) cache(change func(*image)) error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if len(h.cached) == 0 {
		was := h.disk.image.clone()
		h.cached = append(h.cached, func(i *image) { *i = was })
		time.AfterFunc(50*time.Millisecond, func() {
			h.disk.mu.Lock()
			defer h.disk.mu.Unlock()
			h.cached = nil
		})
	}
	change(&h.disk.image)
	return nil
}

// powerLoss is the end of the process together with that of the machine.
func (h *handle) powerLoss() {
	h.die()
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	for _, undo := range h.cached {
		undo(&h.disk.image)
	}
	h.cached = nil
}

func (i *image) clone() image {
	c := *i
	c.values, c.entries, c.snaps = maps.Clone(i.values), maps.Clone(i.entries), append([]*snapshot(nil), i.snaps...)
	return c
}

// look reads. The error, which is nil, is for those who hand it on.
func look[T any](h *handle, f func(*image) T) (T, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	return f(h.image()), nil
}

// Path implements raftnode.Disk.
func (h *handle) Path() string { return h.disk.path }

// TLSDir implements raftnode.Disk.
func (h *handle) TLSDir() string { return h.disk.path }

// Identity implements raftnode.Disk.
func (h *handle) Identity() (storage.Identity, bool) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	i := h.image()
	return i.identity, i.identity != storage.Identity{}
}

// SetIdentity implements raftnode.Disk.
func (h *handle) SetIdentity(id storage.Identity) error {
	if was, named := h.Identity(); named && was != id {
		return errors.New("set identity: the disk is another node's")
	}
	h.apply(func(i *image) { i.identity = id })
	return nil
}

// Log implements raftnode.Disk.
func (h *handle) Log() raft.CommitTrackingLogStore { return logStore{h} }

// Stable implements raftnode.Disk.
func (h *handle) Stable() storage.Stable { return stable{h} }

// Snapshots implements raftnode.Disk.
func (h *handle) Snapshots() raft.SnapshotStore { return snapshots{h} }

// Empty implements raftnode.Disk.
func (h *handle) Empty() bool {
	has, err := raft.HasExistingState(h.Log(), h.Stable(), h.Snapshots())
	return err == nil && !has
}

// Space implements raftnode.Disk.
func (h *handle) Space() (storage.Space, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	s := storage.Space{Free: 1 << 30, Total: 2 << 30, Reserve: 64 << 20}
	if h.disk.full {
		s.Free = 1 << 20
	}
	return s, nil
}

// LogFile implements raftnode.Disk.
func (h *handle) LogFile() (size, free int64, err error) { return 0, 0, nil }

// DropState implements raftnode.Disk.
func (h *handle) DropState() error {
	return h.write("drop state", func(i *image) {
		i.first, i.last, i.commit, i.snaps = 0, 0, 0, nil
		i.entries = map[uint64]*raft.Log{}
	})
}
