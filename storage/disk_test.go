package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/raft"
)

// badDisk is a backend whose writes fail when they are told to: before anything is written, or after all of it.
type badDisk struct {
	backend
	before, after error
	panics        bool
	writes        int
}

func (b *badDisk) do(f func() error) error {
	b.writes++
	if b.panics {
		panic("page 7 already freed")
	}
	if b.before != nil {
		return b.before
	}
	if err := f(); err != nil {
		return err
	}
	return b.after
}

func (b *badDisk) StoreLogs(logs []*raft.Log) error {
	return b.do(func() error { return b.backend.StoreLogs(logs) })
}

func (b *badDisk) DeleteRange(lo, hi uint64) error {
	return b.do(func() error { return b.backend.DeleteRange(lo, hi) })
}

func onBadDisk(t *testing.T) (*Dir, *badDisk) {
	t.Helper()
	d := newDir(t)
	store(t, d.Log(), entries(1, 10, 20)...)
	disk := &badDisk{backend: d.log.db}
	d.log.db = disk
	d.log.reopen = func() (backend, error) {
		var err error
		disk.backend, err = openBolt(d.log.path)
		return disk, err
	}
	return d, disk
}

// TestFailedFsync: the first failure is final, whatever the disk says later (fsyncgate).
func TestFailedFsync(t *testing.T) {
	for name, fail := range map[string]func(*badDisk){
		"fsync EIO":           func(b *badDisk) { b.after = syscall.EIO },
		"write EIO":           func(b *badDisk) { b.before = &fs.PathError{Op: "write", Path: "raft.db", Err: syscall.EIO} },
		"fsync ENOSPC":        func(b *badDisk) { b.after = syscall.ENOSPC },
		"full after the meta": func(b *badDisk) { b.after = &fs.PathError{Op: "write", Path: "raft.db", Err: syscall.ENOSPC} },
		"panic":               func(b *badDisk) { b.panics = true },
	} {
		t.Run(name, func(t *testing.T) {
			d, disk := onBadDisk(t)
			fail(disk)
			var fatal *FatalError
			err := d.Log().StoreLogs(entries(11, 12, 20))
			if !errors.As(err, &fatal) || fatal.Op != "store log entries" || !strings.Contains(err.Error(), d.log.path) {
				t.Fatalf("%v", err)
			}
			*disk = badDisk{backend: disk.backend}
			_, serr := d.Snapshots().Create(1, 5, 1, raft.Configuration{}, 1, nopTransport())
			for i, err := range []error{
				d.Log().StoreLogs(entries(11, 12, 20)), d.Log().DeleteRange(1, 5), d.Stable().SetUint64([]byte("CurrentTerm"), 3), serr, d.log.Failed(),
			} {
				if !errors.As(err, &fatal) || fatal.Op != "store log entries" {
					t.Errorf("call %d: %v", i, err)
				}
			}
			if disk.writes != 0 {
				t.Errorf("%d writes after the failure", disk.writes)
			}
			wantEntries(t, d.Log(), 1, 10, 20) // reading goes on
			mustClose(t, d)
			// What the disk took after all may be there, whole or not at all.
			d = mustOpen(t, d.Path())
			if last, _ := d.Log().LastIndex(); last != 10 && last != 12 {
				t.Errorf("last index %d", last)
			}
		})
	}
}

// TestFullDisk: a write that found no room is refused, and taken when there is some.
func TestFullDisk(t *testing.T) {
	d, disk := onBadDisk(t)
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT} {
		disk.before = &fs.PathError{Op: "write", Path: "raft.db", Err: errno}
		for i, err := range []error{
			d.Log().StoreLogs(entries(11, 12, 20)), d.Log().DeleteRange(1, 5), d.Stable().SetUint64([]byte("CurrentTerm"), 3),
		} {
			if !errors.Is(err, ErrNoSpace) {
				t.Errorf("call %d: %v", i, err)
			}
		}
	}
	if d.log.Failed() != nil {
		t.Error(d.log.Failed())
	}
	disk.before = nil
	wantEntries(t, d.Log(), 1, 10, 20)
	store(t, d.Log(), entries(11, 12, 20)...)
	mustClose(t, d)
	wantEntries(t, mustOpen(t, d.Path()).Log(), 1, 12, 20)
}

// TestDeleteInterrupted stops a deletion before each of its transactions. It is complete after the next open.
func TestDeleteInterrupted(t *testing.T) {
	n := uint64(2*deleteStep + 5)
	for _, suffix := range []bool{false, true} {
		for stop := 0; ; stop++ {
			d := newDir(t)
			store(t, d.Log(), entries(1, n+20, 20)...)
			writeSnapshot(t, d, n, 1, []byte("state"))
			disk := &countdown{backend: d.log.db, left: stop}
			d.log.db = disk
			lo, hi := uint64(1), n
			if suffix {
				lo, hi = 21, n+20
			}
			err := d.Log().DeleteRange(lo, hi)
			mustClose(t, d)
			if _, verr := Verify(d.Path()); verr != nil {
				t.Fatalf("stopped after %d: %v", stop, verr)
			}
			d = mustOpen(t, d.Path())
			switch {
			case stop == 0:
				wantEntries(t, d.Log(), 1, n+20, 20)
			case suffix:
				wantEntries(t, d.Log(), 1, 20, 20)
				store(t, d.Log(), entries(21, 30, 20)...)
				wantEntries(t, d.Log(), 1, 30, 20)
			default:
				wantEntries(t, d.Log(), n+1, n+20, 20)
			}
			mustClose(t, d)
			r, verr := Verify(d.Path())
			if verr != nil || stop > 0 && !suffix && r.Entries != 20 {
				t.Fatalf("stopped after %d: %+v, %v", stop, r, verr)
			}
			if err == nil {
				break
			}
		}
	}
}

// countdown lets so many writes through and fails the others.
type countdown struct {
	backend
	left int
}

func (c *countdown) take() error {
	if c.left == 0 {
		return fmt.Errorf("the power is off")
	}
	c.left--
	return nil
}

func (c *countdown) StoreLogs(logs []*raft.Log) error {
	if err := c.take(); err != nil {
		return err
	}
	return c.backend.StoreLogs(logs)
}

func (c *countdown) DeleteRange(lo, hi uint64) error {
	if err := c.take(); err != nil {
		return err
	}
	return c.backend.DeleteRange(lo, hi)
}
