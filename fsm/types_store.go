package fsm

import "time"

// The store keeps what applications keep in the group beside their sessions' assignments: the data of a session, and keys with values of a module. Both are opaque bytes
// with a media type. Who may have how much of it is in the configuration (config.Store).

// Space is one of the two name spaces of a module. Numbers are append-only: they are on disk.
type Space uint8

// The spaces of a module.
const (
	// SpaceSessions has the data of sessions. A key is the 16 bytes of the session's Key.
	SpaceSessions Space = 1
	// SpaceKV has the keys and values of the module. A key is 1 to MaxStoredKey bytes.
	SpaceKV Space = 2
)

// String names the space for people.
func (s Space) String() string {
	if s == SpaceSessions {
		return "session data"
	}
	return "keys and values"
}

// Bounds of the store.
const (
	// MaxStoredKey bounds a key of SpaceKV, in bytes.
	MaxStoredKey = 512
	// MaxStoredValue bounds one value, in bytes, whatever the configuration says; it fits into one entry of the log.
	MaxStoredValue = 1 << 20
	// MaxStored bounds all that the store of a group counts (see StoredOverhead), in bytes. A restore into the running group needs room for all of it at once.
	MaxStored = 512 << 20
	// StoredOverhead is what a value counts beside its bytes, its type and its key, so that many small ones cannot take more memory than the bounds say.
	StoredOverhead = 256
	// MaxStoredTTL bounds a time to live.
	MaxStoredTTL = 366 * 24 * time.Hour
)

// StoreIf is the condition of a write. Numbers are append-only: they are on disk.
type StoreIf uint8

// The conditions.
const (
	IfAny     StoreIf = 0 // whatever is there
	IfAbsent  StoreIf = 1 // there is no value
	IfPresent StoreIf = 2 // there is one
	IfVersion StoreIf = 3 // there is one, of that version
)

// StoreKey names one value. The keys of SpaceSessions are unique in the group; the module of one says whose bounds it counts for.
type StoreKey struct {
	Space  Space
	Module ModuleID
	Key    string
}

// StorePut writes a value. Result.Version is its version. CodeConflict: the condition does not hold, Result.Version is that of the value that is there, 0 for none. CodeFull: the
// module or the group has as much as it may have. CodeInvalid: the module has no such space, or the value is too large. A refusal changes nothing. Sent again with its request id
// it gives the first version, as long as that is among the last writes that the store remembers.
type StorePut struct {
	RequestID RequestID
	StoreKey
	If      StoreIf
	Version uint64 // with IfVersion
	// TTL is how long the value stays without another write, in whole milliseconds. 0: with SpaceKV for ever, with SpaceSessions as long as an idle session of the cluster.
	TTL  time.Duration
	Type string // the media type
	Data []byte
}

// StoreSplice changes a part of a value of a known version: Cut bytes at At are replaced by Insert. The type stays; the time to live begins anew. Results are those of StorePut.
type StoreSplice struct {
	RequestID RequestID
	StoreKey
	Version uint64
	At, Cut uint32
	Insert  []byte
}

// StoreDelete removes a value. CodeAbsent: there is none; CodeConflict as with StorePut.
type StoreDelete struct {
	RequestID RequestID
	StoreKey
	If      StoreIf // IfAny or IfVersion
	Version uint64
}

// StoreSweep removes those of the named values whose time is over: the leader's. It may be repeated.
type StoreSweep struct{ Keys []StoreKey }

// StoreClear removes all values of one space of a module, also of a module that is configured no more.
type StoreClear struct {
	RequestID RequestID `json:"requestId"`
	Space     Space     `json:"space"`
	Module    ModuleID  `json:"module"`
	Actor     string    `json:"actor"`
}

func (*StorePut) kind() kind    { return kindStorePut }
func (*StoreSplice) kind() kind { return kindStoreSplice }
func (*StoreDelete) kind() kind { return kindStoreDelete }
func (*StoreSweep) kind() kind  { return kindStoreSweep }
func (*StoreClear) kind() kind  { return kindStoreClear }

func (c *StoreClear) request() RequestID { return c.RequestID }

// Stored is one value. It is immutable, and so are the bytes of Data.
type Stored struct {
	place   string
	Module  ModuleID
	Type    string
	Data    []byte
	Copy    *Copy  // nil: the bytes are in Data; else they are beside the log, and Data has none
	Version uint64 // the log index of the last write
	changed int64  // replicated time of it, Unix ms
	ttl     int64  // ms, 0: for ever
	expires int64  // replicated time, Unix ms, 0: never
	sum     sum    // its part of the digest
}

// Space and Key name it.
func (v *Stored) Space() Space { return Space(v.place[0]) }

// Key is the key of the value in its space.
func (v *Stored) Key() string {
	if v.Space() == SpaceSessions {
		return v.place[1:]
	}
	return v.place[1+placeModule:]
}

// Changed is the replicated time of the last write.
func (v *Stored) Changed() time.Time { return millis(v.changed) }

// TTL is how long it stays without a write, 0 for ever.
func (v *Stored) TTL() time.Duration { return time.Duration(v.ttl) * time.Millisecond }

// Expires is the replicated time at which it goes without another write, zero: never. The data of a session stays longer as long as the session has its assignment.
func (v *Stored) Expires() time.Time {
	if v.expires == 0 {
		return time.Time{}
	}
	return millis(v.expires)
}

// StoreUse is how much a module has in the store.
type StoreUse struct {
	Module ModuleID
	// Sessions and Keys are the numbers of values in the two spaces, Bytes what they count together.
	Sessions, Keys int
	Bytes          int64
}
