package fsm

import (
	"fmt"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// EventEnded: what an instance still had in flight on a node was ended by its hardTimeout; Actor is that node.
const EventEnded = "in-flight-ended"

// EndedNote is a node's word that it has ended what it still had in flight to a stopped instance. All that it leaves is an event; CodeInvalid when a name is missing
// or too long, or Count is not positive.
type EndedNote struct {
	RequestID RequestID `json:"requestId"`
	Cluster   string    `json:"cluster"`
	Instance  string    `json:"instance"`
	Node      string    `json:"node"`
	// Count is how many requests, streams and flows those were, After how long the instance had been stopped (hardTimeout).
	Count int             `json:"count"`
	After config.Duration `json:"after"`
}

func (*EndedNote) kind() kind           { return kindEndedNote }
func (c *EndedNote) request() RequestID { return c.RequestID }

func (r *replica) endedNote(index uint64, c *EndedNote) Result {
	var k check
	k.id("the cluster's name", c.Cluster)
	k.id("the instance's name", c.Instance)
	k.node(c.Node)
	if c.Count <= 0 || c.After < 0 {
		k.failf("%d in flight after %v: want more than none, and a time", c.Count, c.After)
	}
	if res, refused := k.refused(); refused {
		return res
	}
	s := Subject{Cluster: c.Cluster, Instance: c.Instance}
	r.emit(index, Event{Kind: EventEnded, Subject: s, Actor: c.Node, Node: c.Node,
		Text: fmt.Sprintf("Hard time-out: node %s has ended %d in flight to %s, which was stopped %v before", c.Node, c.Count, s.describe(), c.After)})
	return Result{}
}
