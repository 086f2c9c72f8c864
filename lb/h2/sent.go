package h2

import (
	"slices"
	"sync/atomic"
)

// sent is what has gone to the client since it was last taken in.
type sent struct {
	control atomic.Int64 // frames that its own may answer
	ended   atomic.Int64 // streams that the server has ended, other than by a reset, which a client can bring about
	broken  atomic.Int64 // streams that it has reset because of what the client did
	beside  atomic.Int64 // resets for the same reason of streams that were over: the client's frames may have crossed their end

	// Of who writes.
	over [1 << 8]uint32 // streams that have ended last: as many as may be open at once can end together
	next uint8          // which of them is the next to be forgotten
}

// internalError is the code of resets that are not for what the client has done (RFC 9113, section 7).
const internalError = 0x2

func (s *sent) add(f frame) {
	if f.kind == typeData {
		if f.length < littleData {
			s.control.Add(perLittle)
		} else {
			s.control.Add(perData)
		}
	}
	if (f.kind == typeData || f.kind == typeHeaders) && f.flags&flagEndStream != 0 {
		s.ended.Add(1)
		s.isOver(f.stream)
	}
}

// isOver notes that a stream has ended, and reports whether that was known.
func (s *sent) isOver(stream uint32) bool {
	if slices.Contains(s.over[:], stream) {
		return true
	}
	s.over[s.next] = stream
	s.next++ // as many as it can count
	return false
}

// reset notes a reset that the server sends: who has its streams reset takes them back in disguise.
func (s *sent) reset(stream, code uint32) {
	over := s.isOver(stream)
	switch {
	case code == noError || code == internalError:
	case over:
		s.beside.Add(1)
	default:
		s.broken.Add(1)
	}
}
