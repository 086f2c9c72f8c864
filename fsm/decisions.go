package fsm

import (
	"encoding/binary"
	"slices"
	"sync"
)

// maxDecisions is how many moves and drops the group remembers, of all sessions together.
const maxDecisions = 65_536

// decision is a move or a drop: 48 bytes, no pointer. It has both what was decided and what that put an end to, so that the first assignment of a
// session is remembered with its first move, and a session that was never moved costs nothing but its slot. Expiry is not among them: it
// would push out of the memory what operators ask for.
type decision struct {
	key  Key
	at   int64 // replicated time, Unix milliseconds
	from InstanceID
	to   InstanceID // 0: a drop
	was  meta       // what the slot said before
	is   meta       // module, reason and index of this one
}

func (d *decision) decision() Decision {
	return Decision{Index: d.is.index(), Time: millis(d.at), From: d.from, To: d.to, Reason: d.is.reason()}
}

// decisions are the last ones, oldest first. The list is only ever appended to and cut at the front, so who has read the slice under the lock
// may go on reading it without.
type decisions struct {
	mu   sync.Mutex
	list []decision
}

func (d *decisions) last() []decision {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.list
}

// decided remembers one. It comes before the change of the table, or a reader could see a move that has no history.
func (r *replica) decided(d decision) {
	if d.is.index() == 0 {
		return // of an older version, which kept none
	}
	r.items.add(decisionSum(&d))
	list := append(r.decisions.list, d)
	if len(list) > maxDecisions {
		r.items.sub(decisionSum(&list[0]))
		list = list[1:]
	}
	r.decisions.mu.Lock()
	r.decisions.list = list
	r.decisions.mu.Unlock()
}

// Decisions is what the group remembers of the decisions about a session, oldest first. whole is true when the list goes back to the beginning
// of a session: false when earlier ones may have been forgotten, or when there is nothing to tell. A session that expires leaves none but what is in
// the list; one of the same key that comes after it begins anew.
func (s *State) Decisions(k Key) (list []Decision, whole bool) {
	r := s.cur.Load()
	// In this order: what the table says at last is in the ring, or nothing came before it.
	present, found := r.table.lookup(&k)
	ring := r.decisions.last()
	var forgotten uint64 // the ring has everything that is of a later entry
	if len(ring) == maxDecisions {
		forgotten = ring[0].is.index()
	}
	var last *decision
	for i := range ring {
		d := &ring[i]
		if d.key != k {
			continue
		}
		if last == nil || last.to != d.from || last.is.index() != d.was.index() {
			list = append(list, Decision{Index: d.was.index(), To: d.from, Reason: d.was.reason()})
		}
		list = append(list, d.decision())
		last = d
	}
	if found && (last == nil || present.Index == 0 || present.Index > last.is.index() || present.Index == last.is.index() && present.Instance != last.to) {
		list = append(list, Decision{Index: present.Index, To: present.Instance, Reason: present.Reason})
	}
	unknown := slices.ContainsFunc(list, func(d Decision) bool { return d.Index == 0 })
	return list, len(list) > 0 && !unknown && list[0].Index > forgotten
}

// decisionSum hashes one decision, like slotSum and for the same reason.
func decisionSum(d *decision) sum {
	words := [...]uint64{binary.LittleEndian.Uint64(d.key[:8]), binary.LittleEndian.Uint64(d.key[8:]), uint64(d.at),
		uint64(d.from) | uint64(d.to)<<32, uint64(d.was), uint64(d.is)}
	const stepA, stepB = 0x9e3779b97f4a7c15, 0xd1b54a32d192ed03
	a, b := uint64(itemDecision), uint64(itemDecision)
	for _, w := range words {
		a = mix64((a ^ w) + stepA)
		b = mix64((b ^ w) + stepB)
	}
	return sum{a, b}
}

// appendDecision is the canonical form of a decision.
func appendDecision(b []byte, d *decision) []byte {
	b = append(b, d.key[:]...)
	b = appendU64(b, uint64(d.at))
	b = appendU32(b, uint32(d.from))
	b = appendU32(b, uint32(d.to))
	b = appendU64(b, uint64(d.was))
	return appendU64(b, uint64(d.is))
}

func parseDecision(b []byte) (decision, bool) {
	p := parser{b: b}
	var d decision
	copy(d.key[:], p.take(uint64(len(d.key))))
	d.at, d.from, d.to = int64(p.u64()), InstanceID(p.u32()), InstanceID(p.u32())
	d.was, d.is = meta(p.u64()), meta(p.u64())
	return d, p.done()
}
