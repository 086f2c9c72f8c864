package server

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-lb/holdfast/raftnode/pki"
	"github.com/holdfast-lb/holdfast/server/discovery"
)

// openDiscovery joins the multicast group of --discover, if there is one.
func (s *Server) openDiscovery(metrics prometheus.Registerer) error {
	if s.config.Discover == "" {
		return nil
	}
	spec, err := discovery.ParseSpec(s.config.Discover)
	if err != nil {
		return fmt.Errorf("--discover: %w", err)
	}
	told := toldGroup(s.config)
	s.found, err = discovery.Open(discovery.Options{
		Spec: spec, Node: s.config.Name, Addr: s.node.Addr(), Logger: s.log, Registerer: metrics,
		Identity: func() discovery.Identity {
			if g := s.state.Group(); g != nil {
				return discovery.Identity{ID: g.ID, Name: g.Name}
			}
			return told
		},
	})
	return err
}

// toldGroup is what a node that has no state yet knows of its group, from the strings that it was started with. Whether they still hold is not its
// business.
func toldGroup(c Config) discovery.Identity {
	id := discovery.Identity{Name: c.Group}
	if in, err := pki.ParseInit(c.JoinToken, time.Time{}); err == nil {
		return discovery.Identity{ID: in.GroupID, Name: in.GroupName}
	}
	if t, err := pki.ParseJoinToken(c.JoinToken, time.Time{}); err == nil {
		id.ID = t.GroupID
	}
	return id
}
