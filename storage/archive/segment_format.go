package archive

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// Layout of a segment: log entries that follow one another, as they were committed. All integers little-endian.
//
//	prefix, 16 bytes
//	  0   magic    8 bytes "HFSEGMNT"
//	  8   version  u32, 1
//	  12  zero     u32
//	blocks: the head of the segment, then entries and marks
//	  0   marker   u32, so that what follows a damaged block can be found
//	  4   kind     u8, from kindSkip on a reader may skip what it does not know
//	  5   zero     3 bytes
//	  8   size     u32, of the content, at most maxBlock
//	  12  crc      u32, CRC-32C of the 12 bytes before it and of the content
//	  16  content
//	content of an entry
//	  0   index    u64
//	  8   term     u64
//	  16  command  u8, 1: data is a command of the state; 0: the entry only counts, no data
//	  17  data
//	content of a mark, 80 bytes and the name of a node
//	  0   index    u64, of the last entry that is behind it
//	  8   term     u64, of that entry
//	  16  group    i64, replicated time as of index, Unix milliseconds
//	  24  proven   i64, Unix milliseconds by the clock of the node; 0: nothing is proven
//	  32  digest   16 bytes, of the state as of index; all zero: not known
//	  48  hash     SHA-256 of all bytes of the segment before this block
//	  80  node     text
//
// A segment may end behind any block. One that is followed by another has the SHA-256 of all its bytes in the head of that.
const (
	segmentMagic   = "HFSEGMNT"
	segmentVersion = 1

	blockHeadSize = 16
	blockMarker   = 0x4b4c4248 // "HBLK"
	entryFixed    = 17
	markFixed     = 48 + sha256.Size

	blockHead  = 1
	blockEntry = 2
	blockMark  = 3

	// maxBlock bounds the memory of a reader: an entry of the state has at most 4 MiB.
	maxBlock = 5 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// SegmentHead says what a segment follows.
type SegmentHead struct {
	GroupID   string `json:"groupId"`
	GroupName string `json:"groupName"`
	// Epoch is the group's epoch, at least 1.
	Epoch uint32 `json:"epoch"`
	// After is the last log entry before the segment, AfterTerm its term.
	After     uint64 `json:"after"`
	AfterTerm uint64 `json:"afterTerm"`
	// Previous is the SHA-256 of the segment before this one, 64 hexadecimal digits; empty when this one follows a whole state.
	Previous string `json:"previous,omitempty"`
	// Created is when the segment was begun, by the clock of its writer.
	Created time.Time `json:"created"`
}

func (h *SegmentHead) check() error {
	switch {
	case h.GroupID == "" || !plainText(h.GroupID):
		return errors.New("it names no group")
	case !plainName(h.GroupName):
		return errors.New("the group's name has characters that no group's name has")
	case h.Epoch == 0 || h.After == 0 || h.AfterTerm == 0:
		return errors.New("epoch, index and term begin at 1")
	case h.Previous != "" && (len(h.Previous) != 2*sha256.Size || !plainName(h.Previous[1:])):
		return errors.New("the hash of the segment before is none")
	case !plainTime(h.Created):
		return errors.New("a time is out of range")
	}
	return nil
}

// SegmentExt is how the names of segments end.
const SegmentExt = ".hfs"

// Name is the file name of a segment: GROUP-EPOCH-INDEX.hfs with the index of its first entry.
func (h SegmentHead) Name() string {
	return fmt.Sprintf("%s-%d-%d%s", h.GroupName, h.Epoch, h.After+1, SegmentExt)
}

// LogEntry is a committed log entry.
type LogEntry struct {
	Index, Term uint64
	// Command tells that Data is a command of the state; otherwise there is no data and the entry only counts.
	Command bool
	Data    []byte
}

// Mark closes what comes before it: with it the bytes of the segment are proven to be those that were written.
type Mark struct {
	// Index and Term are those of the last entry before it.
	Index, Term uint64
	GroupTime   time.Time // replicated time as of Index
	// Proven, by the clock of Node: everything that was acknowledged anywhere in the group before that time is at or before Index. Zero: not known.
	Proven time.Time
	Digest [16]byte // of the state as of Index; zero: not known
	Node   string
}

func plainText(s string) bool {
	for _, r := range s {
		if r < ' ' || r > '~' {
			return false
		}
	}
	return len(s) <= maxText
}

func (h *SegmentHead) encode() ([]byte, error) {
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("segment head: %w", err)
	}
	return json.Marshal(h)
}

func decodeSegmentHead(b []byte) (SegmentHead, error) {
	var h SegmentHead
	if err := json.Unmarshal(b, &h); err != nil {
		return SegmentHead{}, fmt.Errorf("%w: its head cannot be read: %w", ErrDamaged, err)
	}
	if err := h.check(); err != nil {
		return SegmentHead{}, fmt.Errorf("%w: its head is not possible: %w", ErrDamaged, err)
	}
	return h, nil
}

// encode gives the content of a mark; hash is that of all bytes before its block.
func (m *Mark) encode(hash []byte) ([]byte, error) {
	if !plainText(m.Node) {
		return nil, errors.New("mark: the node's name is none")
	}
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, markFixed+len(m.Node)), m.Index)
	b = binary.LittleEndian.AppendUint64(b, m.Term)
	b = appendMillis(appendMillis(b, m.GroupTime), m.Proven)
	b = append(append(b, m.Digest[:]...), hash...)
	return append(b, m.Node...), nil
}

func appendMillis(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return binary.LittleEndian.AppendUint64(b, 0)
	}
	return binary.LittleEndian.AppendUint64(b, uint64(t.UnixMilli()))
}

func millis(b []byte) (time.Time, bool) {
	ms := int64(binary.LittleEndian.Uint64(b))
	if ms == 0 {
		return time.Time{}, true
	}
	t := time.UnixMilli(ms).UTC()
	return t, ms > 0 && ms < 1<<47 && plainTime(t)
}

// decodeMark also gives the hash that the mark has.
func decodeMark(b []byte) (m Mark, hash []byte, ok bool) {
	if len(b) < markFixed {
		return Mark{}, nil, false
	}
	m = Mark{Index: binary.LittleEndian.Uint64(b), Term: binary.LittleEndian.Uint64(b[8:]), Digest: [16]byte(b[32:48]), Node: string(b[markFixed:])}
	var group, proven bool
	m.GroupTime, group = millis(b[16:])
	m.Proven, proven = millis(b[24:])
	return m, b[48:markFixed], group && proven && plainText(m.Node)
}

func decodeEntry(b []byte) (LogEntry, bool) {
	if len(b) < entryFixed || b[16] > 1 || b[16] == 0 && len(b) > entryFixed {
		return LogEntry{}, false
	}
	return LogEntry{Index: binary.LittleEndian.Uint64(b), Term: binary.LittleEndian.Uint64(b[8:]), Command: b[16] == 1, Data: b[entryFixed:]}, true
}

// appendBlock frames a content.
func appendBlock(b []byte, kind byte, content ...[]byte) []byte {
	size := 0
	for _, c := range content {
		size += len(c)
	}
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, blockMarker)
	b = append(b, kind, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(size))
	crc := crc32.Checksum(b[start:], castagnoli)
	for _, c := range content {
		crc = crc32.Update(crc, castagnoli, c)
	}
	b = binary.LittleEndian.AppendUint32(b, crc)
	for _, c := range content {
		b = append(b, c...)
	}
	return b
}
