package raftnode

import (
	"fmt"
	"os"
	"syscall"
)

// PeerListener gives a duplicate of the peer port's listening socket, for a child process: the port refuses connections only when all duplicates are closed, and
// the others take that as a sign that this node is gone. The caller closes it.
func (n *Node) PeerListener() (*os.File, error) {
	l, ok := n.tcp.(interface{ File() (*os.File, error) })
	if !ok {
		return nil, fmt.Errorf("peer port: %w", syscall.ENOTSUP)
	}
	f, err := l.File()
	if err != nil {
		return nil, fmt.Errorf("peer port: %w", err)
	}
	return f, nil
}
