package storage

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

const (
	identityFormat  = 1
	maxIdentitySize = 16 << 10
	maxNameLen      = 255
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Identity says whose data directory this is. It is written once, before the first Raft state.
type Identity struct {
	Name    string `json:"name"`    // the node's name in its group
	NodeID  string `json:"nodeId"`  // a UUID made for this directory: a node that lost its disk is another node
	GroupID string `json:"groupId"` // the group that the node belongs to
	Epoch   uint64 `json:"epoch"`   // the group's epoch when the directory was made
}

// nodeFile is node.json: one identity with a format number and a checksum of everything else.
type nodeFile struct {
	Format int `json:"format"`
	Identity
	Checksum string `json:"checksum"` // crc32c, 8 hexadecimal digits, of the file with an empty checksum
}

// NewNodeID makes a random UUID (RFC 9562, version 4).
func NewNodeID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process when there is no randomness
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func (id Identity) validate() error {
	for _, f := range []struct{ what, value string }{{"name", id.Name}, {"node id", id.NodeID}, {"group id", id.GroupID}} {
		if f.value == "" {
			return fmt.Errorf("identity has no %s", f.what)
		}
		if len(f.value) > maxNameLen {
			return fmt.Errorf("identity: %s is longer than %d bytes", f.what, maxNameLen)
		}
		for _, r := range f.value {
			if r < ' ' || r == 0x7f || r == 0xfffd {
				return fmt.Errorf("identity: %s has a control or invalid character", f.what)
			}
		}
	}
	return nil
}

func encodeIdentity(id Identity) []byte {
	f := nodeFile{Format: identityFormat, Identity: id}
	f.Checksum = fmt.Sprintf("%08x", crc32.Checksum(marshalNodeFile(f), castagnoli))
	return marshalNodeFile(f)
}

func marshalNodeFile(f nodeFile) []byte {
	out, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		panic("BUG: marshal node.json: " + err.Error())
	}
	return append(out, '\n')
}

// decodeIdentity takes exactly what encodeIdentity makes. Comparing with the canonical bytes catches every change, those
// too that JSON does not care about (case of a key, white space, an unknown or a second field).
func decodeIdentity(path string, data []byte) (Identity, error) {
	if len(data) > maxIdentitySize {
		return Identity{}, &CorruptError{Path: path, Reason: "it is too large"}
	}
	var f nodeFile
	if err := json.Unmarshal(data, &f); err != nil {
		return Identity{}, &CorruptError{Path: path, Reason: "reading it failed", Err: err}
	}
	if f.Format > identityFormat {
		return Identity{}, &FormatError{Path: path, Have: f.Format, Want: identityFormat}
	}
	if !bytes.Equal(data, encodeIdentity(f.Identity)) {
		return Identity{}, &CorruptError{Path: path, Reason: "checksum mismatch (it must not be edited by hand)"}
	}
	if err := f.validate(); err != nil {
		return Identity{}, &CorruptError{Path: path, Reason: "its content is not valid", Err: err}
	}
	return f.Identity, nil
}

// readIdentity gives false when the file does not exist.
func readIdentity(path string) (Identity, bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return Identity{}, false, nil
	}
	if err != nil {
		return Identity{}, false, fmt.Errorf("read identity: %w", err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxIdentitySize+1))
	if err != nil {
		return Identity{}, false, fmt.Errorf("read identity: %w", err)
	}
	id, err := decodeIdentity(path, data)
	return id, err == nil, err
}
