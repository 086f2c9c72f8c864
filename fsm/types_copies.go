package fsm

import "time"

// A value whose module has copies: 2 is named in the state, and its bytes are beside it: on the disks of two members, by their hash. The state says who has them and what they must be.

const (
	// MaxHolders is how many members keep the bytes of a value that is not in the log.
	MaxHolders = 2
	// MaxHolderID bounds the id of one, in bytes.
	MaxHolderID = 128
	// CopyFresh is how old a promise of holders may be when an entry names them, in replicated time: bytes that nothing names are thrown away, but never before that.
	CopyFresh = time.Minute
)

// Copy says where the bytes of a value are, and what they are. It is immutable.
type Copy struct {
	Hash [32]byte // SHA-256
	Size uint32   // in bytes, 1 to MaxStoredValue
	// Holders are the ids of the members that have them on disk, the first choice first; none: the bytes are lost.
	Holders []string
	// moved is the log index of the StoreHolders that named them, 0 when the write itself did.
	moved uint64
}

// StoreCopy writes a value of which the holders have the bytes on their disks already, since Taken or later. Conditions and results are those of StorePut; CodeExpired: Taken is more than
// CopyFresh ago, so that they may have thrown them away.
type StoreCopy struct {
	RequestID RequestID
	StoreKey
	If      StoreIf
	Version uint64        // with IfVersion
	TTL     time.Duration // as in StorePut
	Type    string        // the media type
	Copy
	Taken time.Time
}

// StoreMove says who has the bytes of a value of one version from now on; nobody: they are lost.
type StoreMove struct {
	StoreKey
	Version uint64
	Holders []string
}

// StoreHolders changes who has the bytes of values: the leader's. Version and time to live of a value stay; one that has another version by now, or is none of these, stays as it is. CodeExpired
// as with StoreCopy. It may be repeated.
type StoreHolders struct {
	Taken time.Time
	Moves []StoreMove
	// Seen is the log index of the state that the members were asked by: a value that was given holders after it stays as it is, because what they said then says nothing about these. 0, as older
	// programs have it: whatever became of the value meanwhile.
	Seen uint64
}

func (*StoreCopy) kind() kind    { return kindStoreCopy }
func (*StoreHolders) kind() kind { return kindStoreHolders }

// Size is how many bytes the value has, wherever they are; 0 for one that is lost.
func (v *Stored) Size() int {
	switch {
	case v.Copy == nil:
		return len(v.Data)
	case v.Lost():
		return 0
	}
	return int(v.Copy.Size)
}

// Lost: no member has the bytes any more.
func (v *Stored) Lost() bool { return v.Copy != nil && len(v.Copy.Holders) == 0 }

// StoreHolding is how many values, and bytes of them, a member keeps beside the log.
type StoreHolding struct {
	ID     string
	Values int
	Bytes  int64
}
