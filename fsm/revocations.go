package fsm

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

const (
	// maxRevocations bounds the nodes that the group remembers as gone for good. Certificates do not end by themselves, so the bound is far above what a group ever removes.
	maxRevocations = 4096
	// maxRevokedAtOnce bounds those of one command.
	maxRevokedAtOnce = 64
	// maxNodeID bounds the Raft id of a node: its name, a slash and eight digits.
	maxNodeID = maxNodeName + 9
)

// Revocation says that the group does not take a node for its own any more, whatever certificate it shows: it was removed, replaced, or left behind by a new epoch.
type Revocation struct {
	// ID is the node's Raft id. A node that comes back as a new member has another one, under the same name.
	ID string `json:"id"`
	// Since is replicated time, Index the log index of the command.
	Since time.Time `json:"since"`
	Index uint64    `json:"index"`
}

// NodeRevoke revokes nodes by their Raft ids, for ever: that of one that is revoked already is a success and no second event. CodeInvalid when one of the ids cannot be that of a node, and nothing is
// revoked then. Above 4096 revocations the oldest is forgotten.
type NodeRevoke struct {
	IDs []string `json:"ids"`
	// Proposer is the node that writes the events to its log.
	Proposer string `json:"proposer,omitempty"`
}

func (*NodeRevoke) kind() kind { return kindNodeRevoke }

// Revoked tells whether the node of a Raft id is none of the group's any more.
func (o *Operating) Revoked(id string) bool {
	_, found := findRevocation(o.Revocations, id)
	return found
}

func findRevocation(list []Revocation, id string) (int, bool) {
	return slices.BinarySearchFunc(list, id, func(v Revocation, id string) int { return cmp.Compare(v.ID, id) })
}

// nodeID is the Raft id of a node. The rule is part of the format.
func (c *check) nodeID(id string) {
	name, digits := cutID(id)
	fits := len(id) <= maxNodeID && digits != ""
	for i := range len(digits) {
		b := digits[i]
		fits = fits && (b >= '0' && b <= '9' || b >= 'a' && b <= 'f')
	}
	if !fits {
		c.failf("%q is no id of a node: its name, a slash and hexadecimal digits", clip(id, maxNodeID))
	}
	c.node(name)
}

// cutID takes a node's id apart at its first slash.
func cutID(id string) (name, digits string) {
	for i := range len(id) {
		if id[i] == '/' {
			return id[:i], id[i+1:]
		}
	}
	return id, ""
}

func (r *replica) nodeRevoke(index uint64, c *NodeRevoke) Result {
	var k check
	k.name("the proposer", c.Proposer)
	if n := len(c.IDs); n == 0 || n > maxRevokedAtOnce {
		k.failf("%d nodes are to be revoked, from 1 to %d can be at once", n, maxRevokedAtOnce)
	} else {
		for _, id := range c.IDs {
			k.nodeID(id)
		}
	}
	if res, refused := k.refused(); refused {
		return res
	}
	next := slices.Clone(r.operating.Load().Revocations)
	var fresh []string
	for _, id := range c.IDs {
		if i, found := findRevocation(next, id); !found {
			next = slices.Insert(next, i, Revocation{ID: id, Since: millis(r.now.Load()), Index: index})
			fresh = append(fresh, id)
		}
	}
	if len(fresh) == 0 {
		return Result{}
	}
	for len(next) > maxRevocations {
		oldest := 0
		for i := range next {
			if next[i].Index < next[oldest].Index {
				oldest = i
			}
		}
		next = slices.Delete(next, oldest, oldest+1)
	}
	r.operate(index, func(o *Operating) { o.Revocations = next })
	for _, id := range fresh {
		name, _ := cutID(id)
		r.emit(index, Event{Kind: EventRevoked, Actor: name, Node: c.Proposer, Text: fmt.Sprintf("Node %s (%s) is no node of the group any more: its certificate counts for nothing from now on", name, id)})
	}
	return Result{}
}

// appendRevocation is the canonical form of a revocation.
func appendRevocation(b []byte, v *Revocation) []byte {
	b = appendBytes(b, v.ID)
	b = appendTime(b, v.Since)
	return appendU64(b, v.Index)
}

func parseRevocation(b []byte) (Revocation, bool) {
	p := parser{b: b}
	v := Revocation{ID: p.string(), Since: p.time(), Index: p.u64()}
	var k check
	k.nodeID(v.ID)
	return v, p.done() && k.message == ""
}

func (r *restorer) revocationsProblem() string {
	list := r.op.Revocations
	for i := range list {
		if v := &list[i]; len(list) > maxRevocations || i > 0 && list[i-1].ID >= v.ID || v.Index == 0 || v.Index > r.op.Index || !r.past(v.Since) {
			return "revocation"
		}
	}
	return ""
}
