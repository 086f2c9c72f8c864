package raftnode

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/storage"
)

// brokenAfter is a disk whose stable store fails for good after some writes.
type brokenAfter struct {
	*storage.Dir
	left int
}

type brokenStable struct {
	storage.Stable
	of *brokenAfter
}

func (d *brokenAfter) Stable() storage.Stable { return brokenStable{d.Dir.Stable(), d} }

func (s brokenStable) SetAll(pairs ...storage.Pair) error {
	if s.of.left--; s.of.left < 0 {
		return &storage.FatalError{Op: "set stable value", Path: s.of.Path(), Err: syscall.EIO}
	}
	return s.Stable.SetAll(pairs...)
}

func (s brokenStable) Set(key, value []byte) error {
	return s.SetAll(storage.Pair{Key: key, Value: value})
}

func (s brokenStable) SetUint64(key []byte, value uint64) error {
	return s.Set(key, []byte{0, 0, 0, 0, 0, 0, 0, byte(value)})
}

// TestBrokenDiskAtTheStart: raft panics when it cannot write its term while it starts. What the process must know is that its disk is in doubt, and nothing of raft may be left (TestMain).
func TestBrokenDiskAtTheStart(t *testing.T) {
	m := newMember(t, "n1", Options{Bootstrap: true})
	m.mustOpen()
	m.run()
	group{m}.ready()
	m.halt()

	dir, err := storage.Open(m.dir.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	o := m.opt
	o.TLSDir = ""
	o.Dir, o.State, o.Logger = &brokenAfter{Dir: dir}, fsm.New(), testLogger("n1")
	node, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx := ctxFor(t, 20*time.Second)
	err = node.Run(ctx)
	if !errors.Is(err, ErrDisk) || !errors.Is(err, syscall.EIO) {
		t.Errorf("Run ended with %v, want an ErrDisk that says why", err)
	}
	if err := node.Stop(ctx); err != nil {
		t.Error(err)
	}
}
