package config

import "fmt"

// Store lets the instances of a module keep data in the group: that of sessions, so that a session outlives its instance, and keys with values that all instances see.
type Store struct {
	// Sessions is the data of sessions, KV the keys with values; one of them at least.
	Sessions bool `json:"sessions"`
	KV       bool `json:"kv"`
	// Copies says where the bytes of a value are: on every node, through the log, or on two nodes beside it.
	Copies Copies `json:"copies"`
	// MaxValue bounds one value (64KiB, at most 1MiB), MaxBytes all that the module has in the group (64MiB, at most 512MiB). Both spaces count together.
	MaxValue Size `json:"maxValue"`
	MaxBytes Size `json:"maxBytes"`
}

// Copies is how many nodes have the bytes of a value.
type Copies uint8

// The ways to keep a value.
const (
	// CopiesAll has all nodes keep the bytes, in the log and in memory.
	CopiesAll Copies = 0
	// CopiesTwo has two nodes keep them on disk; the log has who they are, and the hash.
	CopiesTwo Copies = 2
)

// String is how it is written in a configuration.
func (c Copies) String() string {
	if c == CopiesTwo {
		return "2"
	}
	return "all"
}

// MarshalText writes it as a configuration has it.
func (c Copies) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (c *Copies) UnmarshalText(text []byte) error {
	switch string(text) {
	case "all":
		*c = CopiesAll
	case "2":
		*c = CopiesTwo
	default:
		return fmt.Errorf("copies %.40q: must be all or 2", text)
	}
	return nil
}

const (
	defaultMaxValue Size = 64 << 10
	mostMaxValue    Size = 1 << 20
	defaultMaxBytes Size = 64 << 20
	mostMaxBytes    Size = 512 << 20
)

// DefaultStore is the store of a module whose configuration says nothing more; one of Sessions and KV has to be set.
func DefaultStore() Store { return Store{MaxValue: defaultMaxValue, MaxBytes: defaultMaxBytes} }
