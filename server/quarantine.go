package server

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/raftnode"
)

// quarantined is why this node has taken itself out of service, nil when it has not. It gets no traffic then: it is not ready, it is in no DNS answer, and it does not hold the addresses.
func (s *Server) quarantined() error {
	if err := s.node.Quarantined(); err != nil {
		return fmt.Errorf("the node is in quarantine: %w", err)
	}
	return nil
}

// quarantineOf gives it in the API's words.
func quarantineOf(q *raftnode.Quarantine) *admin.Quarantine {
	if q == nil {
		return nil
	}
	return &admin.Quarantine{Cause: string(q.Cause), Since: q.Since, Index: q.Index, Text: q.Text, Difference: q.Difference}
}

// quarantineProblem is the answer of a node that decides nothing and gives no copy of its state.
func quarantineProblem(err error) error {
	var q *raftnode.Quarantine
	text := err.Error()
	if errors.As(err, &q) {
		text = q.Error()
	}
	return wire.NewProblem(http.StatusServiceUnavailable, wire.CodeQuarantined,
		"This node is in quarantine, so nothing was done; ask another one. The reason: "+text+".").With("Retry-After", "2")
}
