package fsm

import (
	"fmt"
	"slices"
	"time"
)

// QuarantineNote is the leader's: a node has taken itself out of service, or is back in it; or it does not answer, or does again. Or it is any node's: a copy of a node that runs was refused. All that it leaves is an event. What the last event about the node says already is not said again, whoever
// leads by then; CodeInvalid when Node is no name of a node, or a text is too long.
type QuarantineNote struct {
	Node string `json:"node"`
	// Silent: it is about whether the node answers, and not about what it says of itself.
	Silent bool `json:"silent,omitempty"`
	// Copy, when not empty, is the address at which a copy of the node was refused; it is about nothing else then.
	Copy string `json:"copy,omitempty"`
	// Over: it is back. Cause and Text are why it is not.
	Over  bool   `json:"over,omitempty"`
	Cause string `json:"cause,omitempty"`
	Text  string `json:"text,omitempty"`
	// Proposer is the node that writes the event to its log.
	Proposer string `json:"proposer,omitempty"`
}

func (r *replica) quarantineNote(index uint64, c *QuarantineNote) Result {
	var k check
	k.node(c.Node)
	k.name("the cause", c.Cause)
	k.text("the text", c.Text)
	k.name("the proposer", c.Proposer)
	k.name("the address of the copy", c.Copy)
	if res, refused := k.refused(); refused {
		return res
	}
	if c.Copy != "" {
		r.copyNote(index, c)
		return Result{}
	}
	if c.Silent {
		r.silenceNote(index, c)
		return Result{}
	}
	e := Event{Kind: EventQuarantined, Actor: c.Node, Node: c.Proposer, Text: fmt.Sprintf("Node %s has taken itself out of service%s%s", c.Node, inBrackets(c.Cause), because(c.Text))}
	if c.Over {
		e.Kind, e.Text = EventQuarantineOver, fmt.Sprintf("Node %s is back in service", c.Node)
	}
	last := lastEvent(*r.events.Load(), c.Node, EventQuarantined, EventQuarantineOver)
	if last != nil && last.Kind == e.Kind && last.Text == clip(e.Text, maxTextBytes) || c.Over && (last == nil || last.Kind == EventQuarantineOver) {
		return Result{}
	}
	r.emit(index, e)
	return Result{}
}

func inBrackets(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

// silenceNote adds the event of a silence, or of its end: each once, whatever is said of it.
func (r *replica) silenceNote(index uint64, c *QuarantineNote) {
	last := lastEvent(*r.events.Load(), c.Node, EventSilent, EventAnswers)
	silent := last != nil && last.Kind == EventSilent
	if silent != c.Over {
		return
	}
	e := Event{Kind: EventSilent, Actor: c.Node, Node: c.Proposer, Text: fmt.Sprintf("Node %s does not answer%s", c.Node, because(c.Text))}
	if c.Over {
		e.Kind, e.Text = EventAnswers, fmt.Sprintf("Node %s answers again", c.Node)
	}
	r.emit(index, e)
}

// copiesApart is how far apart in replicated time two events about copies of one node are. A copy that a service manager starts again and again knocks every few seconds, by another port each time perhaps.
const copiesApart = time.Hour

// copyNote adds the event of a copy that was refused: once for each place in which it is, as long as the event is kept.
func (r *replica) copyNote(index uint64, c *QuarantineNote) {
	e := Event{Kind: EventCopyRefused, Actor: c.Node, Node: c.Proposer, Text: fmt.Sprintf("A copy of node %s was refused at %s%s", c.Node, c.Copy, because(c.Text))}
	now := millis(r.now.Load())
	for _, old := range *r.events.Load() {
		if old.Kind == e.Kind && old.Actor == e.Actor && (old.Text == clip(e.Text, maxTextBytes) || now.Sub(old.Time) < copiesApart) {
			return
		}
	}
	r.emit(index, e)
}

// lastEvent is the newest event of two kinds about a node, nil for none.
func lastEvent(list []Event, node, begun, over string) *Event {
	for i := len(list) - 1; i >= 0; i-- {
		if e := &list[i]; e.Actor == node && (e.Kind == begun || e.Kind == over) {
			return e
		}
	}
	return nil
}

// InQuarantine tells of which nodes the events that the group keeps say that they are out of service.
func (s *State) InQuarantine() map[string]bool {
	return s.during(EventQuarantined, EventQuarantineOver)
}

// Silent tells of which nodes the events that the group keeps say that they do not answer.
func (s *State) Silent() map[string]bool { return s.during(EventSilent, EventAnswers) }

func (s *State) during(begun, over string) map[string]bool {
	out := map[string]bool{}
	for _, node := range absent(*s.cur.Load().events.Load(), begun, over) {
		out[node] = true
	}
	return out
}

// absent lists the nodes, in their order, of which the events say that something has begun and not that it is over.
func absent(list []Event, begun, over string) (nodes []string) {
	for _, e := range list {
		switch i, known := slices.BinarySearch(nodes, e.Actor); {
		case e.Kind == begun && !known:
			nodes = slices.Insert(nodes, i, e.Actor)
		case e.Kind == over && known:
			nodes = slices.Delete(nodes, i, i+1)
		}
	}
	return nodes
}

// endAbsences adds the events that end what others say of nodes of an epoch that is over. Without them the first leader of the next one would say it of the nodes that have the names now: that they answer again, or are back in service.
func (r *replica) endAbsences(epoch uint32) {
	for _, absence := range []struct{ begun, over, text string }{
		{EventSilent, EventAnswers, "did not answer"}, {EventQuarantined, EventQuarantineOver, "was out of service"},
	} {
		for _, node := range absent(*r.events.Load(), absence.begun, absence.over) {
			r.emit(r.applied.Load(), Event{Kind: absence.over, Actor: node, Text: fmt.Sprintf("Node %s of epoch %d %s when that epoch ended", node, epoch, absence.text)})
		}
	}
}
