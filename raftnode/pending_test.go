package raftnode

import (
	"fmt"
	"net"
	"testing"
)

type fakeConn struct {
	net.Conn
	addr   string
	closed bool
}

func (c *fakeConn) RemoteAddr() net.Addr { return peerAddr(c.addr) }
func (c *fakeConn) Close() error         { c.closed = true; return nil }

func TestPendingConnsEvictTheOldest(t *testing.T) {
	reasons := map[string]int{}
	p := newPendingConns(func(reason string) { reasons[reason]++ })
	var one []*fakeConn
	for i := range maxPendingPerIP + 3 {
		c := &fakeConn{addr: fmt.Sprintf("10.0.0.1:%d", i)}
		one = append(one, c)
		p.add(c)
	}
	for i, c := range one {
		if c.closed != (i < 3) {
			t.Errorf("connection %d closed: %v", i, c.closed)
		}
	}
	for i := 0; p.total < maxPending; i++ {
		p.add(&fakeConn{addr: fmt.Sprintf("10.0.1.%d:1", i)})
	}
	lone := &fakeConn{addr: "10.0.2.1:1"}
	p.add(lone)
	if !one[3].closed || lone.closed || p.total != maxPending {
		t.Errorf("too many in all: victim %v, newcomer %v, total %d", one[3].closed, lone.closed, p.total)
	}
	if reasons["too many of one address"] != 3 || reasons["too many"] != 1 {
		t.Errorf("reasons: %v", reasons)
	}
	p.done(lone)
	p.done(lone)
	p.done(one[3]) // evicted before
	if p.total != maxPending-1 {
		t.Errorf("total %d", p.total)
	}
	p.closeAll()
	for _, c := range one {
		if !c.closed {
			t.Error("closeAll left a connection open")
		}
	}
}
