package server

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// copiedWait bounds the attempt to have the group note a copy that was refused. It knocks again.
const copiedWait = 10 * time.Second

// copied has the group note that a copy of a member was refused; the state makes one event of all who say so.
func (s *Server) copied(member, runs, at string) {
	note := &fsm.QuarantineNote{Node: member, Copy: at, Proposer: s.config.Name,
		Text: fmt.Sprintf("node %s runs at %s; two processes with one vote could break the group, so stop what is started there, and never start that copy of its data directory or its keys", member, runs)}
	s.background.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), copiedWait)
		defer cancel()
		if _, err := s.node.Propose(ctx, note); err != nil {
			s.log.Warn("that a copy of a node was refused is no event of the group", "member", member, "copy", at, "error", err)
		}
	})
}
