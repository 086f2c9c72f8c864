package pki

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
)

// maxName bounds the names of groups, nodes and token ids: they go into certificates, paths and log lines.
const maxName = 63

// ErrName is in the chain of every refusal of a group name, node name or token id.
var ErrName = errors.New("must be 1 to 63 letters, digits, '.', '_' or '-', and begin with a letter or digit")

// CheckName tells whether name can be the name of a group or a node. what ("node name") begins the error text.
func CheckName(what, name string) error {
	if !validName(name) {
		return fmt.Errorf("%s: %w", what, ErrName)
	}
	return nil
}

func validName(s string) bool {
	if len(s) == 0 || len(s) > maxName {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return true
}

// NewGroupID gives a fresh random UUID (RFC 9562, version 4) in its canonical lower-case form.
func NewGroupID() string {
	var id [16]byte
	rand.Read(id[:]) // never fails: crypto/rand ends the program when the system has no randomness
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return formatUUID(id)
}

func formatUUID(id [16]byte) string {
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// parseUUID takes the canonical form only, so that two spellings of one group id cannot exist.
func parseUUID(s string) (id [16]byte, err error) {
	bad := errors.New("group id: not a UUID in lower case")
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, bad
	}
	raw, err := hex.DecodeString(s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:])
	if err != nil {
		return id, bad
	}
	copy(id[:], raw)
	if formatUUID(id) != s {
		return id, bad
	}
	return id, nil
}
