package h2

import "encoding/binary"

// Types of frames and their flags (RFC 9113, section 6).
const (
	typeData         = 0x0
	typeHeaders      = 0x1
	typeReset        = 0x3
	typeSettings     = 0x4
	typeWindow       = 0x8
	typeContinuation = 0x9

	flagEndStream  = 0x1 // of DATA and HEADERS
	flagEndHeaders = 0x4 // of HEADERS and CONTINUATION
	flagPadded     = 0x8 // of DATA and HEADERS
)

// preface is what a client begins with (RFC 9113, section 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

const headLen = 9

// frame is the head of a frame (RFC 9113, section 4.1).
type frame struct {
	length      int // bytes of payload
	kind, flags byte
	stream      uint32
}

// scanner finds the frames in a stream of bytes that comes in pieces.
type scanner struct {
	skip int // bytes that are no head: of the preface, of a payload
	head [headLen]byte
	n    int // bytes of head that are there
	kind byte

	stream uint32 // of the last head
	code   uint32 // of the last RST_STREAM, once its payload is there
}

// next takes bytes from p up to the end of a head, or of what is no head. It gives how many those are, at least one of a p that is not empty, and the frame
// whose head they complete.
func (s *scanner) next(p []byte) (n int, f frame, complete bool) {
	if s.skip > 0 {
		n = min(s.skip, len(p))
		s.skip -= n
		if s.kind == typeReset {
			for _, b := range p[:n] {
				s.code = s.code<<8 | uint32(b)
			}
		}
		return n, frame{}, false
	}
	n = copy(s.head[s.n:], p)
	if s.n += n; s.n < headLen {
		return n, frame{}, false
	}
	s.n = 0
	f = frame{
		length: int(s.head[0])<<16 | int(s.head[1])<<8 | int(s.head[2]), kind: s.head[3], flags: s.head[4],
		stream: binary.BigEndian.Uint32(s.head[5:]) &^ (1 << 31),
	}
	s.skip, s.kind, s.stream, s.code = f.length, f.kind, f.stream, 0
	return n, f, true
}

// reset reports whether the last call of next, which completed no head, has come to the end of a RST_STREAM.
func (s *scanner) reset() bool { return s.kind == typeReset && s.between() }

// between reports whether the last byte was the last of a frame, or none has come.
func (s *scanner) between() bool { return s.skip == 0 && s.n == 0 }

// within reports whether a frame of that type is not complete.
func (s *scanner) within(kind byte) bool { return s.skip > 0 && s.kind == kind }

// goAway is a GOAWAY frame (RFC 9113, section 6.8).
func goAway(last, code uint32) []byte {
	b := []byte{0, 0, 8, 0x7, 0, 0, 0, 0, 0}
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, last), code)
}
