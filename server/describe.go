package server

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/holdfast-lb/holdfast/lb"
)

// description is what a node tells the other nodes about itself, beyond what the member of the group says: for status.
type description struct {
	Ready bool `json:"ready"`
	// Serving is the configuration revision that the data plane has put into force.
	Serving   uint64              `json:"serving"`
	Reason    string              `json:"reason,omitempty"`
	Instances []lb.InstanceStatus `json:"instances"`
}

func (s *Server) describe() []byte {
	d := description{Ready: true, Instances: s.balancer.Instances()}
	d.Serving, _ = s.balancer.InForce()
	if err := s.ready(); err != nil {
		d.Ready, d.Reason = false, strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	b, err := json.Marshal(d)
	if err != nil {
		panic("BUG: a node's description cannot be encoded: " + err.Error())
	}
	return b
}

var errLeaving = errors.New("the node is leaving")

// ready is nil when the node should get traffic.
func (s *Server) ready() error {
	if s.leaving.Load() {
		return errLeaving
	}
	errs := []error{s.balancer.Ready()}
	// Without a leader the node goes on serving (known sessions, provisional ones), so that is no reason to leave the pool: only
	// a node that has not entered its group yet must not get traffic.
	if s.state.Group() == nil {
		errs = append(errs, s.node.Ready())
	}
	if c := s.state.Checkpoint(); c.Diverged != 0 {
		errs = append(errs, errors.New("the state of this node differs from the leader's"))
	}
	return errors.Join(errs...)
}
