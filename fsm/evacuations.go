package fsm

import (
	"cmp"
	"fmt"
	"slices"
)

// maxEvacuations bounds the evacuated nodes: more than a group has, because a name stays when its node leaves.
const maxEvacuations = 100

// maxNodeName is the longest name of a node in bytes.
const maxNodeName = 63

// node is the name of a node: 1 to 63 letters, digits, dots, dashes or underscores, the first a letter or a digit. The rule is part of the format.
func (c *check) node(s string) {
	for i := 0; i < len(s) && i <= maxNodeName; i++ {
		b := s[i]
		alnum := b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9'
		if !alnum && (i == 0 || b != '.' && b != '_' && b != '-') {
			c.failf("%q is no name of a node: 1 to %d letters, digits, dots, dashes or underscores, the first a letter or a digit", clip(s, maxNodeName), maxNodeName)
		}
	}
	if len(s) == 0 || len(s) > maxNodeName {
		c.failf("the name of a node has %d bytes, must be from 1 to %d", len(s), maxNodeName)
	}
}

// Evacuation is that of a node, nil when it is not evacuated.
func (o *Operating) Evacuation(node string) *Evacuation {
	if i, found := findEvacuation(o.Evacuated, node); found {
		return &o.Evacuated[i]
	}
	return nil
}

func findEvacuation(list []Evacuation, node string) (int, bool) {
	return slices.BinarySearchFunc(list, node, func(e Evacuation, node string) int { return cmp.Compare(e.Node, node) })
}

// problem says why it cannot be kept, or nothing.
func (e *Evacuation) problem() string {
	var k check
	k.node(e.Node)
	k.name("the actor", e.Actor)
	k.text("the reason", e.Reason)
	return k.message
}

func (r *replica) evacuationSet(index uint64, c *EvacuationSet) Result {
	e := Evacuation{Node: c.Node, Since: millis(r.now.Load()), Actor: c.Actor, Reason: c.Reason}
	k := check{message: e.problem()}
	o := r.operating.Load()
	i, found := findEvacuation(o.Evacuated, e.Node)
	if !found && len(o.Evacuated) >= maxEvacuations {
		k.failf("%d nodes are evacuated, the most that a group keeps: take back those that are no longer there", len(o.Evacuated))
	}
	if res, refused := k.refused(); refused {
		return res
	}
	next := slices.Clone(o.Evacuated)
	if found {
		if e.Since = next[i].Since; next[i] == e {
			return Result{}
		}
		next[i] = e
	} else {
		next = slices.Insert(next, i, e)
	}
	r.operate(index, func(o *Operating) { o.Evacuated = next })
	r.emit(index, Event{Kind: EventEvacuated, Actor: e.Actor, Text: fmt.Sprintf("Node %s is evacuated%s: it neither leads nor holds the virtual address%s", e.Node, by(e.Actor), because(e.Reason))})
	return Result{}
}

func (r *replica) evacuationClear(index uint64, c *EvacuationClear) Result {
	var k check
	k.node(c.Node)
	k.name("the actor", c.Actor)
	if res, refused := k.refused(); refused {
		return res
	}
	o := r.operating.Load()
	if o.Evacuation(c.Node) == nil {
		return Result{Code: CodeAbsent, Message: fmt.Sprintf("node %s is not evacuated", c.Node)}
	}
	next := without(o.Evacuated, func(e *Evacuation) bool { return e.Node == c.Node })
	r.operate(index, func(o *Operating) { o.Evacuated = next })
	r.emit(index, Event{Kind: EventReturned, Actor: c.Actor, Text: fmt.Sprintf("Evacuation of node %s ended%s", c.Node, by(c.Actor))})
	return Result{}
}

// appendEvacuation is the canonical form of an evacuation.
func appendEvacuation(b []byte, e *Evacuation) []byte {
	b = appendBytes(b, e.Node)
	b = appendTime(b, e.Since)
	b = appendBytes(b, e.Actor)
	return appendBytes(b, e.Reason)
}

func parseEvacuation(b []byte) (Evacuation, bool) {
	p := parser{b: b}
	e := Evacuation{Node: p.string(), Since: p.time(), Actor: p.string(), Reason: p.string()}
	return e, p.done() && e.problem() == ""
}
