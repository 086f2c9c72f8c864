package copies

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"
)

// ranked orders members for a place by rendezvous hashing: each member's rank depends on the place and on its own id alone, so that one that comes or goes moves no more than what it has
// (Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998).
func ranked(place string, members []string) []string {
	type rank struct {
		id     string
		weight uint64
	}
	list := make([]rank, len(members))
	for i, id := range members {
		h := sha256.New()
		var n [4]byte
		binary.LittleEndian.PutUint32(n[:], uint32(len(id))) // so that no two pairs are the same bytes
		h.Write(n[:])
		h.Write([]byte(id))
		h.Write([]byte(place))
		list[i] = rank{id, binary.LittleEndian.Uint64(h.Sum(nil))}
	}
	slices.SortFunc(list, func(a, b rank) int { return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.id, b.id)) })
	out := make([]string, len(list))
	for i := range list {
		out[i] = list[i].id
	}
	return out
}

// reachableFirst puts those behind that have not answered lately, in their order.
func (c *Copies) reachableFirst(ids []string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	var first, last []string
	for _, id := range ids {
		if now.Before(c.down[id]) {
			last = append(last, id)
		} else {
			first = append(first, id)
		}
	}
	return append(first, last...)
}

// isDown tells whether a member has not answered lately.
func (c *Copies) isDown(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Before(c.down[id])
}

func (c *Copies) noteDown(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for old, until := range c.down { // those of former members too
		if now.After(until) {
			delete(c.down, old)
		}
	}
	c.down[id] = now.Add(downLasts)
}

func (c *Copies) noteUp(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.down, id)
}
