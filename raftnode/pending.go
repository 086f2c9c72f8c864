package raftnode

import (
	"net"
	"sync"
)

const (
	maxPending      = 256 // unauthenticated connections in all
	maxPendingPerIP = 64  // of them from one address
)

// pendingConns bounds the connections that have not shown who they are. When there are too many, the oldest goes and not
// the newest: a genuine handshake takes milliseconds, one that is old is nearly always a half-open one, and so a node
// that shares its address with an attacker still gets in.
type pendingConns struct {
	evicted func(reason string)

	mu    sync.Mutex
	total int
	byIP  map[string][]net.Conn // oldest first
}

func newPendingConns(evicted func(reason string)) *pendingConns {
	return &pendingConns{evicted: evicted, byIP: make(map[string][]net.Conn)}
}

func ipOf(c net.Conn) string {
	host, _, err := net.SplitHostPort(c.RemoteAddr().String())
	if err != nil {
		return c.RemoteAddr().String()
	}
	return host
}

// add takes c in and closes an older connection if there are too many.
func (p *pendingConns) add(c net.Conn) {
	ip, reason := ipOf(c), ""
	p.mu.Lock()
	p.byIP[ip] = append(p.byIP[ip], c)
	p.total++
	victim := ip
	switch {
	case len(p.byIP[ip]) > maxPendingPerIP:
		reason = "too many of one address"
	case p.total > maxPending:
		reason = "too many"
		for other, conns := range p.byIP {
			if len(conns) > len(p.byIP[victim]) {
				victim = other
			}
		}
	}
	var old net.Conn
	if reason != "" {
		old = p.byIP[victim][0]
		p.drop(victim, 0)
	}
	p.mu.Unlock()
	if old != nil {
		_ = old.Close()
		p.evicted(reason)
	}
}

// done is called when c has been authenticated or closed; again, or after an eviction, it does nothing.
func (p *pendingConns) done(c net.Conn) {
	ip := ipOf(c)
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, other := range p.byIP[ip] {
		if other == c {
			p.drop(ip, i)
			return
		}
	}
}

func (p *pendingConns) drop(ip string, i int) {
	conns := p.byIP[ip]
	copy(conns[i:], conns[i+1:])
	conns[len(conns)-1] = nil
	if conns = conns[:len(conns)-1]; len(conns) == 0 {
		delete(p.byIP, ip)
	} else {
		p.byIP[ip] = conns
	}
	p.total--
}

func (p *pendingConns) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conns := range p.byIP {
		for _, c := range conns {
			_ = c.Close()
		}
	}
}
