package raftnode

import (
	"context"
	"time"
)

// Succession tells a new leader whom it follows, and what it has taken over.
type Succession struct {
	// Term is the one in which this node leads.
	Term uint64
	// Previous is the name of the last leader that this node knew, its own when it led itself; empty when it has heard of none since its start.
	Previous     string
	PreviousTerm uint64
	// LastContact is the last sign of life of Previous, with a monotonic reading; zero when this node led itself or never heard of one.
	LastContact time.Time
	// Contacts has the same of each leader that this node has heard of since its start, by name.
	Contacts map[string]time.Time
	// Index is the last entry of earlier terms that changed the state, and Sessions the number of assignments then.
	Index    uint64
	Sessions int
	// Planned: the previous leader has handed over.
	Planned bool
}

// OnElected has f run whenever this node begins to lead, as soon as everything of earlier terms is applied, and before the group's clock is judged and anything is
// answered. ctx ends with the term; f must return then. To be called before Run.
func (n *Node) OnElected(f func(ctx context.Context, s Succession)) {
	n.onElected = append(n.onElected, f)
}

// succeed completes what was known when the term began.
func (n *Node) succeed(before reign, planned bool, term uint64) Succession {
	s := Succession{Term: term, PreviousTerm: before.term, LastContact: before.heard, Planned: planned, Contacts: n.trans.contacts(), Index: n.state.Applied(), Sessions: n.state.Len()}
	if before.leader != "" {
		s.Previous = nameOf(before.leader)
	}
	return s
}
