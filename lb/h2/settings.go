package h2

import "encoding/binary"

// A SETTINGS frame may name a setting more than once, and the last value counts (RFC 9113, section 6.5.3). x/net's server takes that for an attack and ends the
// connection, so that only the last of each is passed on to it.

const (
	flagAck = 0x1 // of SETTINGS

	settingLen = 6
	// settingsMost is how many settings a frame may have that is looked at; the server refuses longer ones.
	settingsMost = 100

	headerTableSize, enablePush, initialWindowSize, maxFrameSize, enableConnect = 0x1, 0x2, 0x4, 0x5, 0x8
)

// settingsFilter takes the bytes of frames as a scanner parts them. It holds a head until it is complete, and a frame of settings until it is.
type settingsFilter struct {
	held []byte
	left int // bytes of the payload that is held which are still to come
}

// pass appends to out what may go on. piece is what the scanner has taken, f the frame whose head it completes; within says that it ended within a head.
func (s *settingsFilter) pass(out, piece []byte, f frame, complete, within bool) []byte {
	switch {
	case within:
		s.held = append(s.held, piece...)
		return out
	case complete:
		s.held = append(s.held, piece...)
		if f.kind == typeSettings && f.flags&flagAck == 0 && f.length > settingLen && f.length <= settingLen*settingsMost && f.length%settingLen == 0 {
			s.left = f.length
			return out
		}
	case s.left > 0:
		s.held = append(s.held, piece...)
		if s.left -= len(piece); s.left > 0 {
			return out
		}
		s.held = withoutRepeats(s.held)
	default:
		return append(out, piece...)
	}
	out = append(out, s.held...)
	s.held = s.held[:0]
	return out
}

// withoutRepeats leaves of each setting of a frame the last one, in place. A frame with a value that is not allowed stays as it is: it is to be refused. So does
// one that changes the size of the header table twice, because its smallest value matters too (RFC 7541, section 4.2).
func withoutRepeats(frame []byte) []byte {
	settings := frame[headLen:]
	kept := settings[:0:0]
	for i := 0; i < len(settings); i += settingLen {
		id := binary.BigEndian.Uint16(settings[i:])
		if !allowed(id, binary.BigEndian.Uint32(settings[i+2:])) {
			return frame
		}
		switch again := namedBehind(settings[i+settingLen:], id); {
		case again && id == headerTableSize:
			return frame
		case !again:
			kept = append(kept, settings[i:i+settingLen]...)
		}
	}
	frame = append(frame[:headLen], kept...)
	frame[0], frame[1], frame[2] = byte(len(kept)>>16), byte(len(kept)>>8), byte(len(kept))
	return frame
}

func namedBehind(settings []byte, id uint16) bool {
	for ; len(settings) > 0; settings = settings[settingLen:] {
		if binary.BigEndian.Uint16(settings) == id {
			return true
		}
	}
	return false
}

// allowed reports whether a setting may have the value (RFC 9113, section 6.5.2, and 8441, section 3).
func allowed(id uint16, value uint32) bool {
	switch id {
	case enablePush, enableConnect:
		return value <= 1
	case initialWindowSize:
		return value <= 1<<31-1
	case maxFrameSize:
		return value >= 1<<14 && value <= 1<<24-1
	}
	return true
}
