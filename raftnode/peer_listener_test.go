package raftnode

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"
)

// TestPeerListener: connections are taken, though not answered, until the duplicate is closed too, and the node stops all the same.
func TestPeerListener(t *testing.T) {
	m := newMember(t, "n1", Options{Bootstrap: true})
	m.mustOpen()
	m.run()
	group{m}.ready()
	f, err := m.node.PeerListener()
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Fd() // as os/exec does; it must not make the node's own socket block
	addr := m.node.Addr()
	m.halt()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatalf("refused while a duplicate is open: %v", err)
	}
	defer c.Close()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("a connection that nobody has taken: %v", err)
	}
	if c, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
		if err == nil {
			c.Close()
		}
		t.Errorf("after the last duplicate: %v", err)
	}
}
