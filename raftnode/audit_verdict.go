package raftnode

import (
	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/fsm"
)

// auditVerdict is what a node finds about itself.
type auditVerdict string

const (
	verdictEqual    auditVerdict = "equal"    // a majority has its state
	verdictDiverged auditVerdict = "diverged" // a majority has one state, and this node another
	verdictDiffers  auditVerdict = "differs"  // the leader has another state, and no majority tells which is right
	verdictOpen     auditVerdict = "open"     // too few have answered, and nothing speaks against it
)

// ballot is what the voters say of one checkpoint.
type ballot struct {
	point  fsm.CheckpointRecord // this node's own
	voters int                  // of the group, this node among them if it is one
	counts bool                 // this node is a voter, and what it says counts
	leader raft.ServerID
	leads  bool // this node does

	answers []ballotAnswer // of other voters
}

type ballotAnswer struct {
	server raft.Server
	id     raft.ServerID
	digest fsm.Digest
	known  bool // it has one for that checkpoint
	counts bool // it has not found itself wrong
}

// majority is the digest that more than half of all voters have, and who of the others has it.
func (b *ballot) majority() (right fsm.Digest, having []raft.Server, ok bool) {
	votes := make(map[fsm.Digest]int, len(b.answers)+1)
	if b.counts {
		votes[b.point.Digest]++
	}
	for _, a := range b.answers {
		if a.known && a.counts {
			votes[a.digest]++
		}
	}
	for d, n := range votes { // at most one has a majority
		if 2*n > b.voters {
			right, ok = d, true
		}
	}
	if !ok {
		return right, nil, false
	}
	for _, a := range b.answers {
		if a.known && a.counts && a.digest == right {
			having = append(having, a.server)
		}
	}
	return right, having, true
}

// verdict is about this node.
func (b *ballot) verdict() auditVerdict {
	if right, _, ok := b.majority(); ok {
		if right == b.point.Digest {
			return verdictEqual
		}
		return verdictDiverged
	}
	if b.leads {
		return verdictOpen // without a majority its state is the one that the others are measured by
	}
	for _, a := range b.answers {
		if a.known && a.counts && a.id == b.leader {
			if a.digest != b.point.Digest {
				return verdictDiffers
			}
			return verdictOpen
		}
	}
	// The leader does not answer; its last checkpoint has said what its state was.
	if b.point.Diverged != 0 {
		return verdictDiffers
	}
	return verdictOpen
}
