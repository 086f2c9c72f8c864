package server

import (
	"context"
	"errors"
	"time"
)

const (
	// catchUpLook bounds one attempt to learn whether this node is behind.
	catchUpLook = time.Second
	// catchUpPatience is how long a node that was in its group looks for a majority before it takes itself for cut off and serves what it knows.
	catchUpPatience = 3 * time.Second
	catchUpPause    = 20 * time.Millisecond
)

var errCatchingUp = errors.New("the node has not caught up with its group yet")

// catchUp returns when this node may take traffic: it knows everything that the group had acknowledged when it was asked. A node that comes back from its
// disk would otherwise serve what was true when it ended, and send sessions to instances that have been stopped since; Raft's leader may need
// seconds to find it again. One that finds no majority for catchUpPatience, asking every member, serves what it knows: without a quorum
// known sessions are to go on. One that has no state yet has nothing to serve and waits.
func (s *Server) catchUp(ctx context.Context) {
	began := time.Now()
	for ctx.Err() == nil {
		look, cancel := context.WithTimeout(ctx, catchUpLook)
		err := s.node.Sync(look)
		cancel()
		if err == nil {
			break
		}
		if s.state.Group() != nil && time.Since(began) > catchUpPatience && !s.anyQuorum(ctx) {
			s.log.Warn("no majority of the group can be reached; this node serves what it knew when it ended", "revision", s.state.Revision().Number)
			break
		}
		select {
		case <-time.After(catchUpPause):
		case <-ctx.Done():
		}
	}
	s.caughtUp.Store(true)
}

// anyQuorum asks every other member whether it knows of a majority.
func (s *Server) anyQuorum(ctx context.Context) bool {
	for _, m := range s.node.Members(ctx) {
		if m.Reachable && m.Name != s.config.Name && m.Info.Quorum {
			return true
		}
	}
	return s.node.Quorum()
}
