package raftnode

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// ErrNoRoom: the disks of so many nodes are full that no majority could write. It is an ErrNoQuorum too: nothing was done, and what can go on without a majority does.
var ErrNoRoom = fmt.Errorf("%w: the disks of most nodes are full", ErrNoQuorum)

const (
	// roomLasts is how long the word of a node without room holds; it is said again every spaceEvery.
	roomLasts = 3 * spaceEvery
	// refusedLasts is for how long a node takes the leader's refusal for granted, instead of asking again.
	refusedLasts = spaceEvery
)

// rooms is what the leader knows of the disks of others, and what a follower knows of that.
type rooms struct {
	mu      sync.Mutex
	short   map[raft.ServerID]time.Time // until when they are held to have no room
	refused time.Time                   // until when the leader is held to refuse
}

func (r *rooms) note(id raft.ServerID, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.short == nil {
		r.short = make(map[raft.ServerID]time.Time)
	}
	r.short[id] = now.Add(roomLasts)
}

func (r *rooms) isShort(id raft.ServerID, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return now.Before(r.short[id])
}

// any forgets those whose word is over.
func (r *rooms) any(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, until := range r.short {
		if !now.Before(until) {
			delete(r.short, id)
		}
	}
	return len(r.short) > 0
}

func (r *rooms) wasRefused(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refused = now.Add(refusedLasts)
}

func (r *rooms) refuses(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return now.Before(r.refused)
}

// noRoom is an ErrNoRoom while this node cannot write, or too few nodes have room, as far as it knows as the leader.
func (n *Node) noRoom() error {
	now, room := time.Now(), 1
	switch {
	case n.disk.space.floor.Load():
		return ErrNoRoom
	case n.disk.space.short.Load() != nil:
		room = 0
	case !n.rooms.any(now):
		return nil
	}
	others, _ := n.otherVoters()
	for _, s := range others {
		if !n.rooms.isShort(s.ID, now) {
			room++
		}
	}
	if room > (len(others)+1)/2 {
		return nil
	}
	return ErrNoRoom
}

// NoRoom is an ErrNoRoom while so many disks are full that nothing can be recorded, as far as this node knows; nil otherwise. It never blocks.
func (n *Node) NoRoom() error {
	if n.rooms.refuses(time.Now()) {
		return ErrNoRoom
	}
	if n.lead.Load() == nil {
		return nil
	}
	return n.noRoom()
}

// refusedForRoom notes a refusal of the leader and tells whether err is one.
func (n *Node) refusedForRoom(err error) bool {
	if !errors.Is(err, ErrNoRoom) {
		return false
	}
	n.rooms.wasRefused(time.Now())
	return true
}

// tellRoom tells the leader that there is no room here. Silence means that there is.
func (n *Node) tellRoom(ctx context.Context) {
	at, _ := n.watch.get()
	if n.disk.space.short.Load() == nil || !at.known || at.self {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, spaceEvery)
	defer cancel()
	if _, err := n.pool.call(ctx, at.addr, nameOf(at.id), callRoom, nil); err != nil {
		n.log.Debug("the leader was not told of the full disk", "error", err)
	}
}

// handleRoom takes note that a member has no room.
func (n *Node) handleRoom(_ context.Context, from caller, payload []byte) ([]byte, error) {
	if len(payload) != 0 {
		return nil, refused("%d bytes where there should be none", len(payload))
	}
	if _, member := memberByID(n.membership(), from.id); !member {
		return nil, refused("node %s is not a member", from.name)
	}
	n.rooms.note(from.id, time.Now())
	return nil, nil
}
