package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"time"
)

// Layout of an entry; all integers little-endian.
//
//	0   format   1 byte, formatV1
//	1   kind     1 byte, top bit: a node that does not know the kind ignores the entry
//	2   crc      4 bytes, CRC-32C over everything but these four
//	6   time     8 bytes, signed, Unix milliseconds of the leader that proposed it
//	14  payload
const (
	formatV1   = 1
	headerSize = 14

	// MaxEntrySize bounds one entry in bytes. Encode refuses to build a larger one and Apply to read one.
	MaxEntrySize = 4 << 20
)

// The reasons for which Apply stops a node. The state is as it was before the entry.
var (
	// ErrEntryDamaged means that the bytes are not what was proposed, or were never an entry.
	ErrEntryDamaged = errors.New("damaged entry")
	// ErrEntryUnknown means that the entry is of a newer version and must not be ignored: the program has to be upgraded.
	ErrEntryUnknown = errors.New("entry of a newer version")
	// ErrEntryOrder means that an entry's index is not after the last applied one.
	ErrEntryOrder = errors.New("entry out of order")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// kind numbers are append-only: they are on disk.
type kind uint8

const (
	kindSessions  kind = 1
	kindGroupInit kind = 2
	kindConfigSet kind = 3
	kindTokenPut  kind = 4
	kindTokenUse  kind = 5
	kindTokenDrop kind = 6
	kindExpire    kind = 7
	// 8 is the checkpoint's without its top bit.
	kindConfigChange     kind = 9
	kindQuiesceSet       kind = 10
	kindQuiesceEnd       kind = 11
	kindLockSet          kind = 12
	kindLockClear        kind = 13
	kindVerdictSet       kind = 14
	kindInstanceRegister kind = 15
	kindInstanceDrop     kind = 16
	kindScheduleSet      kind = 17
	kindScheduleDrop     kind = 18
	kindWorkflowSet      kind = 19
	kindSharesSet        kind = 20
	// A checkpoint changes nothing but the replicated time, so a node that does not know it may ignore it.
	kindCheckpoint kind = kindIgnorable | 8

	kindIgnorable kind = 0x80
)

// known tells whether this version applies entries of the kind.
func (k kind) known() bool {
	return k >= kindSessions && k <= kindExpire || k >= kindConfigChange && k <= kindSharesSet || k == kindCheckpoint
}

// maxNow is the last replicated time: the end of Assignment.Seen, in the year 2161. A leader with an absurd clock
// cannot push the state beyond what its fields can hold.
const maxNow = (SeenEpoch + math.MaxUint32) * 1000

// entry is a parsed one; payload shares the bytes it was parsed from.
type entry struct {
	kind    kind
	time    int64
	payload []byte
}

// seal writes the header into the first headerSize bytes of b, whose payload is complete.
func seal(b []byte, k kind, ms int64) {
	b[0], b[1] = formatV1, byte(k)
	binary.LittleEndian.PutUint64(b[6:], uint64(ms))
	binary.LittleEndian.PutUint32(b[2:], entryCRC(b))
}

func entryCRC(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:2], castagnoli), castagnoli, b[6:])
}

// parseEntry checks frame and CRC. It accepts unknown kinds: the caller decides.
func parseEntry(b []byte) (entry, error) {
	if len(b) < headerSize || len(b) > MaxEntrySize {
		return entry{}, fmt.Errorf("%w: %d bytes, want %d to %d", ErrEntryDamaged, len(b), headerSize, MaxEntrySize)
	}
	if want, got := binary.LittleEndian.Uint32(b[2:]), entryCRC(b); want != got {
		return entry{}, fmt.Errorf("%w: CRC-32C is %08x, the entry says %08x", ErrEntryDamaged, got, want)
	}
	// The CRC comes first: a flipped format byte is damage, not a newer version.
	if b[0] != formatV1 {
		return entry{}, fmt.Errorf("%w: format %d, this program reads %d", ErrEntryUnknown, b[0], formatV1)
	}
	e := entry{kind: kind(b[1]), time: int64(binary.LittleEndian.Uint64(b[6:])), payload: b[headerSize:]}
	if !e.kind.known() && e.kind&kindIgnorable == 0 {
		return entry{}, fmt.Errorf("%w: kind %d", ErrEntryUnknown, e.kind)
	}
	return e, nil
}

// Stamp sets an encoded entry's time and CRC anew, in place: the leader does it with what a follower encoded and
// forwarded, since the leader's clock alone makes replicated time. A damaged or unknown entry is refused unchanged.
func Stamp(b []byte, now time.Time) error {
	e, err := parseEntry(b)
	if err != nil {
		return fmt.Errorf("stamp entry: %w", err)
	}
	seal(b, e.kind, now.UnixMilli())
	return nil
}
