//go:build !wasip1

package storage

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/hashicorp/raft"
)

// The envelope goes in front of an entry's own Extensions in the stored copy:
//
//	format byte (1) | crc32c u32 LE | crc32c of the predecessor u32 LE | the caller's extensions
//
// The checksum covers everything that raft gets back. The predecessor's (0 when index-1 is not in the log) makes the log a
// chain, so that an old copy of a page, valid in itself, does not fit between its neighbours.
const (
	envelopeFormat = 1
	envelopeSize   = 1 + 4 + 4
)

// entrySum is the CRC32C of an entry as the caller gave it and of its predecessor's sum. Lengths are part of it: bytes
// cannot move from Data to Extensions unnoticed. Of AppendedAt it takes the instant; the zone is not kept for certain.
func entrySum(l *raft.Log, ext []byte, prev uint32) uint32 {
	var head [50]byte
	head[0] = envelopeFormat
	head[1] = byte(l.Type)
	binary.LittleEndian.PutUint32(head[2:], prev)
	binary.LittleEndian.PutUint64(head[6:], l.Index)
	binary.LittleEndian.PutUint64(head[14:], l.Term)
	binary.LittleEndian.PutUint64(head[22:], uint64(l.AppendedAt.Unix()))
	binary.LittleEndian.PutUint32(head[30:], uint32(l.AppendedAt.Nanosecond()))
	binary.LittleEndian.PutUint64(head[34:], uint64(len(l.Data)))
	binary.LittleEndian.PutUint64(head[42:], uint64(len(ext)))
	sum := crc32.Update(0, castagnoli, head[:])
	sum = crc32.Update(sum, castagnoli, l.Data)
	return crc32.Update(sum, castagnoli, ext)
}

// wrapEntry makes the copy of src that is stored and gives its sum. src stays as it is: raft goes on using it.
func wrapEntry(dst, src *raft.Log, prev uint32) uint32 {
	sum := entrySum(src, src.Extensions, prev)
	ext := make([]byte, envelopeSize, envelopeSize+len(src.Extensions))
	ext[0] = envelopeFormat
	binary.LittleEndian.PutUint32(ext[1:], sum)
	binary.LittleEndian.PutUint32(ext[5:], prev)
	*dst = *src
	dst.Extensions = append(ext, src.Extensions...)
	return sum
}

// unwrapEntry checks an entry that was read for index and takes the envelope off. It gives the entry's sum and its
// predecessor's; reason is "" when all fits. On a mismatch l must not be used.
func unwrapEntry(l *raft.Log, index uint64) (sum, prev uint32, reason string) {
	ext := l.Extensions
	switch {
	case len(ext) < envelopeSize:
		return 0, 0, "it has no checksum"
	case ext[0] != envelopeFormat:
		return 0, 0, "its envelope has an unknown format"
	case l.Index != index:
		return 0, 0, "it says that it is another entry"
	}
	sum = binary.LittleEndian.Uint32(ext[1:])
	prev = binary.LittleEndian.Uint32(ext[5:])
	ext = ext[envelopeSize:]
	if entrySum(l, ext, prev) != sum {
		return 0, 0, "checksum mismatch"
	}
	l.Extensions = nil
	if len(ext) > 0 {
		l.Extensions = ext
	}
	return sum, prev, ""
}
