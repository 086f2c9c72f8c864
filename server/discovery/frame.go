package discovery

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"unicode"
)

// maxFrame bounds a frame in bytes: a longer datagram is not ours.
const maxFrame = 512

// magic begins each frame; the digit is the version.
var magic = []byte("HFD1")

// frame is what a node says: magic and this as JSON.
type frame struct {
	// Group and GroupID are the group's name and UUID; either may be empty while a node does not know it.
	Group   string `json:"group,omitempty"`
	GroupID string `json:"groupId,omitempty"`
	Node    string `json:"node"`
	// Addr is the peer address that others dial, HOST:PORT.
	Addr string `json:"addr"`
}

func (f frame) encode() ([]byte, error) {
	b, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	if b = append(bytes.Clone(magic), b...); len(b) > maxFrame {
		return nil, errors.New("the names are too long for a frame")
	}
	return b, nil
}

// decode gives false for everything that no node of this version sends.
func decode(b []byte) (f frame, ok bool) {
	rest, ours := bytes.CutPrefix(b, magic)
	if !ours || len(b) > maxFrame || json.Unmarshal(rest, &f) != nil {
		return frame{}, false
	}
	if f.Node == "" || f.Group == "" && f.GroupID == "" {
		return frame{}, false
	}
	for _, s := range []string{f.Group, f.GroupID, f.Node, f.Addr} {
		for _, r := range s {
			if r > unicode.MaxASCII || !unicode.IsPrint(r) || r == ' ' { // these end up in a log
				return frame{}, false
			}
		}
	}
	host, port, err := net.SplitHostPort(f.Addr)
	return f, err == nil && host != "" && port != ""
}

// Identity is what a node knows of its own group.
type Identity struct{ ID, Name string }

// same tells whether a frame is of the node's own group: by id when both know it, else by name.
func (i Identity) same(f frame) bool {
	if i.ID != "" && f.GroupID != "" {
		return i.ID == f.GroupID
	}
	return i.Name != "" && i.Name == f.Group
}
