package raftnode

import (
	"errors"
	"testing"
	"time"
)

// TestStopWhileStarting: a node that is stopped at any moment of its start leaves nothing behind that goes on (TestMain looks for goroutines).
func TestStopWhileStarting(t *testing.T) {
	m := newMember(t, "n1", Options{Bootstrap: true})
	m.mustOpen()
	m.run()
	group{m}.ready()
	m.halt()
	for i := range 20 {
		m.mustOpen()
		m.run()
		for until := time.Now().Add(time.Duration(i) * time.Millisecond / 2); time.Now().Before(until) && m.node.raft.Load() == nil; {
		}
		m.crash()
	}
	m.mustOpen()
	m.node.noMoreRaft()
	if err := m.node.startRaft(); !errors.Is(err, ErrClosed) {
		t.Errorf("raft starts on a node that has been stopped: %v", err)
	}
	m.halt()
}
