package raftnode

import (
	"net"
	"testing"
	"time"
)

// TestPeerPortOfAKilledPredecessor: the process that takes the virtual addresses of a killed node off has its peer port until that is done. A node that is
// started again meanwhile waits.
func TestPeerPortOfAKilledPredecessor(t *testing.T) {
	left, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := newMember(t, "solo", Options{Bootstrap: true, PeerAddr: left.Addr().String()})
	const busy = 100 * time.Millisecond
	began := time.Now()
	time.AfterFunc(busy, func() { _ = left.Close() })
	m.mustOpen()
	if took := time.Since(began); took < busy {
		t.Errorf("bound after %v, while the port was another's", took)
	}
	if got := m.node.tcp.Addr().String(); got != left.Addr().String() {
		t.Errorf("bound to %s", got)
	}
}
