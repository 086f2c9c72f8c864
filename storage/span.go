//go:build !wasip1

package storage

import (
	"fmt"
	"slices"
)

// span is a run of consecutive log indexes, both ends included. lo 0 means empty: Raft counts from 1.
type span struct{ lo, hi uint64 }

func (s span) empty() bool           { return s.lo == 0 }
func (s span) has(index uint64) bool { return s.lo != 0 && index >= s.lo && index <= s.hi }

// spans are the indexes of a log in ascending order. A healthy log is one span; a second one follows a snapshot that was
// taken over from another node (raft leaves the old entries and goes on behind the snapshot).
type spans []span

// maxSpans bounds the seal. Each gap takes one installed snapshot, and the next compaction removes it.
const maxSpans = 4096

func (s spans) first() uint64 {
	if len(s) == 0 {
		return 0
	}
	return s[0].lo
}

func (s spans) last() uint64 {
	if len(s) == 0 {
		return 0
	}
	return s[len(s)-1].hi
}

func (s spans) has(index uint64) bool {
	return slices.ContainsFunc(s, func(p span) bool { return p.has(index) })
}

// add appends an index behind the last one, in place.
func (s *spans) add(index uint64) error {
	last := s.last()
	switch {
	case index <= last:
		return fmt.Errorf("entry %d is not behind the last one, %d", index, last)
	case len(*s) > 0 && index == last+1:
		(*s)[len(*s)-1].hi = index
	case len(*s) >= maxSpans:
		return fmt.Errorf("log has more than %d gaps", maxSpans)
	default:
		*s = append(*s, span{index, index})
	}
	return nil
}

// cut removes del, which must reach to the first or the last index.
func (s spans) cut(del span) (spans, error) {
	if del.lo > s.first() && del.hi < s.last() {
		return nil, fmt.Errorf("cannot delete %d..%d out of the middle of %d..%d", del.lo, del.hi, s.first(), s.last())
	}
	var out spans
	for _, p := range s {
		if p.lo < del.lo {
			out = append(out, span{p.lo, min(p.hi, del.lo-1)})
		}
		if p.hi > del.hi {
			out = append(out, span{max(p.lo, del.hi+1), p.hi})
		}
	}
	return out, nil
}
