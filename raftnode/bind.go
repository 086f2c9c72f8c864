package raftnode

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

const (
	// portWait is how long the peer port may be another process's at the start. A predecessor that was killed leaves it to whoever takes its virtual
	// addresses off the machine (PeerListener), for milliseconds; when the kernel has to do that, for its lease of 2 s and a second more.
	portWait = 3500 * time.Millisecond
	portPoll = 10 * time.Millisecond
)

// bindPeer binds the peer port.
func (n *Node) bindPeer() (net.Listener, error) {
	end := time.Now().Add(portWait)
	for said := false; ; {
		l, err := n.opt.Network.Listen(n.opt.PeerAddr)
		if err == nil {
			return l, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(end) {
			return nil, fmt.Errorf("bind peer port: %w", err)
		}
		if !said {
			said = true
			n.log.Info("the peer port is another process's; waiting for the end of a predecessor that was killed", "address", n.opt.PeerAddr, "for", portWait)
		}
		time.Sleep(portPoll)
	}
}
