package fsm

import "sync"

// checkpoint compares this replica's digest at the previous checkpoint with the leader's, and notes its own at this one.
// The entry carries the digest of an earlier one because a leader does not know the digest at an index before it has
// applied it. A replica that has no record of that one (it has just been restored) compares again at the next.
func (r *replica) checkpoint(index uint64, c *Checkpoint) Result {
	last := r.record
	next := CheckpointRecord{Index: index, Digest: r.digest(), Diverged: last.Diverged, Hold: c.Hold}
	if last.Index != 0 && last.Index == c.PrevIndex {
		next.Diverged = 0
		if last.Digest != c.PrevDigest {
			next.Diverged = c.PrevIndex
		}
	}
	r.record = next
	r.points.add(point{index, next.Digest})
	return Result{}
}

// maxPoints is how many checkpoints a replica remembers. One that is further behind another than that compares at a later one.
const maxPoints = 32

// points are the digests at the last checkpoints that this replica has applied. They are its own, and no part of the state.
type points struct {
	mu   sync.Mutex
	ring [maxPoints]point
	n    int // how many there ever were
}

type point struct {
	index  uint64
	digest Digest
}

func (p *points) add(x point) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ring[p.n%maxPoints] = x
	p.n++
}

func (p *points) find(index uint64) (Digest, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range min(p.n, maxPoints) {
		if x := &p.ring[i]; x.index == index {
			return x.digest, true
		}
	}
	return Digest{}, false
}

// CheckpointAt is this replica's digest at the checkpoint of that index; false when it has not applied it, has forgotten it, or was restored from a snapshot behind it.
func (s *State) CheckpointAt(index uint64) (Digest, bool) {
	if index == 0 {
		return Digest{}, false
	}
	return s.cur.Load().points.find(index)
}
