package raftnode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/storage"
)

// A promise is exclusive and durable: a node takes part in the founding of one membership only. Any two memberships of N
// nodes that share a node can therefore not both have all promises, however the nodes were started and whoever crashed when.
// Only its proposer may replace a promise, and only as long as it has not decided (phaseForming).
type promise struct {
	Proposer raft.ServerID `json:"proposer"`
	Attempt  uint64        `json:"attempt"`
	Members  []founder     `json:"members"` // by name
	Phase    string        `json:"phase"`
	release                // of the proposer, when it sends it
}

// The phases of the proposer's own promise; that of the others is phasePromised throughout.
const (
	phasePromised = "promised"
	phaseForming  = "forming" // decided, not all have been told
	phaseFormed   = "formed"
)

var keyPromise = []byte("HoldfastPromise")

// loadPromise gives the zero promise when there is none.
func (n *Node) loadPromise() (p promise, err error) {
	b, err := n.opt.Dir.Stable().Get(keyPromise)
	if errors.Is(err, storage.ErrKeyNotFound) {
		return promise{}, nil
	}
	if err != nil {
		return promise{}, fmt.Errorf("read promise: %w", err)
	}
	if err := json.Unmarshal(b, &p); err != nil {
		return promise{}, fmt.Errorf("read promise: %w", err)
	}
	return p, nil
}

func (n *Node) savePromise(p promise) error {
	if err := n.opt.Dir.Stable().Set(keyPromise, encodeJSON(p)); err != nil {
		return fmt.Errorf("write promise: %w", err)
	}
	return nil
}

// proposal makes this node's own promise for members. formation.promising is held.
func (n *Node) proposal(members []founder) (promise, error) {
	self := *n.id.Load()
	old, err := n.loadPromise()
	if err != nil {
		return promise{}, err
	}
	if old.Proposer != "" && old.Proposer != self {
		return promise{}, promisedTo(old)
	}
	p := promise{Proposer: self, Attempt: old.Attempt + 1, Members: members, Phase: phasePromised}
	return p, n.savePromise(p)
}

func promisedTo(p promise) error {
	return refused("this node has promised node %s to found the group with %v; if that node has lost its data, empty the data directories of all of them and start again",
		nameOf(p.Proposer), namesOf(p.Members))
}

// checkProposal holds a proposer's message against who sent it and what this node is.
func (n *Node) checkProposal(from caller, payload []byte) (promise, error) {
	p, err := decodeJSON[promise](payload)
	if err != nil {
		return p, refused("%v", err)
	}
	if p.Proposer != from.id || len(p.Members) == 0 || len(p.Members) > maxGreeted || p.Members[0].ID != from.id ||
		!slices.Contains(p.Members, n.self()) || !slices.IsSortedFunc(p.Members, func(a, b founder) int {
		if a.Name < b.Name {
			return -1
		}
		return 1 // equal names are not sorted either
	}) {
		return p, refused("the proposed membership is not one that this node could belong to")
	}
	return p, n.admissible(from.name, p.release)
}

// handlePromise gives this node's promise to the first who asks for it.
func (n *Node) handlePromise(_ context.Context, from caller, payload []byte) ([]byte, error) {
	p, err := n.checkProposal(from, payload)
	if err != nil {
		return nil, err
	}
	f := &n.formation
	if !f.promising.TryLock() { // this node is collecting promises itself
		return nil, retryLater("another founding is under way")
	}
	defer f.promising.Unlock()
	if blank, err := n.blank(); err != nil || !blank || !f.isActive() {
		return nil, errors.Join(retryLater("this node is not founding a group"), err)
	}
	if len(p.Members) != n.opt.BootstrapExpect {
		return nil, refused("%d nodes are proposed, this node expects %d", len(p.Members), n.opt.BootstrapExpect)
	}
	old, err := n.loadPromise()
	if err != nil {
		return nil, err
	}
	if old.Proposer != "" && (old.Proposer != p.Proposer || p.Attempt < old.Attempt) {
		return nil, promisedTo(old)
	}
	p.Phase = phasePromised
	return nil, n.savePromise(p)
}

// handleForm bootstraps what was promised.
func (n *Node) handleForm(_ context.Context, from caller, payload []byte) ([]byte, error) {
	p, err := n.checkProposal(from, payload)
	if err != nil {
		return nil, err
	}
	f := &n.formation
	f.promising.Lock()
	defer f.promising.Unlock()
	old, err := n.loadPromise()
	if err != nil {
		return nil, err
	}
	if old.Proposer != p.Proposer || old.Attempt != p.Attempt || !sameMembers(old.Members, p.Members) {
		return nil, promisedTo(old)
	}
	blank, err := n.blank()
	if err != nil {
		return nil, err
	}
	if !blank {
		return nil, nil // told before
	}
	if !f.isActive() {
		return nil, retryLater("this node is not founding a group")
	}
	if err := n.bootstrap(p.Members); err != nil {
		return nil, err
	}
	f.tell()
	n.log.Info("the group is founded", "nodes", namesOf(p.Members), "by", nameOf(p.Proposer))
	return nil, nil
}
