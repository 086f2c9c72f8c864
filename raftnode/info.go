package raftnode

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/fsm"
)

// Info is what a node says about itself.
type Info struct {
	Name string `json:"name"`
	ID   string `json:"id"` // Raft id
	// Process tells one process of the node from every other one with its id.
	Process string `json:"process,omitempty"`
	GroupID string `json:"groupId"`
	// Epoch is the one in which the log of its state began, 0 while it has none.
	Epoch uint32 `json:"epoch,omitempty"`
	// InForce is the group's present epoch: later than Epoch when an archive was restored into the running group since.
	InForce uint32 `json:"epochInForce,omitempty"`
	Zone    string `json:"zone"`
	Version string `json:"version"`
	// Schema is the version of the state's schema that its program has.
	Schema int `json:"schema,omitempty"`
	// GroupSchema is the schema of the state that the group has, as this node knows it; 0 while it knows none.
	GroupSchema int `json:"groupSchema,omitempty"`
	// Timing is Options.Timing; those of earlier versions do not say.
	Timing string `json:"timing,omitempty"`
	Addr   string `json:"addr"` // advertised peer address
	Admin  string `json:"admin"`
	// Role is starting, forming, joining, follower, candidate, leader, stopped, or stalled: it has given up leading, since its disk does not answer.
	Role  string `json:"role"`
	Voter bool   `json:"voter"`
	// ReadOnly: it wants no vote.
	ReadOnly bool `json:"readOnly,omitempty"`

	Leader     string `json:"leader"` // name, empty when none is known
	LeaderAddr string `json:"leaderAddr"`
	Quorum     bool   `json:"quorum"`

	Term      uint64 `json:"term"`
	Applied   uint64 `json:"applied"` // by the state: barriers and the like do not count
	Committed uint64 `json:"committed"`
	LastLog   uint64 `json:"lastLog"`
	Revision  uint64 `json:"revision"`
	Sessions  int    `json:"sessions"`

	Digest      fsm.Digest           `json:"digest"` // of the state at DigestIndex
	DigestIndex uint64               `json:"digestIndex"`
	Checkpoint  fsm.CheckpointRecord `json:"checkpoint"`

	// Quarantine says why the node has taken itself out of service; absent: it has not.
	Quarantine *Quarantine `json:"quarantine,omitempty"`

	// Disk says why the node should not lead, if that is because of its disk: it does not answer, or is full.
	Disk string `json:"disk,omitempty"`
	// NoRoom: it is full.
	NoRoom bool `json:"noRoom,omitempty"`

	// Members are the Raft ids of the committed membership as this node has it.
	Members []string `json:"members,omitempty"`
	// MembersIndex is the log index of that membership.
	MembersIndex uint64 `json:"membersIndex,omitempty"`

	// Detail is what Options.Describe says.
	Detail json.RawMessage `json:"detail,omitempty"`

	Started time.Time `json:"started"`
	Now     time.Time `json:"now"` // the node's own clock
	// GroupTime is the group's time if this process of the node has learned it from the group, else zero.
	GroupTime time.Time `json:"groupTime,omitzero"`
}

func (i Info) release() release { return release{i.Version, i.Schema} }

// Info never blocks.
func (n *Node) Info() Info {
	index, digest := n.state.DigestAt()
	i := Info{
		Name: n.opt.Name, ID: n.ID(), Process: n.process, Zone: n.opt.Zone, Version: n.says.Version, Schema: n.says.Schema, Timing: cmp.Or(n.opt.Timing, "lan"), Addr: n.addr, Admin: n.opt.AdminAddr,
		Role: *n.phase.Load(), Quorum: n.Quorum(), Applied: n.state.Applied(), Revision: n.state.Revision().Number,
		Sessions: n.state.Len(), Digest: digest, DigestIndex: index, Checkpoint: n.state.Checkpoint(),
		Started: n.started, Now: n.opt.Now(), GroupTime: n.clock.said(),
	}
	i.Quarantine = n.audit.confined.top.Load()
	if err := n.DiskTrouble(); err != nil {
		i.Disk = err.Error()
	}
	i.NoRoom = n.disk.space.short.Load() != nil
	i.GroupSchema = n.inForce()
	i.Epoch, i.InForce, i.ReadOnly = n.epoch(), n.inForceEpoch(), n.opt.ReadOnly
	i.Members, i.MembersIndex, _ = n.roll.get()
	if n.opt.Describe != nil {
		i.Detail = n.opt.Describe()
	}
	if c := n.creds.Load(); c != nil {
		i.GroupID = c.GroupID
	}
	if at, _ := n.watch.get(); at.known {
		i.Leader, i.LeaderAddr = nameOf(at.id), at.addr
	}
	if r := n.raft.Load(); r != nil {
		i.Role = strings.ToLower(r.State().String())
		switch {
		case i.Role == "shutdown":
			i.Role = "stopped"
		case i.Role == "leader" && n.trans.isMute(r.CurrentTerm()):
			i.Role = "stalled"
		}
		i.Term, i.Committed, i.LastLog = r.CurrentTerm(), r.CommitIndex(), r.LastIndex()
		if n.Parted() { // raft's word is that of when it was closed
			i.Term = max(i.Term, n.learnt.position().term)
		}
		if s, ok := memberByID(r.GetConfiguration().Configuration(), *n.id.Load()); ok {
			i.Voter = s.Suffrage == raft.Voter
		}
	}
	return i
}

func (n *Node) handleInfo(context.Context, caller, []byte) ([]byte, error) {
	return encodeJSON(n.Info()), nil
}

// Ready is nil once the node is a member that knows a leader and the group's state.
func (n *Node) Ready() error {
	switch at, _ := n.watch.get(); {
	case n.raft.Load() == nil:
		text := "the node is " + *n.phase.Load()
		if why := n.troubles.String(); why != "" {
			text += " (" + why + ")"
		}
		return errors.New(text)
	case n.DiskLost() != nil:
		return n.DiskLost()
	case !at.known:
		return ErrNoQuorum
	case n.state.Group() == nil:
		return errors.New("the group's state has not arrived yet")
	}
	return nil
}

func memberByID(c raft.Configuration, id raft.ServerID) (raft.Server, bool) {
	for _, s := range c.Servers {
		if s.ID == id {
			return s, true
		}
	}
	return raft.Server{}, false
}

// Leader is the name of the node that leads, as far as this one knows; empty when none is known. It never blocks.
func (n *Node) Leader() string {
	at, _ := n.watch.get()
	if !at.known {
		return ""
	}
	return nameOf(at.id)
}
