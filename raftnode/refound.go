package raftnode

import (
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/internal/failpoint"
	"github.com/holdfast-lb/holdfast/raftnode/pki"
	"github.com/holdfast-lb/holdfast/storage"
)

// unknownAddr stands for the address of a node that has not been started yet: a leader that is alone gives itself its own (see announce). The domain is one that can
// never exist (RFC 6761, 6.4).
const unknownAddr = "restored.invalid:7701"

// Refound is what a group begins again with, on one node.
type Refound struct {
	// Dir is the open data directory, empty. TLSDir takes the node's certificate; default: Dir.TLSDir().
	Dir    Disk
	TLSDir string
	// Name is the name of the one node.
	Name string
	// State is the state, in the epoch that is to begin (fsm.State.BeginEpoch). Term is the Raft term in which it was taken: the group goes on above it.
	State *fsm.State
	Term  uint64
	// Former are the members before, who are told that a new epoch has begun when they come back; nil: nobody is told, for the group may live on elsewhere.
	Former []ImageMember
	// Now is the wall clock; nil: time.Now.
	Now func() time.Time
}

// Write makes Dir that of a group whose only member is the node Name. The node is a new one, with a key of its own, whatever its name: one of the old group that
// comes back is a stranger. Group, authority and keys are those of the state, so nodes that have the group's init string or a join token of the state come in as
// before.
//
// The certificate comes last. A directory in which it is missing is not finished, and a node refuses to start on it.
func (f Refound) Write() error {
	group := f.State.Group()
	if group == nil || f.State.Applied() == 0 || f.Term == 0 {
		return errors.New("found the group again: there is no state to do it with")
	}
	if f.Now == nil {
		f.Now = time.Now
	}
	if f.TLSDir == "" {
		f.TLSDir = f.Dir.TLSDir()
	}
	failpoint.Hit(failpoint.FoundOpened)
	creds, err := f.credentials(group)
	if err != nil {
		return fmt.Errorf("found the group again: %w", err)
	}
	nodeID, err := nodeIDOf(creds.Key().Public())
	if err != nil {
		return fmt.Errorf("found the group again: %w", err)
	}
	id := storage.Identity{Name: f.Name, NodeID: nodeID, GroupID: group.ID, Epoch: uint64(group.Epoch)}
	if err := f.Dir.SetIdentity(id); err != nil {
		return fmt.Errorf("found the group again: %w", err)
	}
	failpoint.Hit(failpoint.FoundIdentity)
	if len(f.Former) > 0 {
		if err := saveFormer(f.Dir, f.Former); err != nil {
			return fmt.Errorf("found the group again: %w", err)
		}
		failpoint.Hit(failpoint.FoundFormer)
	}
	if err := f.raftState(serverID(f.Name, nodeID)); err != nil {
		return fmt.Errorf("found the group again: %w", err)
	}
	failpoint.Hit(failpoint.FoundSnapshot)
	if err := creds.Save(f.TLSDir); err != nil {
		return fmt.Errorf("found the group again: %w", err)
	}
	failpoint.Hit(failpoint.FoundCertificate)
	return nil
}

// credentials makes the node's certificate with the group's authority, whose key the state keeps.
func (f Refound) credentials(group *fsm.Group) (*pki.Credentials, error) {
	ca, err := pki.LoadCA(group.CACert, group.CAKey)
	if err != nil {
		return nil, err
	}
	if ca.GroupID != group.ID {
		return nil, fmt.Errorf("the authority is that of group %s, the state that of group %s", ca.GroupID, group.ID)
	}
	creds, err := pki.SelfIssue(ca, f.Name, f.Now())
	if err != nil {
		return nil, err
	}
	return creds.WithoutCAKey(), nil
}

// raftState is what raft.RecoverCluster leaves: a snapshot that says who the members are, and no log. The log goes on behind the snapshot, so an index is
// never used twice in what the state remembers.
func (f Refound) raftState(self raft.ServerID) error {
	if err := f.Dir.Stable().SetUint64(keyTerm, f.Term); err != nil {
		return err
	}
	failpoint.Hit(failpoint.FoundTerm)
	members := raft.Configuration{Servers: []raft.Server{{Suffrage: raft.Voter, ID: self, Address: unknownAddr}}}
	index := f.State.Applied()
	_, trans := raft.NewInmemTransport(unknownAddr) // only to write the members down
	sink, err := f.Dir.Snapshots().Create(raft.SnapshotVersionMax, index, f.Term, members, index, trans)
	if err != nil {
		return err
	}
	snap := f.State.Snapshot()
	defer snap.Release()
	if _, err := snap.WriteTo(sink); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}
