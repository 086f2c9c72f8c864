package fsm

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"
)

// SessionOpSize is the size of one encoded SessionOp in bytes: kind 1, reason 1 (its upper half is zero), module 2, key 16, instance 4, and expect
// or, with OpMoveAt, version 4.
const SessionOpSize = 28

// EncodeSessions makes one entry of ops. now is the leader's clock; precision: 1 ms. The caller keeps batches below
// MaxEntrySize (about 149,000 operations).
func EncodeSessions(now time.Time, ops []SessionOp) []byte {
	b := make([]byte, headerSize, headerSize+len(ops)*SessionOpSize)
	for i := range ops {
		b = AppendSessionOp(b, ops[i])
	}
	seal(b, kindSessions, now.UnixMilli())
	return b
}

// AppendSessionOp appends op's SessionOpSize bytes to b.
func AppendSessionOp(b []byte, op SessionOp) []byte {
	if op.Reason > maxReason {
		op.Reason = ReasonUnknown
	}
	b = append(b, byte(op.Kind), byte(op.Reason))
	b = binary.LittleEndian.AppendUint16(b, uint16(op.Module))
	b = append(b, op.Key[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(op.Instance))
	if op.Kind == OpMoveAt {
		return binary.LittleEndian.AppendUint32(b, op.Version)
	}
	return binary.LittleEndian.AppendUint32(b, uint32(op.Expect))
}

// ParseSessionOp reads the first SessionOpSize bytes of b. ok is false when there are fewer, or when the bits that must be
// zero are not: then a newer version has given them a meaning that this one does not know.
func ParseSessionOp(b []byte) (op SessionOp, ok bool) {
	if len(b) < SessionOpSize || b[1] > maxReason {
		return SessionOp{}, false
	}
	op.Kind, op.Reason, op.Module = OpKind(b[0]), Reason(b[1]), ModuleID(binary.LittleEndian.Uint16(b[2:]))
	op.Key = Key(b[4:20])
	op.Instance = InstanceID(binary.LittleEndian.Uint32(b[20:]))
	if last := binary.LittleEndian.Uint32(b[24:]); op.Kind == OpMoveAt {
		op.Version = last
	} else {
		op.Expect = InstanceID(last)
	}
	return op, true
}

// Encode makes one entry of a rare command: a header and the command as JSON. now is the leader's clock; precision: 1 ms.
func Encode(now time.Time, c Command) ([]byte, error) {
	if set, ok := c.(*ConfigSet); ok {
		// One path for both. The kind of an older version's ConfigSet stays readable, and does what it did there.
		c = &ConfigChange{RequestID: set.RequestID, Expect: set.Expect, Actor: set.Actor, Message: set.Message, Config: set.Config}
	}
	if change, ok := c.(*ConfigChange); ok && change.Config == nil {
		return nil, fmt.Errorf("encode command: configuration is missing")
	}
	payload, err := payloadOf(c)
	if err != nil {
		return nil, fmt.Errorf("encode command: %w", err)
	}
	if len(payload)+headerSize > MaxEntrySize {
		return nil, fmt.Errorf("encode command: %d bytes, at most %d fit into an entry", len(payload)+headerSize, MaxEntrySize)
	}
	b := make([]byte, headerSize, headerSize+len(payload))
	b = append(b, payload...)
	seal(b, c.kind(), now.UnixMilli())
	return b, nil
}

// payloadOf is the command without its header.
func payloadOf(c Command) ([]byte, error) {
	if p, ok := c.(packed); ok {
		return p.pack(nil), nil
	}
	return json.Marshal(c)
}

// newCommand is an empty command of a known kind, to be read into.
func newCommand(k kind) Command {
	switch k {
	case kindGroupInit:
		return new(GroupInit)
	case kindConfigSet:
		return &configEntry{old: true}
	case kindConfigChange:
		return new(configEntry)
	case kindTokenPut:
		return new(TokenPut)
	case kindTokenUse:
		return new(TokenUse)
	case kindTokenDrop:
		return new(TokenDrop)
	case kindExpire:
		return new(Expire)
	case kindQuiesceSet:
		return new(QuiesceSet)
	case kindQuiesceEnd:
		return new(QuiesceEnd)
	case kindLockSet:
		return new(LockSet)
	case kindLockClear:
		return new(LockClear)
	case kindVerdictSet:
		return new(VerdictSet)
	case kindInstanceRegister:
		return new(registerEntry)
	case kindInstanceDrop:
		return new(InstanceDrop)
	case kindScheduleSet:
		return new(scheduleEntry)
	case kindScheduleDrop:
		return new(ScheduleDrop)
	case kindWorkflowSet:
		return new(WorkflowSet)
	case kindSharesSet:
		return new(SharesSet)
	case kindHolderSet:
		return new(HolderSet)
	case kindEvacuationSet:
		return new(EvacuationSet)
	case kindEvacuationClear:
		return new(EvacuationClear)
	case kindBackupBegin:
		return new(BackupBegin)
	case kindBackupEnd:
		return new(BackupEnd)
	case kindRestoreBegin:
		return new(RestoreBegin)
	case kindRestorePart:
		return new(RestorePart)
	case kindRestoreCommit:
		return new(RestoreCommit)
	case kindRestoreDrop:
		return new(RestoreDrop)
	case kindQuarantineNote:
		return new(QuarantineNote)
	case kindCertificatePut:
		return new(CertificatePut)
	case kindCertificateDrop:
		return new(CertificateDrop)
	case kindTicketKeyPut:
		return new(TicketKeyPut)
	case kindNodeRevoke:
		return new(NodeRevoke)
	case kindSchemaRaise:
		return new(SchemaRaise)
	case kindCheckpoint:
		return new(Checkpoint)
	}
	if c := newKeptCommand(k); c != nil {
		return c
	}
	if c := newACMECommand(k); c != nil {
		return c
	}
	if c := newLaterCommand(k); c != nil {
		return c
	}
	panic(fmt.Sprintf("BUG: parse command of kind %d", k))
}

// newKeptCommand is newCommand for what a group keeps beside its configuration: access, the store, files, and what a hard time-out has ended; nil for other kinds.
func newKeptCommand(k kind) Command {
	switch k {
	case kindRoleSet:
		return new(RoleSet)
	case kindUserGroupSet:
		return new(UserGroupSet)
	case kindUserSet:
		return new(UserSet)
	case kindIssuerSet:
		return new(IssuerSet)
	case kindStorePut:
		return new(StorePut)
	case kindStoreSplice:
		return new(StoreSplice)
	case kindStoreDelete:
		return new(StoreDelete)
	case kindStoreSweep:
		return new(StoreSweep)
	case kindStoreClear:
		return new(StoreClear)
	case kindStoreCopy:
		return new(StoreCopy)
	case kindStoreHolders:
		return new(StoreHolders)
	case kindEndedNote:
		return new(EndedNote)
	case kindFilePart:
		return new(FilePart)
	case kindFileDrop:
		return new(FileDrop)
	}
	return nil
}

// parseCommand reads the payload of a rare command. Unknown fields are ignored on purpose (see doc.go, compatibility).
func parseCommand(e entry) (Command, error) {
	c := newCommand(e.kind)
	if p, ok := c.(packed); ok {
		if err := unpackCommand(p, e.payload); err != nil {
			return nil, fmt.Errorf("%w: kind %d: %w", ErrEntryDamaged, e.kind, err)
		}
		return c, nil
	}
	if err := json.Unmarshal(e.payload, c); err != nil {
		return nil, fmt.Errorf("%w: kind %d: %w", ErrEntryDamaged, e.kind, err)
	}
	var err error
	switch c := c.(type) {
	case *configEntry:
		if c.old {
			// The other fields are those of a newer version, which that one ignored.
			*c = configEntry{RequestID: c.RequestID, Expect: c.Expect, Actor: c.Actor, Message: c.Message, Config: c.Config, old: true}
		}
		if c.parsed, err = parseConfig(c.Config); err != nil {
			err = fmt.Errorf("configuration: %w", err)
		}
	case *GroupInit:
		if c.Schema > Schema {
			return nil, newerSchema(ErrEntryUnknown, c.Schema)
		}
	case *SchemaRaise:
		if c.To > Schema {
			return nil, newerSchema(ErrEntryUnknown, c.To)
		}
	case *registerEntry:
		c.parsed, err = parseInstance(c.Instance)
	case *scheduleEntry:
		err = c.parse()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: kind %d: %w", ErrEntryDamaged, e.kind, err)
	}
	return c, nil
}

// requester is a command that is recognised when it is sent again.
type requester interface{ request() RequestID }

func (c *GroupInit) request() RequestID       { return c.RequestID }
func (c *configEntry) request() RequestID     { return c.RequestID }
func (c *TokenPut) request() RequestID        { return c.RequestID }
func (c *TokenUse) request() RequestID        { return c.RequestID }
func (c *TokenDrop) request() RequestID       { return c.RequestID }
func (c *QuiesceSet) request() RequestID      { return c.RequestID }
func (c *LockSet) request() RequestID         { return c.RequestID }
func (c *LockClear) request() RequestID       { return c.RequestID }
func (c *registerEntry) request() RequestID   { return c.RequestID }
func (c *scheduleEntry) request() RequestID   { return c.RequestID }
func (c *ScheduleDrop) request() RequestID    { return c.RequestID }
func (c *WorkflowSet) request() RequestID     { return c.RequestID }
func (c *EvacuationSet) request() RequestID   { return c.RequestID }
func (c *EvacuationClear) request() RequestID { return c.RequestID }
func (c *RestoreBegin) request() RequestID    { return c.RequestID }
func (c *RestoreCommit) request() RequestID   { return c.RequestID }
