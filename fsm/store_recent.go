package fsm

// maxRecentWrites is how many writes the store remembers, to know one that is sent again: those of many seconds at the rate that a group can commit. They have a memory of their own,
// so that no number of them makes the group forget the requests of operators (requests.go).
const maxRecentWrites = 16 << 10

// recentWrite is one that was done. What was refused may be tried again.
type recentWrite struct {
	seq     uint64 // from 0, so that the digest covers which one is forgotten next
	id      RequestID
	version uint64
}

// recentWrites are the last ones. Only the writer uses them; a snapshot takes a copy.
type recentWrites struct {
	ring []recentWrite // place seq % maxRecentWrites
	byID map[RequestID]int32
	next uint64
}

func (q *recentWrites) find(id RequestID) (version uint64, ok bool) {
	i, ok := q.byID[id]
	if !ok {
		return 0, false
	}
	return q.ring[i].version, true
}

// add remembers a write and gives the one that it pushes out, if any.
func (q *recentWrites) add(w recentWrite) (forgotten recentWrite, full bool) {
	if q.byID == nil {
		q.byID = make(map[RequestID]int32)
	}
	place := int32(w.seq % maxRecentWrites)
	if full = len(q.ring) == maxRecentWrites; full {
		forgotten = q.ring[place]
		delete(q.byID, forgotten.id)
		q.ring[place] = w
	} else {
		q.ring = append(q.ring, w)
	}
	q.byID[w.id] = place
	q.next = w.seq + 1
	return forgotten, full
}

// restore adds the next one of a snapshot; false for what add cannot have made.
func (q *recentWrites) restore(w recentWrite) bool {
	if _, twice := q.byID[w.id]; twice || len(q.ring) > 0 && w.seq != q.next || len(q.ring) >= maxRecentWrites {
		return false
	}
	if len(q.ring) == 0 {
		// The ring begins at the oldest one: places count from there until all are known (settle).
		q.byID = make(map[RequestID]int32)
	}
	q.byID[w.id] = int32(len(q.ring))
	q.ring = append(q.ring, w)
	q.next = w.seq + 1
	return true
}

// settle puts restored ones into their places; false when some are missing.
func (q *recentWrites) settle() bool {
	if len(q.ring) == 0 || q.ring[0].seq == 0 {
		return true
	}
	if len(q.ring) < maxRecentWrites {
		return false
	}
	ring := make([]recentWrite, len(q.ring))
	for _, w := range q.ring {
		place := int32(w.seq % maxRecentWrites)
		ring[place], q.byID[w.id] = w, place
	}
	q.ring = ring
	return true
}

// inOrder is a copy, oldest first.
func (q *recentWrites) inOrder() []recentWrite {
	out := make([]recentWrite, 0, len(q.ring))
	for seq := q.next - uint64(len(q.ring)); seq != q.next; seq++ {
		out = append(out, q.ring[seq%maxRecentWrites])
	}
	return out
}
