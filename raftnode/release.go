package raftnode

import (
	"cmp"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/holdfast-lb/holdfast/fsm"
)

// release is what a node says about its program to those with whom it founds a group, whom it joins and to whom it comes back.
type release struct {
	Version string `json:"version,omitempty"`
	// Schema is fsm.Schema of the program; those of schema 1 do not say.
	Schema int `json:"schema,omitempty"`
}

const (
	// maxVersion bounds a version in bytes, maxSchema a schema.
	maxVersion = 128
	maxSchema  = 1 << 20
)

// valid refuses what no program says. The values are not quoted: they are whatever somebody sent.
func (r release) valid() error {
	if r.Schema < 0 || r.Schema > maxSchema {
		return refused("the schema of the state is a number from 1 to %d", maxSchema)
	}
	if len(r.Version) > maxVersion || strings.ContainsFunc(r.Version, func(c rune) bool { return !unicode.IsPrint(c) }) {
		return refused("the version of a program has at most %d bytes, all of them printable", maxVersion)
	}
	return nil
}

func (r release) schema() int { return max(r.Schema, 1) }

func (r release) String() string {
	return fmt.Sprintf("%s with schema %d of the state", cmp.Or(r.Version, "unknown"), r.schema())
}

// apart says why the program of the node name cannot be in one group with that of the node there; empty if it can. inForce is the schema that the group has, as
// the node there knows it; 0 while it knows none: a group is founded by nodes of one schema, and in one of before BaseSchema all need the same.
func (r release) apart(name string, there release, node string, inForce int) string {
	if inForce == 0 && r.schema() == there.schema() || inForce > 0 && fsm.SchemaFits(r.schema(), inForce) {
		return ""
	}
	text := fmt.Sprintf("node %s runs version %v, node %s version %v; ", name, r, node, there)
	switch {
	case inForce == 0:
		return text + fmt.Sprintf("all nodes need the same schema until the group has one: install the version of node %s on node %s, or stop all nodes of the group and start them with the newer version", node, name)
	case r.schema() < inForce:
		return text + fmt.Sprintf("the group has schema %d, which is never lowered: install the version of node %s on node %s", inForce, node, name)
	}
	return text + fmt.Sprintf("the group has schema %d, and a node may be one ahead: install the version of node %s on node %s, or first upgrade all nodes to a version with schema %d, one after the other", inForce, node, name, inForce+1)
}

// inForce is the schema that the group has as this node knows it, 0 while it knows none.
func (n *Node) inForce() int {
	if n.state.Group() == nil {
		return 0
	}
	return n.state.Schema()
}

// fitsState refuses to go on with a state that this node's program is too new, or too old, for.
func (n *Node) fitsState() error {
	own, have := n.says.schema(), n.inForce()
	switch {
	case have == 0 || fsm.SchemaFits(own, have):
		return nil
	case own < have:
		return refused("the state in %s has schema %d, this program (version %v) does not know it, and a schema is never lowered: install the version that this node ran before", n.opt.Dir.Path(), have, n.says)
	}
	return refused("the state in %s has schema %d, this program is version %v, and a program may be one schema ahead: upgrade all nodes of the group to a version with schema %d first, one after the other, and wait until the group has raised its schema ('holdfast status' shows it)",
		n.opt.Dir.Path(), have, n.says, have+1)
}

// admissible judges what the node name says about its program. A refusal, and another version, is put into this node's log, which is the
// leader's when a node joins or comes back. The refused node may ask again: it comes in once either side has been upgraded.
func (n *Node) admissible(name string, r release) error {
	err := r.valid()
	if err == nil {
		if text := r.apart(name, n.says, n.opt.Name, n.inForce()); text != "" {
			err = retryLater(text)
		}
	}
	switch {
	case err != nil && n.said.due(name+": "+err.Error(), time.Now()):
		n.log.Warn("node refused", "member", name, "reason", err)
	case err == nil:
		n.noteVersion(name, r)
	}
	return err
}

// noteVersion warns of a node that has another version with the same schema: good for a rolling upgrade, not for longer.
func (n *Node) noteVersion(name string, r release) {
	if r.Version != n.says.Version && n.said.due(name+" "+r.Version, time.Now()) {
		n.log.Warn("nodes run different versions", "member", name, "version", cmp.Or(r.Version, "unknown"), "here", cmp.Or(n.says.Version, "unknown"))
	}
}

// remarks keeps what is said again and again from filling the log.
type remarks struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// maxRemarks bounds what is remembered; beyond that all of it is forgotten.
const maxRemarks = 4 * maxGreeted

// due tells whether text was not said within troubleAgain.
func (r *remarks) due(text string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, ok := r.last[text]; ok && now.Sub(at) < troubleAgain {
		return false
	}
	if r.last == nil || len(r.last) >= maxRemarks {
		r.last = map[string]time.Time{}
	}
	r.last[text] = now
	return true
}
