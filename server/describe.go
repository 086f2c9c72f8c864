package server

import (
	"encoding/json"
	"errors"
	"net/netip"
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
	// Evacuated: that alone is why it is not ready.
	Evacuated bool `json:"evacuated,omitempty"`
	// Logged is the last event of the group that has its line in some log, as far as this node knows.
	Logged uint64 `json:"logged,omitempty"`
	// Jobs are the leader's duties that this node does now.
	Jobs      []job               `json:"jobs,omitempty"`
	Instances []lb.InstanceStatus `json:"instances"`
	Modules   []lb.ModuleStatus   `json:"modules"`
	// Programs are what workflows may run here; nil when a node of an older version does not say.
	Programs *hookPrograms `json:"programs,omitempty"`
	// VIP is nil without virtual addresses, DNS lists the addresses by which clients reach the node.
	VIP *addressReport `json:"vip,omitempty"`
	DNS []netip.Addr   `json:"dns,omitempty"`
	// Zone is what it answers DNS for; nil: for nothing.
	Zone *dnsZone `json:"dnsZone,omitempty"`
	// Copies is nil when it lacks none of the values that it should have beside the log.
	Copies *copiesReport `json:"copies,omitempty"`
	// Backup is nil when it makes no backups.
	Backup *backupOffer `json:"backup,omitempty"`
}

func (s *Server) describe() []byte {
	d := description{Ready: true, Logged: s.mark.get(), Jobs: s.jobs.snapshot(), Programs: listPrograms(s.config.HookDir), VIP: s.addressReport(), DNS: s.clientAddrs, Backup: s.config.backupOffer(), Zone: s.config.dnsZone()}
	// First what is obeyed, then what is in flight: what the latter counts has been let in by what is in force, or before it.
	d.Serving, d.InForce, _ = s.balancer.InForce()
	d.Instances, d.Modules = s.balancer.Instances(), s.balancer.Modules()
	if n := s.copies.Missing(); n > 0 {
		d.Copies = &copiesReport{Missing: n}
	}
	s.before.add(&d)
	if err := s.ready(); err != nil {
		_, out := evacuation(s.state.Operating(), s.config.Name)
		d.Ready, d.Evacuated, d.Reason = false, out && !s.leaving.Load() && s.serves() == nil, strings.ReplaceAll(err.Error(), "\n", "; ")
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
	if err := s.node.DiskLost(); err != nil {
		return err
	}
	if why, out := evacuation(s.state.Operating(), s.config.Name); out {
		return errors.New(why)
	}
	return s.serves()
}
