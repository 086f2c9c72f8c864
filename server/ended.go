package server

import (
	"context"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// endedPatience is how long a node tries to have its word on what it has ended noted. The log and the metric have it in any case.
const endedPatience = 30 * time.Second

// noteEnded has the group note what this node has ended by an instance's hardTimeout.
func (s *Server) noteEnded(cluster, instance string, n int, after time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), endedPatience)
	defer cancel()
	note := &fsm.EndedNote{Cluster: cluster, Instance: instance, Node: s.config.Name, Count: n, After: config.Duration(after)}
	if res, err := s.node.Propose(ctx, note); err != nil || res.Code != fsm.CodeOK {
		s.log.Warn("the group has not noted what was ended", "cluster", cluster, "instance", instance, "ended", n, "error", err, "answer", res.Message)
	}
}
