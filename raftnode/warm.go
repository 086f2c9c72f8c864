package raftnode

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// warmConns is what a new leader needs to each voter before its first entry is there: one for the vote, which then serves one of the two streams
	// of the replication.
	warmConns = 2
	// warmFor is how long a connection that was made ahead is believed to be good.
	warmFor = 2 * time.Second
)

// warmed are connections that were dialled before raft asks for them.
type warmed struct {
	mu    sync.Mutex
	ready map[string][]warmDial
}

type warmDial struct {
	since  time.Time
	result chan dialled // gets one
}

type dialled struct {
	conn net.Conn
	err  error
}

func (w *warmed) take(addr string) (warmDial, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.ready[addr]
	if len(list) == 0 {
		return warmDial{}, false
	}
	w.ready[addr] = list[1:]
	return list[0], true
}

func (w *warmed) put(addr string, d warmDial) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ready == nil {
		w.ready = make(map[string][]warmDial)
	}
	w.ready[addr] = append(w.ready[addr], d)
}

// warm dials ahead.
func (s *streamLayer) warm(ctx context.Context, addr string) {
	s.cool(addr)
	for range warmConns {
		d := warmDial{since: time.Now(), result: make(chan dialled, 1)}
		s.warmed.put(addr, d)
		go func() {
			ctx, cancel := context.WithTimeout(ctx, warmFor)
			defer cancel()
			c, err := s.dial(ctx, addr)
			if err == nil && !s.keep(c) {
				err = net.ErrClosed
			}
			d.result <- dialled{c, err}
		}()
	}
}

// cool closes what was made ahead and not used.
func (s *streamLayer) cool(addr string) {
	for d, ok := s.warmed.take(addr); ok; d, ok = s.warmed.take(addr) {
		go func() {
			if r := <-d.result; r.err == nil {
				s.forget(r.conn)
				_ = r.conn.Close()
			}
		}()
	}
}

// warmConn gives a connection that was made ahead, or is about to be; nil when there is none that is good.
func (s *streamLayer) warmConn(ctx context.Context, addr string) net.Conn {
	for {
		d, ok := s.warmed.take(addr)
		if !ok {
			return nil
		}
		select {
		case r := <-d.result:
			switch {
			case r.err != nil:
			case time.Since(d.since) > warmFor:
				s.forget(r.conn)
				_ = r.conn.Close()
			default:
				return r.conn
			}
		case <-ctx.Done():
			s.warmed.put(addr, d) // to be closed by cool
			return nil
		}
	}
}

// warmVotes makes the connections ahead that an election will need. What is not used soon is closed.
func (n *Node) warmVotes(but raft.ServerID) {
	others, _ := n.otherVoters()
	others = slices.DeleteFunc(others, func(s raft.Server) bool { return s.ID == but })
	for _, s := range others {
		n.stream.warm(n.ctx, string(s.Address))
	}
	n.goRun(func(ctx context.Context) {
		select {
		case <-time.After(warmFor):
		case <-ctx.Done():
		}
		for _, s := range others {
			n.stream.cool(string(s.Address))
		}
	})
}

// keepWarm keeps a connection for calls to each other voter: when the leader dies there is no time to make one.
func (n *Node) keepWarm(ctx context.Context) {
	for {
		_, changed := n.watch.get()
		others, _ := n.otherVoters()
		for _, s := range others {
			if p, err := n.pool.peer(peerKey{string(s.Address), nameOf(s.ID)}); err == nil {
				n.goRun(func(ctx context.Context) {
					ctx, cancel := context.WithTimeout(ctx, handshakeWait)
					defer cancel()
					_, _ = p.connect(ctx)
				})
			}
		}
		select {
		case <-changed:
		case <-time.After(5 * time.Second):
		case <-ctx.Done():
			return
		}
	}
}
