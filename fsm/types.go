package fsm

import (
	"encoding/hex"
	"fmt"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// Key identifies one session in one module of one cluster. It is a keyed hash: the application's own session id
// cannot be computed back from it.
type Key [16]byte

// String gives the key as 32 hexadecimal digits, the form that operators see.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

// ParseKey reads the form that String gives.
func ParseKey(s string) (Key, error) {
	var k Key
	if err := k.UnmarshalText([]byte(s)); err != nil {
		return Key{}, err
	}
	return k, nil
}

// MarshalText gives the key as String does.
func (k Key) MarshalText() ([]byte, error) { return hex16(k[:]), nil }

// UnmarshalText reads the key as ParseKey does.
func (k *Key) UnmarshalText(b []byte) error { return unhex16("session key", k[:], b) }

// InstanceID stands for one (cluster, instance name) pair of this group for ever, whatever its address. 0 means none.
type InstanceID uint32

// InstanceRef names the instance behind an InstanceID.
type InstanceRef struct {
	Cluster  string `json:"cluster"`
	Instance string `json:"instance"`
}

// Assignment is one replicated record: where the requests of a session go.
type Assignment struct {
	Instance InstanceID
	// Seen is the coarse replicated time at which the session was last known to be in use, in seconds since SeenEpoch.
	Seen uint32
	// Module is where the session was recorded, 0 when that is not known.
	Module ModuleID
	// Reason and Index are those of the last decision about where it goes; 0 when they are not known.
	Reason Reason
	Index  uint64
}

// SeenEpoch is the zero of Assignment.Seen: 2025-01-01 00:00:00 UTC, in Unix seconds.
const SeenEpoch = 1735689600

// SeenAt gives Seen as a time.
func (a Assignment) SeenAt() time.Time { return time.Unix(SeenEpoch+int64(a.Seen), 0).UTC() }

// Entry is an assignment with its key, as Scan returns it.
type Entry struct {
	Key Key
	Assignment
}

// OpKind is the kind of one session operation. Numbers are append-only: they are on disk.
type OpKind uint8

// The session operations.
const (
	// OpAssign records Instance for Key when the key has none; otherwise the present one wins and is returned.
	OpAssign OpKind = 1
	// OpMove sets Instance when the present one is Expect (0: absent). When it is already Instance that is a success too,
	// so that a repeated move is harmless.
	OpMove OpKind = 2
	// OpTouch marks the session as in use now; it never creates one.
	OpTouch OpKind = 3
	// OpDrop removes the assignment when it is Expect (0: whatever it is).
	OpDrop OpKind = 4
	// OpMoveAt is OpMove for a session of which the last decision is known (Assignment.Index is not 0): it goes by that decision instead of by the
	// instance, so that a repeated move whose session has been moved away and back meanwhile does not move it once more.
	OpMoveAt OpKind = 5
)

// SessionOp is one fixed-width session command.
type SessionOp struct {
	Kind     OpKind
	Key      Key
	Instance InstanceID
	Expect   InstanceID
	// Version is the last 32 bits of the Assignment.Index that OpMoveAt expects; it stands in the place of Expect, which is not encoded then.
	Version uint32
	// Reason says why, for OpAssign, OpMove, OpMoveAt and OpDrop. Without one the decision is recorded as an older version did: no index, no history.
	Reason Reason
	// Module is the session's, 0 when unknown; OpMove, OpMoveAt and OpTouch fill it in where it is not known yet.
	Module ModuleID
}

// Code says how a command ended. Numbers are append-only: replies travel between nodes of different versions.
type Code uint8

// The result codes. Everything but CodeOK leaves the state unchanged.
const (
	CodeOK              Code = 0
	CodeExists          Code = 1  // OpAssign: the key has an assignment already, the result names it
	CodeMismatch        Code = 2  // OpMove, OpDrop: the present assignment is another one, the result names it
	CodeAbsent          Code = 3  // OpTouch, OpMove, OpDrop: no such assignment
	CodeUnknownInstance Code = 4  // the instance id has never been given out
	CodeConflict        Code = 5  // the expected revision is not the current one
	CodeInvalid         Code = 6  // the command contradicts the state, Result.Message says how
	CodeUsed            Code = 7  // the token has been used
	CodeExpired         Code = 8  // the token has expired, by replicated time; StoreCopy, StoreHolders: the holders' promise has
	CodeUnknownOp       Code = 9  // a session operation of a newer version
	CodeFull            Code = 10 // OpAssign, OpMove: the instance has as many sessions as it may have; StorePut, StoreSplice: the store has no room
	CodeLocked          Code = 11 // the maintenance lock is on, Result.Lock says whose
)

// SessionResult is the outcome of one SessionOp.
type SessionResult struct {
	Code Code
	// Instance is the assignment after the operation, 0 for none: for CodeExists and CodeMismatch the winner.
	Instance InstanceID
	// Index is the log index at which the operation was applied.
	Index uint64
}

// Result is the outcome of one entry.
type Result struct {
	Code    Code
	Message string
	Index   uint64
	// Revision is the configuration revision after the command (ConfigSet), else 0.
	Revision uint64
	// Sessions has one result for each operation of a session batch, in order, else nil.
	Sessions []SessionResult
	// Effect is what a ConfigChange did; nil when it was refused, changed nothing that runs, or is repeated.
	Effect *Effect `json:",omitempty"`
	// Lock is the lock that is in the way, with CodeLocked.
	Lock *Lock `json:",omitempty"`
	// Created: a write of the store found no value.
	Created bool `json:",omitempty"`
	// Version is that of a value of the store after a write, and with CodeConflict of one the value that is there, 0 for none.
	Version uint64 `json:",omitempty"`
}

// RequestID makes a rare command recognisable when it is sent again.
type RequestID [16]byte

// MarshalText gives the id as 32 hexadecimal digits.
func (id RequestID) MarshalText() ([]byte, error) { return hex16(id[:]), nil }

// UnmarshalText reads what MarshalText gives.
func (id *RequestID) UnmarshalText(b []byte) error { return unhex16("request id", id[:], b) }

// Command is a rare command: *GroupInit, *ConfigSet, *TokenPut, *TokenUse, *TokenDrop, *Expire, *Checkpoint, and those of types_operating.go and types_holder.go.
type Command interface{ kind() kind }

// Group is what all nodes of a group share for good.
type Group struct {
	ID    string `json:"id"` // UUID
	Name  string `json:"name"`
	Epoch uint32 `json:"epoch"` // 1 for a new group
	// Secret is the root of all keys of the data plane (cookies, session keys): 32 bytes.
	Secret []byte `json:"secret"`
	// CACert and CAKey are the group's certificate authority, DER (certificate, PKCS#8).
	CACert  []byte    `json:"caCert"`
	CAKey   []byte    `json:"caKey"`
	Created time.Time `json:"created"`
	// Epochs says where the epochs after the first one began, oldest first; see Group.Missed. A group that was never restored has none.
	Epochs []EpochStart `json:"epochs,omitempty"`
	// FoundedIn is the epoch in which the log began, 0 when that is Epoch; see Founded.
	FoundedIn uint32 `json:"foundedIn,omitempty"`
}

// GroupInit founds the group; refused with CodeInvalid when there is one.
type GroupInit struct {
	RequestID RequestID `json:"requestId"`
	Group     Group     `json:"group"`
	// Schema is that of the founders' programs, which is in force from the beginning. 0, or before BaseSchema: BaseSchema.
	Schema int `json:"schema,omitempty"`
}

// ConfigSet replaces the configuration when Expect is the current revision (compare-and-swap).
type ConfigSet struct {
	RequestID RequestID `json:"requestId"`
	// Expect is the revision that the change was made from.
	Expect  uint64 `json:"expect"`
	Actor   string `json:"actor"`
	Message string `json:"message,omitempty"`
	// Config is the whole new configuration, validated and with defaults filled in by the proposer.
	Config *config.Config `json:"config"`
}

// Revision is one configuration in the group's history. It is immutable.
type Revision struct {
	Number  uint64         `json:"revision"`
	Index   uint64         `json:"index"`
	Time    time.Time      `json:"time"`
	Actor   string         `json:"actor"`
	Message string         `json:"message,omitempty"`
	Config  *config.Config `json:"config"`

	// raw is Config as it was proposed, byte for byte: it may have fields that this version does not know.
	raw []byte
}

// Token is an access token; only a hash of its secret is kept.
type Token struct {
	ID   string `json:"id"`
	Role string `json:"role"` // a built-in role or one of the group's own; empty: it belongs to User
	// User is whose it is: it may do what that user may at each moment.
	User    string    `json:"user,omitempty"`
	Hash    []byte    `json:"hash"` // SHA-256 of the secret
	Note    string    `json:"note,omitempty"`
	Created time.Time `json:"created"`
	// Expires is compared with replicated time; zero means never.
	Expires time.Time `json:"expires,omitzero"`
	// UsedBy is set on a used join token (role node): the SHA-256 of the public key that it let in.
	UsedBy []byte `json:"usedBy,omitempty"`
	// UsedName is the name of the node that used it.
	UsedName string `json:"usedName,omitempty"`
	// Clusters are those that a token of an application is bound to; empty: all.
	Clusters []string `json:"clusters,omitempty"`
}

// TokenPut adds a token; CodeInvalid when the id exists, or its user or role does not.
type TokenPut struct {
	RequestID RequestID `json:"requestId"`
	Token     Token     `json:"token"`
	// Actor is who makes it; without one there is no event.
	Actor string `json:"actor,omitempty"`
}

// TokenUse uses up a join token for one public key; again with the same key is a success, another key is CodeUsed.
type TokenUse struct {
	RequestID RequestID `json:"requestId"`
	ID        string    `json:"id"`
	UsedBy    []byte    `json:"usedBy"`
	UsedName  string    `json:"usedName"`
}

// TokenDrop revokes a token; CodeAbsent when there is none, CodeConflict when that would take the last admin access of a group with users or roles of its own away.
type TokenDrop struct {
	RequestID RequestID `json:"requestId"`
	ID        string    `json:"id"`
	// Actor is who revokes it; without one there is no event.
	Actor string `json:"actor,omitempty"`
}

// Expire drops the idle sessions of Count shards from Shard on.
type Expire struct {
	Shard uint32 `json:"shard"`
	Count uint32 `json:"count"`
}

// Checkpoint carries the leader's digest at an earlier checkpoint entry, for each replica to compare with its own.
type Checkpoint struct {
	// PrevIndex is the index of the previous checkpoint entry, 0 for none.
	PrevIndex  uint64 `json:"prevIndex"`
	PrevDigest Digest `json:"prevDigest"`
	// Hold asks each replica's owner to take a Snapshot right after this entry, so that replicas can be compared item by item as of one index. An older version ignores it.
	Hold bool `json:"hold,omitempty"`
}

// CheckpointRecord is what this replica noted at the last checkpoint entry. It is not part of the state.
type CheckpointRecord struct {
	Index  uint64
	Digest Digest
	// Diverged is the index of the last checkpoint that could be compared with the leader's when the digests differed there, 0 when they were equal. It does not say which of
	// the two is wrong.
	Diverged uint64
	// Hold is that of the entry.
	Hold bool `json:"-"`
}

// Digest is an order-independent sum over the whole replicated state. Equal states have equal digests.
type Digest [16]byte

// String gives the digest as 32 hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText gives the digest as String does.
func (d Digest) MarshalText() ([]byte, error) { return hex16(d[:]), nil }

// UnmarshalText reads what String gives.
func (d *Digest) UnmarshalText(b []byte) error { return unhex16("digest", d[:], b) }

func hex16(b []byte) []byte { return hex.AppendEncode(nil, b) }

// unhex16 fills dst, which has 16 bytes, or leaves it as it is.
func unhex16(what string, dst, text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != len(dst) {
		return fmt.Errorf("%s: want %d hexadecimal digits", what, 2*len(dst))
	}
	copy(dst, b)
	return nil
}
