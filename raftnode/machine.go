package raftnode

import (
	"context"
	"net"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/storage"
)

// What a node needs of the machine that it runs on. A process has the machine's own; a simulator gives its own of each, and can then make them late, broken or lying.

// Disk is where a node keeps what it must not forget: an open data directory. *storage.Dir is the one on a real disk, and says what each method promises.
type Disk interface {
	// Path names the directory to people, and TLSDir is where the node's keys and certificates are.
	Path() string
	TLSDir() string
	Identity() (storage.Identity, bool)
	SetIdentity(id storage.Identity) error
	Log() raft.CommitTrackingLogStore
	Stable() storage.Stable
	Snapshots() raft.SnapshotStore
	Empty() bool
	Space() (storage.Space, error)
	// LogFile gives the size of the log, and how much of it is free for new entries, in bytes.
	LogFile() (size, free int64, err error)
	DropState() error
}

// Network carries the bytes between peer ports. Whoever is at the other end proves itself by mutual TLS over it, whatever the network is.
type Network interface {
	// Listen binds the peer port, HOST:PORT. An error that is syscall.EADDRINUSE means that it may be free in a moment.
	Listen(addr string) (net.Listener, error)
	// Dial connects to a peer port. An error that is syscall.ECONNREFUSED says that no process has it.
	Dial(ctx context.Context, addr string) (net.Conn, error)
}

// TCP is the network of a process, for whoever adds something to it.
func TCP() Network { return tcp{} }

// tcp is the network of a process.
type tcp struct{}

func (tcp) Listen(addr string) (net.Listener, error) { return net.Listen("tcp", addr) }

func (tcp) Dial(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}
