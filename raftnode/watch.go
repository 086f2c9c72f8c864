package raftnode

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// leaderInfo is what this node knows of the leader. It is comparable.
type leaderInfo struct {
	known bool
	self  bool
	id    raft.ServerID
	addr  string
}

// leaderWatch follows who leads. raft's observations do not cover a leader that steps down, and its own idea of the leader
// outlives the last heartbeat by up to two time-outs, so that it is asked regularly too.
type leaderWatch struct {
	t       timing
	now     func() time.Time       // monotonic
	changes func()                 // counts
	gaveUp  func(term uint64) bool // this node, as the leader of term; nil: never

	mu     sync.Mutex
	cur    leaderInfo
	since  time.Time // when the leader was lost, or when the watch began
	parted bool      // the node is no member any more: see Node.Part
	ch     broadcast
}

func newLeaderWatch(t timing, changes func()) *leaderWatch {
	return &leaderWatch{t: t, now: time.Now, changes: changes, since: time.Now()}
}

// get gives the present leader and a channel that is closed when that changes.
func (w *leaderWatch) get() (leaderInfo, <-chan struct{}) {
	ch := w.ch.wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cur, ch
}

// quorum is false once no leader has been known for three election time-outs. A node that has parted cannot know: it takes its group for able to decide.
func (w *leaderWatch) quorum() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.parted || w.cur.known || w.now().Sub(w.since) < w.t.noLeader()
}

// set takes what raft says. lastContact is when a follower last heard of its leader.
func (w *leaderWatch) set(id raft.ServerID, addr string, self bool, lastContact time.Time) {
	now := w.now()
	next := leaderInfo{known: id != "" && addr != "", self: self, id: id, addr: addr}
	lost := now
	if next.known && !self && now.Sub(lastContact) > w.t.heartbeat {
		next.known = false
		lost = lastContact.Add(w.t.heartbeat)
	}
	if !next.known {
		next = leaderInfo{}
	}
	w.mu.Lock()
	if w.parted {
		w.mu.Unlock()
		return
	}
	old := w.cur
	w.cur = next
	if old.known && !next.known {
		w.since = lost
	}
	w.mu.Unlock()
	if old != next {
		if next.known {
			w.changes()
		}
		w.ch.signal()
	}
}

// part has raft's word count no more. Who led keeps doing so until point says otherwise; if that was this node, or nobody, own is asked: the successor.
func (w *leaderWatch) part(own leaderInfo) {
	w.mu.Lock()
	w.parted = true
	if !w.cur.known || w.cur.self {
		w.cur = own
	}
	w.mu.Unlock()
	w.ch.signal()
}

func (w *leaderWatch) hasParted() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.parted
}

// point says who leads, to a node that has parted.
func (w *leaderWatch) point(to leaderInfo) {
	w.mu.Lock()
	changed := w.cur != to
	w.cur = to
	w.mu.Unlock()
	if changed {
		w.ch.signal()
	}
}

// run follows r until ctx ends.
func (w *leaderWatch) run(ctx context.Context, r *raft.Raft, self raft.ServerID) {
	seen := make(chan raft.Observation, 16)
	obs := raft.NewObserver(seen, false, func(o *raft.Observation) bool {
		switch o.Data.(type) {
		case raft.LeaderObservation, raft.RaftState:
			return true
		}
		return false
	})
	r.RegisterObserver(obs)
	defer r.DeregisterObserver(obs)
	tick := time.NewTicker(w.t.poll())
	defer tick.Stop()
	for {
		addr, id := r.LeaderWithID()
		if id == self && w.gaveUp != nil && w.gaveUp(r.CurrentTerm()) {
			addr, id = "", "" // raft does not know yet
		}
		w.set(id, string(addr), id == self, r.LastContact())
		select {
		case <-seen:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
