package raftnode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/fsm"
)

// Image is the whole state of a group as of one index, on its way out of a node.
type Image struct {
	// Group is the group that the state is of.
	Group fsm.Group
	// Index is the last entry in the state and Term that of this entry, Time the replicated time.
	Index, Term uint64
	Time        time.Time
	// Confirmed is up to where the entries are known to be committed.
	Confirmed uint64
	// Schema is the schema of the state that the group had.
	Schema int
	// Members is the membership then.
	Members []ImageMember
	// State gives the snapshot (fsm.State.Restore reads it). It must be closed.
	State io.ReadCloser
}

// ImageMember is a node of the group.
type ImageMember struct {
	Name, ID, Addr string
	Voter          bool
}

const (
	// imageRetry is how often a snapshot is tried that cannot be made right now, imageWait for how long.
	imageRetry = 50 * time.Millisecond
	imageWait  = 10 * time.Second
)

// ErrBehind: the node has not applied again yet what it had applied before its last start.
var ErrBehind = errors.New("the node has not caught up since its start")

// Image takes the state as this node has it, with everything that a Sync before it has waited for. It comes from a snapshot on disk, as the node makes them by itself, so
// that whoever reads it slowly costs the node no memory. It fails with ErrBehind or ErrClosed, with ErrQuarantined when the state is known to be wrong, or with what kept the disk from taking it.
func (n *Node) Image(ctx context.Context) (*Image, error) {
	if q := n.audit.confined.of(CauseDiverged); q != nil {
		return nil, fmt.Errorf("take the state: %w", q)
	}
	r := n.raft.Load()
	if r == nil || n.state.Group() == nil {
		return nil, fmt.Errorf("take the state: %w: its group has no state yet", ErrBehind)
	}
	patience := time.After(imageWait)
	for {
		group := n.state.Group()
		image, err := n.imageNow(ctx, r, group)
		switch {
		case err == nil && n.state.Group().Epoch != group.Epoch: // it is not known which of them it has
			_ = image.State.Close()
			continue
		case err == nil:
			return image, nil
		case errors.Is(err, raft.ErrRaftShutdown):
			return nil, fmt.Errorf("take the state: %w", ErrClosed)
		case !notYet(err):
			return nil, fmt.Errorf("take the state: %w", err)
		}
		select {
		case <-time.After(imageRetry):
		case <-patience:
			return nil, fmt.Errorf("take the state: %w", err)
		case <-ctx.Done():
			return nil, fmt.Errorf("take the state: %w", ctx.Err())
		case <-n.ctx.Done():
			return nil, fmt.Errorf("take the state: %w", ErrClosed)
		}
	}
}

// notYet tells whether a snapshot will be possible in a moment: after a start, and after a change of the membership, there is a time in which raft makes
// none. It gives the reasons as text alone (snapshot.go, takeSnapshot).
func notYet(err error) bool {
	text := err.Error()
	return errors.Is(err, ErrBehind) || strings.Contains(text, "failed to start snapshot") || strings.Contains(text, "cannot take snapshot now")
}

// imageNow writes a snapshot and opens it. When raft has applied nothing since its start it writes none: then the newest on disk has everything, or the
// node is behind.
func (n *Node) imageNow(ctx context.Context, r *raft.Raft, group *fsm.Group) (*Image, error) {
	var made raft.SnapshotFuture
	err := await(ctx, n, func() raft.Future {
		made = r.Snapshot()
		return made
	})
	switch {
	case err == nil:
		meta, content, err := made.Open()
		if err != nil {
			return nil, err
		}
		return n.newImage(group, meta, content)
	case !errors.Is(err, raft.ErrNothingNewToSnapshot):
		return nil, err
	}
	applied := n.state.Applied()
	list, err := n.opt.Dir.Snapshots().List()
	if err != nil {
		return nil, err
	}
	if len(list) == 0 || list[0].Index < applied {
		return nil, ErrBehind
	}
	meta, content, err := n.opt.Dir.Snapshots().Open(list[0].ID)
	if err != nil {
		return nil, err
	}
	return n.newImage(group, meta, content)
}

// newImage takes the schema as it is now: it may have been raised since the snapshot, and is never lowered.
func (n *Node) newImage(group *fsm.Group, meta *raft.SnapshotMeta, content io.ReadCloser) (*Image, error) {
	index, now, whole, err := fsm.PeekSnapshot(content)
	if err != nil {
		_ = content.Close()
		return nil, fmt.Errorf("take the state: %w", err)
	}
	term := meta.Term
	var last raft.Log
	if index < meta.Index && n.opt.Dir.Log().GetLog(index, &last) == nil { // behind it raft has entries of its own, perhaps of a later term: whoever follows the log from here asks for that of this entry
		term = last.Term
	}
	i := &Image{Group: *group, Index: index, Confirmed: index, Term: term, Time: now, Schema: n.state.Schema(), Members: imageMembers(meta.Configuration.Servers)}
	i.State = struct {
		io.Reader
		io.Closer
	}{whole, content}
	return i, nil
}

func imageMembers(servers []raft.Server) []ImageMember {
	var list []ImageMember
	for _, s := range servers {
		list = append(list, ImageMember{Name: nameOf(s.ID), ID: string(s.ID), Addr: string(s.Address), Voter: s.Suffrage == raft.Voter})
	}
	return list
}
