package raftnode

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/hashicorp/raft"
)

// A node's Raft id is its name and eight digits of its node id, "n1/3f2a9c1e". The node id is made from the node's first
// key, so that a node which lost its disk comes back as another member under the old name: it must not vote again in a
// term in which it has voted already.

// nodeIDOf makes a UUID (RFC 9562, version 8: free form) of a public key.
func nodeIDOf(pub crypto.PublicKey) (string, error) {
	key, ok := pub.(ed25519.PublicKey)
	if !ok {
		return "", fmt.Errorf("node id: the key is a %T, must be ed25519", pub)
	}
	h := sha256.Sum256(key)
	h[6] = h[6]&0x0f | 0x80
	h[8] = h[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[0:4], h[4:6], h[6:8], h[8:10], h[10:16]), nil
}

func serverID(name, nodeID string) raft.ServerID {
	return raft.ServerID(name + "/" + nodeID[:min(8, len(nodeID))])
}

// nameOf gives the node's name in a Raft id.
func nameOf(id raft.ServerID) string {
	name, _, _ := strings.Cut(string(id), "/")
	return name
}

// founder is a node as others must know it: name, Raft id and peer address.
type founder struct {
	Name string        `json:"name"`
	ID   raft.ServerID `json:"id"`
	Addr string        `json:"addr"`
}

// check holds a request's founder against the certificate that it came with.
func (f founder) check(from caller) error {
	if f.Name != from.name || f.ID != from.id {
		return refused("the request speaks for node %.80q, its certificate is that of %s", f.Name, from.name)
	}
	if err := checkDialable("peer address", f.Addr); err != nil {
		return refused("node %s: %v", f.Name, err)
	}
	return nil
}
