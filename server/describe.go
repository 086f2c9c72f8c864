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
	Serving uint64 `json:"serving"`
	// InForce is the Operating.Index that the data plane obeys.
	InForce uint64 `json:"inForce"`
	Reason  string `json:"reason,omitempty"`
	// Logged is the last event of the group that has its line in some log, as far as this node knows.
	Logged uint64 `json:"logged,omitempty"`
	// Jobs are the leader's duties that this node does now.
	Jobs      []job               `json:"jobs,omitempty"`
	Instances []lb.InstanceStatus `json:"instances"`
	Modules   []lb.ModuleStatus   `json:"modules"`
	// Programs are what workflows may run here; nil when a node of an older version does not say.
	Programs *hookPrograms `json:"programs,omitempty"`
}

func (s *Server) describe() []byte {
	d := description{Ready: true, Logged: s.mark.get(), Jobs: s.jobs.snapshot(), Programs: listPrograms(s.config.HookDir)}
	// First what is obeyed, then what is in flight: what the latter counts has been let in by what is in force, or before it.
	d.Serving, d.InForce, _ = s.balancer.InForce()
	d.Instances, d.Modules = s.balancer.Instances(), s.balancer.Modules()
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
	var errs []error
	// Without a leader the node goes on serving (known sessions, provisional ones), so that is no reason to leave the pool: only
	// a node that has not entered its group yet, or has just come back to it, must not get traffic.
	switch {
	case s.state.Group() == nil:
		errs = append(errs, s.balancer.Ready(), s.node.Ready())
	case !s.caughtUp.Load():
		errs = append(errs, errCatchingUp)
	default:
		errs = append(errs, s.balancer.Ready())
	}
	if c := s.state.Checkpoint(); c.Diverged != 0 {
		errs = append(errs, errors.New("the state of this node differs from the leader's"))
	}
	return errors.Join(errs...)
}
