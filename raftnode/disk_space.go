package raftnode

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/storage"
)

// spaceEvery is how often a node looks how much room there is.
const spaceEvery = time.Second

// diskSpace is how much room this node has, in two steps. Below the reserve the node says so and is not to lead, and a group most of whose nodes are there takes no new
// writes. Below half of it the node refuses the entries of others, too, before the file system does: what is left is for votes and the snapshot that will cut the log.
type diskSpace struct {
	short atomic.Pointer[storage.Space] // nil: there is room
	floor atomic.Bool
	met   atomic.Bool   // the last write of entries has found no room, whatever the operating system says (a quota)
	look  chan struct{} // a write has found no room
}

// take judges what the operating system says. There is room again with a quarter of the reserve above it, so that it does not change with each file that comes and goes.
func (d *diskSpace) take(s storage.Space) (changed bool) {
	want := s.Reserve
	was := d.short.Load()
	if was != nil {
		want += want / 4
	}
	d.floor.Store(s.Free < s.Reserve/2)
	if s.Free >= want {
		d.short.Store(nil)
		return was != nil
	}
	d.short.Store(&s)
	return was == nil
}

// refuses tells whether these entries must not be written. Those that a leader needs to begin and the group to change its members are few, and come from nobody outside.
func (d *diskSpace) refuses(logs []*raft.Log) error {
	if !d.floor.Load() {
		return nil
	}
	for _, l := range logs {
		if l.Type == raft.LogCommand {
			return fmt.Errorf("%w: what is left is kept for votes and snapshots", storage.ErrNoSpace)
		}
	}
	return nil
}

// wrote notes how a write of entries has ended.
func (d *diskSpace) wrote(err error) {
	if none := errors.Is(err, storage.ErrNoSpace); none || err == nil {
		d.met.Store(none)
	}
	d.full(err)
}

// full notes that a write has met a full disk before it was seen coming.
func (d *diskSpace) full(err error) {
	if errors.Is(err, storage.ErrNoSpace) {
		select {
		case d.look <- struct{}{}:
		default:
		}
	}
}

// watchSpace keeps diskSpace up to date and tells the leader while there is no room here.
func (n *Node) watchSpace(ctx context.Context) {
	tick := time.NewTicker(spaceEvery)
	defer tick.Stop()
	blind := false
	for {
		s, err := n.space()
		switch {
		case err != nil && !blind:
			n.log.Error("how much room there is on the disk cannot be found out; a full one will be noticed by its first failed write", "error", err)
		case err == nil && n.disk.space.take(s):
			n.sayRoom(s)
		}
		blind = err != nil
		n.tellRoom(ctx)
		select {
		case <-tick.C:
		case <-n.disk.space.look:
		case <-ctx.Done():
			return
		}
	}
}

func (n *Node) sayRoom(s storage.Space) {
	const mib = 1 << 20
	if n.disk.space.short.Load() == nil {
		n.log.Info("there is room on the disk again", "free_mib", s.Free/mib)
		return
	}
	n.log.Error("the disk is nearly full: this node hands leadership over if it can; free some room below the data directory, and it goes on by itself", "path", n.opt.Dir.Path(),
		"free_mib", s.Free/mib, "reserve_mib", s.Reserve/mib)
}

// DiskTrouble says why this node should not lead: its disk does not answer, or is full. nil when it is sound. It never blocks.
func (n *Node) DiskTrouble() error {
	if err := n.DiskStalled(); err != nil {
		return err
	}
	if s := n.disk.space.short.Load(); s != nil {
		return errors.New(n.fullText(s))
	}
	return nil
}

// fullText says how full the disk is, and what to do.
func (n *Node) fullText(s *storage.Space) string {
	return fmt.Sprintf("its disk is full: %s are free, %s should be; free some room below %s, and it goes on by itself", room(s.Free), room(s.Reserve), n.opt.Dir.Path())
}

// room gives a size for people.
func room(bytes uint64) string {
	if bytes < 1<<20 {
		return fmt.Sprintf("%d KiB", bytes>>10)
	}
	return fmt.Sprintf("%d MiB", bytes>>20)
}

// diskFull says why this node takes no entries because of its disk; empty while it does.
func (n *Node) diskFull() string {
	s := n.disk.space.short.Load()
	switch {
	case s != nil && n.disk.space.floor.Load():
		return n.fullText(s)
	case n.disk.space.met.Load():
		return fmt.Sprintf("its disk is full: the last write has found no room below %s (is there a quota?); free some, and it goes on by itself", n.opt.Dir.Path())
	}
	return ""
}

// roomToResync is an ErrRefused when there is no room for a new copy of the state: the node would have given up its vote, and what it has, for nothing.
func (n *Node) roomToResync() error {
	if s := n.disk.space.short.Load(); s != nil {
		return refused("%s; a new copy of the state needs room first", n.fullText(s))
	}
	if why := n.diskFull(); why != "" {
		return refused("%s; a new copy of the state needs room first", why)
	}
	return nil
}
