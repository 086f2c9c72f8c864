package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Fault is what happens to writes and syncs. The zero value is nothing.
type Fault struct {
	// SyncDelay is how much longer each sync takes.
	SyncDelay time.Duration
	// Hang holds writes and syncs until it is over.
	Hang bool
	// Full refuses whatever needs room, with ENOSPC: new names, and bytes that do not replace others.
	Full bool
	// FailSyncs lets so many syncs fail with EIO, and then no more.
	FailSyncs int
}

// source is what the kernel's list of mounts says a disk is of.
const source = "holdfast-chaos"

// Disk is one mounted directory.
type Disk struct {
	Path string // where it is mounted

	server *fuse.Server

	power sync.RWMutex // held while something is written, and for off
	off   bool

	mu      sync.Mutex
	fault   Fault
	changes map[*node][]change // what no sync has followed
	change  chan struct{}      // closed when the fault changes
	failed  atomic.Int64       // syncs that failed as told
	held    atomic.Int64       // operations that wait now
}

// Missing says why there can be no such disk here; nil: there can.
func Missing() error {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		return errors.New("needs /dev/fuse")
	}
	if os.Geteuid() != 0 {
		return errors.New("needs root, to mount a file system of its own (FUSE)")
	}
	return nil
}

// Below is where what is written below a path that Mount was given is kept.
func Below(path string) string { return path + ".below" }

// Mount makes a disk: what is written below DIR/NAME is kept below DIR/NAME.below. Both are made.
func Mount(dir, name string) (*Disk, error) {
	d := &Disk{Path: filepath.Join(dir, name), change: make(chan struct{})}
	below := Below(d.Path)
	for _, path := range []string{d.Path, below} {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return nil, err
		}
	}
	var st syscall.Stat_t
	if err := syscall.Stat(below, &st); err != nil {
		return nil, err
	}
	root := &node{&fs.LoopbackNode{RootData: &fs.LoopbackRoot{Path: below, Dev: uint64(st.Dev)}}, d}
	root.RootData.RootNode = root
	server, err := fs.Mount(d.Path, root, &fs.Options{MountOptions: fuse.MountOptions{
		// Nobody changes what is below behind the kernel's back, so it need not drop what it has: programs read their files by mappings of it.
		ExplicitDataCacheControl: true, DirectMount: true, FsName: source, Name: "holdfast",
	}})
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", d.Path, err)
	}
	d.server = server
	return d, nil
}

// Set lets a fault happen in place of the one before.
func (d *Disk) Set(f Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = f
	if d.change != nil { // nil: it is not mounted
		close(d.change)
	}
	d.change = make(chan struct{})
}

// Failed counts the syncs that failed as told, Held the operations that wait now.
func (d *Disk) Failed() int { return int(d.failed.Load()) }

// Held counts the operations that wait for the end of a hang.
func (d *Disk) Held() int { return int(d.held.Load()) }

// Close heals and unmounts.
func (d *Disk) Close() error {
	d.Set(Fault{})
	if err := d.server.Unmount(); err != nil {
		// Somebody still has a file open: the name goes at once, the rest when they have ended.
		if err := syscall.Unmount(d.Path, syscall.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", d.Path, err)
		}
	}
	return nil
}

// now gives the present fault, and what tells when it is another.
func (d *Disk) now() (Fault, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fault, d.change
}

// room is asked before anything that needs room is written.
func (d *Disk) room() syscall.Errno {
	d.wait()
	if f, _ := d.now(); f.Full {
		return syscall.ENOSPC
	}
	return 0
}

// wait holds as long as the disk hangs.
func (d *Disk) wait() {
	d.held.Add(1)
	defer d.held.Add(-1)
	for {
		f, changed := d.now()
		if !f.Hang {
			return
		}
		<-changed
	}
}

// sync is asked before each sync.
func (d *Disk) sync() syscall.Errno {
	f, changed := d.now()
	if f.SyncDelay > 0 {
		timer := time.NewTimer(f.SyncDelay)
		select {
		case <-timer.C:
		case <-changed:
			timer.Stop()
		}
	}
	d.wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fault.FailSyncs > 0 {
		d.fault.FailSyncs--
		d.failed.Add(1)
		return syscall.EIO
	}
	return 0
}
