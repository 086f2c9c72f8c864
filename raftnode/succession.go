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
	// Index is the last entry of earlier terms that changed the state.
	Index uint64
	// Sessions is the number of assignments that this node had applied when its term began, before it applied what was left of earlier terms: as many as
	// when Previous was last heard of, unless it was still applying what it had heard. Without Previous it is the number behind that.
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
func (n *Node) succeed(l *leadership) Succession {
	s := Succession{Term: l.term, PreviousTerm: l.before.term, LastContact: l.before.heard, Planned: l.planned, Contacts: n.trans.contacts(), Index: n.state.Applied(), Sessions: l.sessions}
	if l.before.leader == "" { // what it had when it began is what its snapshot has
		s.Sessions = n.state.Len()
		return s
	}
	s.Previous = nameOf(l.before.leader)
	return s
}
