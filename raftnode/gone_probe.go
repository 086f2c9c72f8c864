package raftnode

import (
	"context"
	"crypto/tls"
	"errors"
	"sync"
	"syscall"
	"time"
)

// probeEvery is the pause between two looks at a peer port that neither refuses nor answers: the node's guard still holds it.
const probeEvery = time.Millisecond

// probes is the present look whether a leader's process is dead, shared by all who want to know.
type probes struct {
	dial func(ctx context.Context, addr string) (*tls.Conn, error) // for calls, to whoever is there

	mu   sync.Mutex
	of   lost
	dead bool
	done chan struct{} // nil when nobody looks
}

// isDead tells whether the leader's process is dead as seen from here: it has no connection to this node, and its peer port refuses a new one, or is
// served by a process that does not lead in that term. It waits for that until ctx ends, but one heartbeat time-out at most.
func (n *Node) isDead(ctx context.Context, l lost) bool {
	p := &n.probes
	for {
		p.mu.Lock()
		if p.of == l && p.dead {
			p.mu.Unlock()
			return n.links.none(l.leader)
		}
		if p.done == nil {
			p.of, p.dead, p.done = l, false, make(chan struct{})
			n.goRun(func(ctx context.Context) { n.probe(ctx, l) })
		}
		done, same := p.done, p.of == l
		p.mu.Unlock()
		select {
		case <-done:
		case <-ctx.Done():
			return false
		}
		if same {
			p.mu.Lock()
			dead := p.of == l && p.dead
			p.mu.Unlock()
			return dead && n.links.none(l.leader)
		}
	}
}

// probe looks again and again until there is an answer.
func (n *Node) probe(ctx context.Context, l lost) {
	ctx, cancel := context.WithTimeout(ctx, n.timing.heartbeat)
	defer cancel()
	dead := false
	if s, ok := memberByID(n.membership(), l.leader); ok {
		for answered := false; !answered && ctx.Err() == nil; {
			dead, answered = n.probeOnce(ctx, string(s.Address), l)
			if !answered {
				select {
				case <-time.After(probeEvery):
				case <-ctx.Done():
				}
			}
		}
	}
	p := &n.probes
	p.mu.Lock()
	p.dead = dead
	close(p.done)
	p.done = nil
	p.mu.Unlock()
}

func (n *Node) probeOnce(ctx context.Context, addr string, l lost) (dead, answered bool) {
	if !n.links.none(l.leader) {
		return false, false
	}
	c, err := n.probes.dial(ctx, addr)
	if err != nil {
		refused := errors.Is(err, syscall.ECONNREFUSED)
		return refused, refused
	}
	peer, err := callerOf(c.ConnectionState())
	if err != nil {
		_ = c.Close()
		return false, false
	}
	if peer.id != l.leader {
		_ = c.Close()
		return true, true // the port is another member's now
	}
	conn := newCallConn(c)
	defer conn.close(ErrClosed)
	b, err := conn.call(ctx, callGone, goneRequest{cause: causeDead, lost: l}.encode())
	if err != nil {
		return false, false
	}
	v, err := decodeVerdict(b)
	return v == verdictGo, err == nil
}
