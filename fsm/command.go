package fsm

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// SessionOpSize is the size of one encoded SessionOp in bytes: kind 1, zero 3, key 16, instance 4, expect 4.
const SessionOpSize = 28

func (*GroupInit) kind() kind  { return kindGroupInit }
func (*ConfigSet) kind() kind  { return kindConfigSet }
func (*TokenPut) kind() kind   { return kindTokenPut }
func (*TokenUse) kind() kind   { return kindTokenUse }
func (*TokenDrop) kind() kind  { return kindTokenDrop }
func (*Expire) kind() kind     { return kindExpire }
func (*Checkpoint) kind() kind { return kindCheckpoint }

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
	b = append(b, byte(op.Kind), 0, 0, 0)
	b = append(b, op.Key[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(op.Instance))
	return binary.LittleEndian.AppendUint32(b, uint32(op.Expect))
}

// ParseSessionOp reads the first SessionOpSize bytes of b. ok is false when there are fewer, or when the bytes that must be
// zero are not: then a newer version has given them a meaning that this one does not know.
func ParseSessionOp(b []byte) (op SessionOp, ok bool) {
	if len(b) < SessionOpSize || b[1]|b[2]|b[3] != 0 {
		return SessionOp{}, false
	}
	op.Kind = OpKind(b[0])
	op.Key = Key(b[4:20])
	op.Instance = InstanceID(binary.LittleEndian.Uint32(b[20:]))
	op.Expect = InstanceID(binary.LittleEndian.Uint32(b[24:]))
	return op, true
}

// Encode makes one entry of a rare command: a header and the command as JSON. now is the leader's clock; precision: 1 ms.
func Encode(now time.Time, c Command) ([]byte, error) {
	if set, ok := c.(*ConfigSet); ok && set.Config == nil {
		return nil, fmt.Errorf("encode command: configuration is missing")
	}
	payload, err := json.Marshal(c)
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

// configSetEntry is a ConfigSet as it is read back. The configuration stays as the bytes that were proposed: they are what
// is hashed and written into snapshots, so that a node that does not know a newer field does not drop it and diverge.
type configSetEntry struct {
	RequestID RequestID       `json:"requestId"`
	Expect    uint64          `json:"expect"`
	Actor     string          `json:"actor"`
	Message   string          `json:"message,omitempty"`
	Config    json.RawMessage `json:"config"`

	parsed *config.Config // nil when there is none
}

func (*configSetEntry) kind() kind { return kindConfigSet }

// parseCommand reads the payload of a rare command. Unknown fields are ignored on purpose (see doc.go, compatibility).
func parseCommand(e entry) (Command, error) {
	var c Command
	switch e.kind {
	case kindGroupInit:
		c = new(GroupInit)
	case kindConfigSet:
		c = new(configSetEntry)
	case kindTokenPut:
		c = new(TokenPut)
	case kindTokenUse:
		c = new(TokenUse)
	case kindTokenDrop:
		c = new(TokenDrop)
	case kindExpire:
		c = new(Expire)
	case kindCheckpoint:
		c = new(Checkpoint)
	default:
		panic(fmt.Sprintf("BUG: parse command of kind %d", e.kind))
	}
	if err := json.Unmarshal(e.payload, c); err != nil {
		return nil, fmt.Errorf("%w: kind %d: %w", ErrEntryDamaged, e.kind, err)
	}
	if set, ok := c.(*configSetEntry); ok {
		var err error
		if set.parsed, err = parseConfig(set.Config); err != nil {
			return nil, fmt.Errorf("%w: kind %d: configuration: %w", ErrEntryDamaged, e.kind, err)
		}
	}
	return c, nil
}

// requester is a command that is recognised when it is sent again.
type requester interface{ request() RequestID }

func (c *GroupInit) request() RequestID      { return c.RequestID }
func (c *configSetEntry) request() RequestID { return c.RequestID }
func (c *TokenPut) request() RequestID       { return c.RequestID }
func (c *TokenUse) request() RequestID       { return c.RequestID }
func (c *TokenDrop) request() RequestID      { return c.RequestID }
