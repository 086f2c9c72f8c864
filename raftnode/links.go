package raftnode

import (
	"errors"
	"net"
	"sync"

	"github.com/hashicorp/raft"
)

// links counts the authenticated connections that each peer has opened to this node. A leader has several to each follower all the time; when the last one
// ends, its process has, most likely.
type links struct {
	ended func(id raft.ServerID) // the last one of this peer; must not block

	mu   sync.Mutex
	open map[raft.ServerID]int
}

// watch counts c until it ends, whichever end does so.
func (l *links) watch(c net.Conn, id raft.ServerID) net.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open = make(map[raft.ServerID]int)
	}
	l.open[id]++
	return &linkConn{Conn: c, over: sync.OnceFunc(func() { l.end(id) })}
}

func (l *links) end(id raft.ServerID) {
	l.mu.Lock()
	l.open[id]--
	last := l.open[id] == 0
	if last {
		delete(l.open, id)
	}
	l.mu.Unlock()
	if last {
		l.ended(id)
	}
}

// none tells that the peer has no connection to this node.
func (l *links) none(id raft.ServerID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open[id] == 0
}

// linkConn says when its connection ends: at the first read that fails for good, which comes before its reader has got round to closing it.
type linkConn struct {
	net.Conn
	over func()
}

func (c *linkConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil && !isTemporary(err) {
		c.over()
	}
	return n, err
}

func (c *linkConn) Close() error {
	c.over()
	return c.Conn.Close()
}

func isTemporary(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}
