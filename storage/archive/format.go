package archive

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

// Layout of an archive; all integers little-endian.
//
//	prefix, 16 bytes
//	  0   magic    8 bytes "HFBACKUP"
//	  8   version  u32, 1
//	  12  zero     u32
//	sections: the header, any number of state sections, the end
//	  0   kind     u8, from kindSkip on a reader may skip what it does not know
//	  1   codec    u8, codecRaw or codecZstd
//	  2   zero     u16
//	  4   number   u32, of the section, from 0
//	  8   raw      u32, size of the content, at most maxSection
//	  12  stored   u32, size of what follows the hash, at most raw
//	  16  hash     SHA-256 of the 16 bytes before it and of what follows it
//	  48  content
//	content of the end, 48 bytes
//	  0   state    u64, how many bytes the state has
//	  8   sections u32, how many come before the end
//	  12  zero     u32
//	  16  hash     SHA-256 of all bytes before the end's section
//	then the end of the file
const (
	magic   = "HFBACKUP"
	version = 1

	prefixSize      = 16
	sectionHeadSize = 16
	endSize         = 16 + sha256.Size

	kindHeader = 1
	kindState  = 2
	kindEnd    = 3
	kindSkip   = 0x80

	codecRaw  = 0
	codecZstd = 1

	// maxSection bounds what one section unpacks to, hence the memory of a reader; a writer fills sections up to it.
	maxSection = 1 << 20
)

// The reasons for which an archive is refused.
var (
	// ErrDamaged means that the bytes are not a whole archive as it was written.
	ErrDamaged = errors.New("damaged archive")
	// ErrMark is an ErrDamaged that a mark has found: the blocks before it can be read, and are not those that it was written behind.
	ErrMark = errors.New("wrong hash of what comes before the mark")
	// ErrNewer means that the archive is of a newer version: the program has to be upgraded.
	ErrNewer = errors.New("archive of a newer version")
)

// sectionHead is the fixed part of a section.
type sectionHead struct {
	kind, codec         byte
	number, raw, stored uint32
}

func (s sectionHead) encode() [sectionHeadSize]byte {
	var b [sectionHeadSize]byte
	b[0], b[1] = s.kind, s.codec
	binary.LittleEndian.PutUint32(b[4:], s.number)
	binary.LittleEndian.PutUint32(b[8:], s.raw)
	binary.LittleEndian.PutUint32(b[12:], s.stored)
	return b
}

func decodeSectionHead(b []byte) sectionHead {
	return sectionHead{
		kind: b[0], codec: b[1], number: binary.LittleEndian.Uint32(b[4:]), raw: binary.LittleEndian.Uint32(b[8:]), stored: binary.LittleEndian.Uint32(b[12:]),
	}
}

func sectionHash(head, stored []byte) []byte {
	h := sha256.New()
	h.Write(head)
	h.Write(stored)
	return h.Sum(nil)
}
