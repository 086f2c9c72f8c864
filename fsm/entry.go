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
	kindHolderSet        kind = 21
	kindEvacuationSet    kind = 22
	kindEvacuationClear  kind = 23
	kindBackupBegin      kind = 24
	kindBackupEnd        kind = 25
	kindRestoreBegin     kind = 26
	kindRestorePart      kind = 27
	kindRestoreCommit    kind = 28
	kindRestoreDrop      kind = 29
	kindQuarantineNote   kind = 30
	kindCertificatePut   kind = 33
	kindCertificateDrop  kind = 34
	kindTicketKeyPut     kind = 35
	kindNodeRevoke       kind = 39
	kindSchemaRaise      kind = 40
	kindRoleSet          kind = 44
	kindUserGroupSet     kind = 45
	kindUserSet          kind = 46
	kindIssuerSet        kind = 47
	kindStorePut         kind = 48
	kindStoreSplice      kind = 49
	kindStoreDelete      kind = 50
	kindStoreSweep       kind = 51
	kindStoreClear       kind = 52
	kindEndedNote        kind = 54
	kindFilePart         kind = 55
	kindFileDrop         kind = 56
	kindACMEStore        kind = 57
	kindACMEDelete       kind = 58
	kindACMELockSet      kind = 59
	kindACMENote         kind = 60
	kindACMERenew        kind = 61
	kindStoreCopy        kind = 62
	kindStoreHolders     kind = 63
	// A checkpoint changes nothing but the replicated time, so a node that does not know it may ignore it.
	kindCheckpoint kind = kindIgnorable | 8

	kindIgnorable kind = 0x80
)

// known tells whether this version applies entries of the kind.
func (k kind) known() bool {
	return k >= kindSessions && k <= kindExpire || k >= kindConfigChange && k <= kindQuarantineNote || k >= kindCertificatePut && k <= kindTicketKeyPut ||
		k >= kindNodeRevoke && k <= lastKind || k >= kindRoleSet && k <= kindStoreClear || k >= kindEndedNote && k <= kindStoreHolders || k == kindCheckpoint
}

// schema is the one that brought the kind; those of BaseSchema and before count alike.
func (k kind) schema() int {
	if k <= kindSchemaRaise || k >= kindRoleSet && k <= kindStoreHolders || k&kindIgnorable != 0 {
		return BaseSchema
	}
	return k.laterSchema()
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

// Check tells whether Apply can read an entry: its error is the one with which Apply would stop a node, whatever the state, but for the order of entries.
func Check(b []byte) error {
	e, err := parseEntry(b)
	switch {
	case err != nil:
	case e.kind == kindSessions && len(e.payload)%SessionOpSize != 0:
		err = fmt.Errorf("%w: %d bytes of session operations of %d", ErrEntryDamaged, len(e.payload), SessionOpSize)
	case e.kind != kindSessions && e.kind.known():
		_, err = parseCommand(e)
	}
	if err != nil {
		return fmt.Errorf("check entry: %w", err)
	}
	return nil
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

// EntryOps are the session operations of an entry and its time; none for an entry of another kind. The error is that of Apply.
func EntryOps(b []byte) (ops []SessionOp, now time.Time, err error) {
	e, err := parseEntry(b)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("read entry: %w", err)
	}
	if e.kind == kindSessions {
		for p := e.payload; len(p) >= SessionOpSize; p = p[SessionOpSize:] {
			op, ok := ParseSessionOp(p)
			if !ok {
				return nil, time.Time{}, fmt.Errorf("read entry: %w: a session operation", ErrEntryUnknown)
			}
			ops = append(ops, op)
		}
	}
	return ops, millis(min(e.time, maxNow)), nil
}

// EntryTime is the time that an entry would move replicated time to. The error is that of Apply.
func EntryTime(b []byte) (time.Time, error) {
	e, err := parseEntry(b)
	if err != nil {
		return time.Time{}, fmt.Errorf("read entry: %w", err)
	}
	return millis(min(e.time, maxNow)), nil
}
