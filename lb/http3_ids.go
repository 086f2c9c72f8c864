package lb

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"

	"github.com/quic-go/quic-go"
)

// A connection id begins with its own length less one, as the load balancers of QUIC-LB read it, then names the node, in clear, then tells the node's processes apart, and goes
// on at random.
const (
	nodeTag    = 4 // bytes
	processTag = 1
	idBytes    = 1 + nodeTag + processTag + 7
)

// connectionIDs makes the ids of the connections of one process of a node.
type connectionIDs struct {
	node [nodeTag]byte
	// process is another one than that of the process before, whose connections may go on beside this one's.
	process byte
}

// idsOf gives a node the first bytes of its name's hash: operators of a balancer can work them out, and the nodes of a group do not meet.
func idsOf(node string) (c connectionIDs) {
	sum := sha256.Sum256([]byte(node))
	copy(c.node[:], sum[:])
	return c
}

// String is the part that names the node, in hexadecimal.
func (c connectionIDs) String() string { return hex.EncodeToString(c.node[:]) }

// GenerateConnectionID implements quic.ConnectionIDGenerator.
func (c connectionIDs) GenerateConnectionID() (quic.ConnectionID, error) {
	var id [idBytes]byte
	id[0] = idBytes - 1
	copy(id[1:], c.node[:])
	id[1+nodeTag] = c.process
	rand.Read(id[1+nodeTag+processTag:])
	return quic.ConnectionIDFromBytes(id[:]), nil
}

// ConnectionIDLen implements quic.ConnectionIDGenerator.
func (c connectionIDs) ConnectionIDLen() int { return idBytes }

// foreign reports whether a datagram is for a connection of another node. One that begins a connection has an id of its client's choice.
func (c connectionIDs) foreign(p []byte) bool {
	short := len(p) > idBytes && p[0]&0xc0 == 0x40
	return short && p[1] == idBytes-1 && [nodeTag]byte(p[2:2+nodeTag]) != c.node
}

// maker tells which process of this node has made the id that a datagram is for. In a handshake the client has it from the first answer on.
func (c connectionIDs) maker(p []byte) (process byte, ok bool) {
	id := p
	switch {
	case len(p) > 6+idBytes && p[0]&0x80 != 0 && p[5] == idBytes:
		id = p[6:]
	case len(p) > idBytes && p[0]&0xc0 == 0x40:
		id = p[1:]
	default:
		return 0, false
	}
	return id[1+nodeTag], id[0] == idBytes-1 && [nodeTag]byte(id[1:1+nodeTag]) == c.node
}
