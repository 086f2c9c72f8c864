package storage

import "github.com/hashicorp/raft"

// Stable is what Dir.Stable gives: raft's stable store, and more than one value at once.
type Stable interface {
	raft.StableStore
	// SetAll stores the values in one transaction, and returns when they are durable: all of them are, or none.
	SetAll(pairs ...Pair) error
}

// Pair is one key of the stable store, at most 256 bytes, and its value, at most 16 KiB.
type Pair struct{ Key, Value []byte }

// Space is the room on the file system of a data directory, in bytes.
type Space struct {
	Free  uint64 // that this process may use
	Total uint64
	// Reserve is what should be free, so that votes and the next snapshot can still be written when nothing else is: 64 MiB and the size of the newest snapshot, but not
	// more than a tenth of a small file system.
	Reserve uint64
}
