package raftnode

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// To find out what differs, nodes compare their states as of one index, while they go on. So a node that has found itself wrong has the leader add a checkpoint at which every node keeps an image of its
// state (a Snapshot, copy on write) for imageLife. That costs a node, for as long, a copy of each shard that changes; in a sound group there is never one.

const (
	// imageLife is how long a node keeps an image for others to look at.
	imageLife = 10 * time.Second
	// holdEvery is how often a leader adds a checkpoint that was asked for: who asks sooner gets the last one's index.
	holdEvery = 500 * time.Millisecond
	// imagePoll is how often a node looks whether its own image is there.
	imagePoll = 2 * time.Millisecond
)

// images has the newest image of this node.
type images struct {
	mu  sync.Mutex
	now *heldImage
}

// heldImage is released when it is old and nobody looks at it any more.
type heldImage struct {
	snap *fsm.Snapshot
	refs int // under images.mu
	end  *time.Timer
}

// hold keeps a new image and lets go of the one before. It is called on the goroutine that applies, and never waits for a reader.
func (i *images) hold(snap *fsm.Snapshot) {
	h := &heldImage{snap: snap, refs: 1}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.dropLocked(i.now)
	i.now = h
	h.end = time.AfterFunc(imageLife, func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.dropLocked(h)
	})
}

// dropLocked lets go of h unless that was done before.
func (i *images) dropLocked(h *heldImage) {
	if h == nil || i.now != h {
		return
	}
	i.now = nil
	if h.end != nil {
		h.end.Stop()
	}
	h.unref()
}

func (h *heldImage) unref() {
	if h.refs--; h.refs == 0 {
		h.snap.Release()
	}
}

// close lets go of what is held.
func (i *images) close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.dropLocked(i.now)
}

// use has look see the image of that index, and waits for it until ctx ends.
func (i *images) use(ctx context.Context, index uint64, look func(*fsm.Snapshot)) error {
	for {
		i.mu.Lock()
		h := i.now
		if h != nil && h.snap.Index() == index {
			h.refs++
			i.mu.Unlock()
			defer func() {
				i.mu.Lock()
				defer i.mu.Unlock()
				h.unref()
			}()
			look(h.snap)
			return nil
		}
		i.mu.Unlock()
		if h != nil && h.snap.Index() > index {
			return retryLater(fmt.Sprintf("there is a later image than that of index %d", index))
		}
		select {
		case <-time.After(imagePoll):
		case <-ctx.Done():
			return retryLater(fmt.Sprintf("no image of index %d", index))
		}
	}
}

// holdings is the leader's end: the last checkpoint that was asked for.
type holdings struct {
	mu    turn // held while the checkpoint is recorded
	term  uint64
	at    time.Time
	index uint64
	held  bool
}

// askCheckpoint has the leader add a checkpoint now, with an image of the state on every node if hold is set, and gives its index.
func (n *Node) askCheckpoint(ctx context.Context, hold bool) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, n.timing.attempt())
	defer cancel()
	at, _ := n.watch.get()
	if !at.known {
		return 0, ErrNoQuorum
	}
	var request byte
	if hold {
		request = 1
	}
	var b []byte
	var err error
	if at.self {
		b, err = n.handleCheckpoint(ctx, caller{n.opt.Name, *n.id.Load()}, []byte{request})
	} else {
		b, err = n.pool.call(ctx, at.addr, nameOf(at.id), callCheckpoint, []byte{request})
	}
	if err != nil {
		return 0, err
	}
	return decodeIndex(b)
}

// handleCheckpoint is the leader's end.
func (n *Node) handleCheckpoint(ctx context.Context, from caller, payload []byte) ([]byte, error) {
	if len(payload) != 1 || payload[0] > 1 {
		return nil, refused("a request for a checkpoint: %d bytes", len(payload))
	}
	if _, member := memberByID(n.membership(), from.id); !member {
		return nil, refused("node %s is not a member", from.name)
	}
	l, err := n.leading(ctx)
	if err != nil {
		return nil, err
	}
	hold := payload[0] == 1
	h := &n.audit.hold
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.term == l.term && time.Since(h.at) < holdEvery && (h.held || !hold) {
		return encodeIndex(h.index), nil
	}
	index, err := n.checkpoint(l, hold)
	if err != nil {
		return nil, err
	}
	h.term, h.at, h.index, h.held = l.term, time.Now(), index, hold
	return encodeIndex(index), nil
}
