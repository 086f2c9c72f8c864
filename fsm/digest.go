package fsm

import (
	"crypto/sha256"
	"encoding/binary"
)

// sum is a running digest: two independent sums modulo 2^64. Addition makes it independent of order and lets an item be
// taken out again, which is what makes it cheap to keep up to date (AdHash: Bellare and Micciancio, Eurocrypt 1997). It is
// meant to find divergence, not to resist somebody who chooses the state.
type sum struct{ a, b uint64 }

func (s *sum) add(x sum) { s.a, s.b = s.a+x.a, s.b+x.b }
func (s *sum) sub(x sum) { s.a, s.b = s.a-x.a, s.b-x.b }

// digest is the sum with the replicated time, which is hashed when asked for, not at each entry.
func (s sum) digest(now int64) Digest {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(now))
	s.add(itemSum(itemNow, b[:]))
	var d Digest
	binary.LittleEndian.PutUint64(d[:8], s.a)
	binary.LittleEndian.PutUint64(d[8:], s.b)
	return d
}

// item separates the domains of what is hashed. Numbers are also the section numbers of a snapshot: append-only.
type item uint8

const (
	itemGroup    item = 1
	itemName     item = 2
	itemRevision item = 3
	itemToken    item = 4
	itemRequest  item = 5
	itemSlot     item = 6
	itemNow      item = 7

	itemModule       item = 8
	itemOperating    item = 9
	itemQuiesce      item = 10
	itemLock         item = 11
	itemVerdict      item = 12
	itemRegistration item = 13
	itemSchedule     item = 14
	itemWorkflow     item = 15
	itemShare        item = 16
	itemEvent        item = 17
	itemDecision     item = 18
	// sectionTable has the assignments of a snapshot since version 2; in the digest they are itemSlot.
	sectionTable item = 19

	itemHolder     item = 20
	itemEvacuation item = 21
	itemBackups    item = 22

	itemRestoring   item = 23
	itemRestorePart item = 24
	itemCertificate item = 30
	itemTicketKey   item = 31
	itemRevocation  item = 39
	itemRaised      item = 40
	itemAccess      item = 41
	itemStored      item = 42
	itemFile        item = 43
	itemACME        item = 44
)

// itemSum hashes one rare item in its canonical form (canonical.go).
func itemSum(it item, canonical []byte) sum {
	h := sha256.New()
	h.Write([]byte{byte(it)})
	h.Write(canonical)
	var out [sha256.Size]byte
	h.Sum(out[:0])
	return sum{binary.LittleEndian.Uint64(out[:8]), binary.LittleEndian.Uint64(out[8:16])}
}

// slotSum hashes one assignment. It runs twice for each changed one, so it is two chains of bijective 64-bit mixers
// instead of SHA-256. The constants are part of the format: replicas of different versions compare digests.
func slotSum(s *slot) sum {
	w0 := binary.LittleEndian.Uint64(s.key[:8])
	w1 := binary.LittleEndian.Uint64(s.key[8:])
	w2 := uint64(s.instance) | uint64(s.seen)<<32
	const w3 = uint64(itemSlot) << 32
	const stepA, stepB = 0x9e3779b97f4a7c15, 0xd1b54a32d192ed03
	a := mix64(w0 + stepA)
	b := mix64(w0 + stepB)
	a = mix64((a ^ w1) + stepA)
	b = mix64((b ^ w1) + stepB)
	a = mix64((a ^ w2) + stepA)
	b = mix64((b ^ w2) + stepB)
	a = mix64((a ^ w3) + stepA)
	b = mix64((b ^ w3) + stepB)
	// An older version had no meta: what has none keeps its sum.
	if s.meta != 0 {
		a = mix64((a ^ uint64(s.meta)) + stepA)
		b = mix64((b ^ uint64(s.meta)) + stepB)
	}
	return sum{a, b}
}

// mix64 is the finaliser of MurmurHash3 (Appleby, public domain): bijective, every input bit reaches every output bit.
func mix64(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return x
}
