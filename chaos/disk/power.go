package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A disk remembers what each write and each change of a length replaced, until the file is synced. That is what a power cut takes back.

// sector is what a disk writes whole or not at all.
const sector = 512

// change is one write or change of a file's length that no sync has followed.
type change struct {
	size   int64  // of the file before
	at     int64  // where the bytes that it replaced were
	before []byte // those, as far as the file had any there
	length int    // of what was written
	cut    bool   // nothing was, the file became shorter or longer
}

// unsynced notes what is about to be replaced; the caller has power.
func (n *node) unsynced(at int64, length int, size int64) {
	file, err := os.Open(n.below())
	if err != nil {
		return // it has no name any more: nobody can miss it
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return
	}
	c := change{size: info.Size(), at: at, length: length}
	if size >= 0 { // it is cut to that: all behind goes
		c.at, c.length, c.cut = size, int(max(0, info.Size()-size)), true
	}
	c.before = make([]byte, min(int64(c.length), max(0, c.size-c.at)))
	if _, err := file.ReadAt(c.before, c.at); err != nil && !errors.Is(err, io.EOF) {
		return
	}
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if n.disk.changes == nil {
		n.disk.changes = map[*node][]change{}
	}
	n.disk.changes[n] = append(n.disk.changes[n], c)
}

// begun is how many changes of a file there are by now, which a sync that begins now is about.
func (n *node) begun() int {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	return len(n.disk.changes[n])
}

// synced lets go of so many changes.
func (n *node) synced(changes int) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if rest := n.disk.changes[n]; len(rest) > changes {
		n.disk.changes[n] = rest[changes:]
	} else {
		delete(n.disk.changes, n)
	}
}

// PowerCut takes back what was written and not synced: of each file all, or all from a drawn write on, which is torn at a sector. Names stay, as on a file system with a journal that has just been written. Whoever used the
// disk has to have ended, and nothing is written any more until PowerOn. It tells how many writes are lost.
func (d *Disk) PowerCut(random *rand.Rand) (lost int, err error) {
	d.power.Lock()
	defer d.power.Unlock()
	d.off = true
	d.mu.Lock()
	all := d.changes
	d.changes = nil
	d.mu.Unlock()
	var errs []error
	for n, changes := range all {
		kept := random.IntN(len(changes) + 1)
		if random.IntN(2) == 0 {
			kept = 0
		}
		if err := n.takeBack(changes, kept, random); err != nil {
			errs = append(errs, err)
		}
		lost += len(changes) - kept
		_ = n.NotifyContent(0, 0) // the kernel has what was written in its memory; that it has forgotten the file is as good
	}
	return lost, errors.Join(errs...)
}

// PowerOn lets the disk be written again.
func (d *Disk) PowerOn() {
	d.power.Lock()
	defer d.power.Unlock()
	d.off = false
}

// takeBack undoes changes in the opposite order, but for the first ones that are kept. Of the first that is not, a drawn part may have got through.
func (n *node) takeBack(changes []change, kept int, random *rand.Rand) error {
	file, err := os.OpenFile(n.below(), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("a power cut: %w", err)
	}
	defer func() { _ = file.Close() }()
	for i := len(changes) - 1; i >= kept; i-- {
		c := changes[i]
		size, through := c.size, int64(0)
		if i == kept && !c.cut {
			through = max(0, (c.at+random.Int64N(int64(c.length)+1))/sector*sector-c.at)
			if through > 0 {
				size = max(size, c.at+through)
			}
		}
		if err := file.Truncate(size); err != nil {
			return fmt.Errorf("a power cut: %w", err)
		}
		if through < int64(len(c.before)) {
			if _, err := file.WriteAt(c.before[through:], c.at+through); err != nil {
				return fmt.Errorf("a power cut: %w", err)
			}
		}
	}
	return nil
}

// Setattr notes what is lost when a file is cut or made longer.
func (n *node) Setattr(ctx context.Context, f fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	size, cut := in.GetSize()
	if !cut {
		return n.LoopbackNode.Setattr(ctx, f, in, out)
	}
	n.disk.power.RLock()
	defer n.disk.power.RUnlock()
	if n.disk.off {
		return syscall.EIO
	}
	n.unsynced(0, 0, int64(size))
	return n.LoopbackNode.Setattr(ctx, f, in, out)
}
