package fsm

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
)

// shardSumSize is the size of one shard's digest.
const shardSumSize = len(Digest{})

// ShardDigests are the digests of the table's shards, one behind the other: 16 bytes each, Shards of them. It looks at each assignment.
func (s *Snapshot) ShardDigests() []byte {
	out := make([]byte, 0, Shards*shardSumSize)
	for _, slots := range s.shards {
		var total sum
		for i := range slots {
			if slots[i].instance != 0 {
				total.add(slotSum(&slots[i]))
			}
		}
		d := total.bytes()
		out = append(out, d[:]...)
	}
	return out
}

// DifferentShards lists the shards whose digests differ. The error is for what is no answer of ShardDigests.
func DifferentShards(own, theirs []byte) ([]uint32, error) {
	const size = Shards * shardSumSize
	if len(own) != size || len(theirs) != size {
		return nil, fmt.Errorf("digests of shards: %d and %d bytes, want %d", len(own), len(theirs), size)
	}
	var list []uint32
	for i := range uint32(Shards) {
		at := int(i) * shardSumSize
		if string(own[at:at+shardSumSize]) != string(theirs[at:at+shardSumSize]) {
			list = append(list, i)
		}
	}
	return list, nil
}

// ShardEntries are the assignments of one shard by key; none for a number that is no shard's.
func (s *Snapshot) ShardEntries(number uint32) []Entry {
	if number >= Shards {
		return nil
	}
	var list []Entry
	slots := s.shards[number]
	for i := range slots {
		if x := &slots[i]; x.instance != 0 {
			list = append(list, Entry{x.key, x.assignment()})
		}
	}
	slices.SortFunc(list, func(a, b Entry) int { return slices.Compare(a.Key[:], b.Key[:]) })
	return list
}

// entrySize: key 16, instance 4, seen 4, module 2, reason 1, index 8.
const entrySize = 35

// AppendEntries encodes assignments, 35 bytes each, for another replica.
func AppendEntries(b []byte, list []Entry) []byte {
	b = slices.Grow(b, len(list)*entrySize)
	for i := range list {
		e := &list[i]
		b = append(b, e.Key[:]...)
		b = appendU32(b, uint32(e.Instance))
		b = appendU32(b, e.Seen)
		b = binary.LittleEndian.AppendUint16(b, uint16(e.Module))
		b = append(b, byte(e.Reason))
		b = appendU64(b, e.Index)
	}
	return b
}

// ParseEntries reads what AppendEntries wrote: keys that rise, and instances that are not 0.
func ParseEntries(b []byte) ([]Entry, error) {
	if len(b)%entrySize != 0 {
		return nil, fmt.Errorf("assignments: %d bytes, want a multiple of %d", len(b), entrySize)
	}
	list := make([]Entry, len(b)/entrySize)
	for i := range list {
		p := b[i*entrySize:]
		e := &list[i]
		e.Key = Key(p[:16])
		e.Instance, e.Seen = InstanceID(binary.LittleEndian.Uint32(p[16:])), binary.LittleEndian.Uint32(p[20:])
		e.Module, e.Reason, e.Index = ModuleID(binary.LittleEndian.Uint16(p[24:])), Reason(p[26]), binary.LittleEndian.Uint64(p[27:])
		if e.Instance == 0 || i > 0 && slices.Compare(list[i-1].Key[:], e.Key[:]) >= 0 {
			return nil, fmt.Errorf("assignments: number %d is impossible", i+1)
		}
	}
	return list, nil
}

// EntryDifference is one session whose assignments differ; an Assignment of instance 0 stands for none.
type EntryDifference struct {
	Key          Key
	Here, Others Assignment
}

// FirstDifference is the first session, by key, that two lists have different assignments for, and how many there are. Both are sorted by key.
func FirstDifference(own, theirs []Entry) (first EntryDifference, n int) {
	note := func(d EntryDifference) {
		if n++; n == 1 {
			first = d
		}
	}
	for len(own) > 0 || len(theirs) > 0 {
		order := 0
		switch {
		case len(own) == 0:
			order = 1
		case len(theirs) == 0:
			order = -1
		default:
			order = cmp.Compare(string(own[0].Key[:]), string(theirs[0].Key[:]))
		}
		switch {
		case order < 0:
			note(EntryDifference{Key: own[0].Key, Here: own[0].Assignment})
			own = own[1:]
		case order > 0:
			note(EntryDifference{Key: theirs[0].Key, Others: theirs[0].Assignment})
			theirs = theirs[1:]
		default:
			if own[0].Assignment != theirs[0].Assignment {
				note(EntryDifference{own[0].Key, own[0].Assignment, theirs[0].Assignment})
			}
			own, theirs = own[1:], theirs[1:]
		}
	}
	return first, n
}
