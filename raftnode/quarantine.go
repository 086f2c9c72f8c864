package raftnode

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A node that cannot be trusted takes itself out of service: it is in quarantine. It goes on taking part in Raft as a follower, since its log is right and its vote is needed; but it does not lead, is no
// candidate, gets no lease, decides nothing, and what it says of its state counts for nobody. The floors above take it out of the traffic (Quarantined).

// Cause is why a node is in quarantine.
type Cause string

// The causes, the gravest first.
const (
	// CauseDiverged: a majority of the voters has one state, and this node another. A new copy of the state mends it.
	CauseDiverged Cause = "diverged"
	// CauseFull: the disk has no room, so that this node takes nothing new and is behind its group. It ends by itself when there is room and the node has caught up.
	CauseFull Cause = "disk-full"
	// CauseStuck: the group goes on, and this node does not apply what it commits, or can have nothing recorded. It ends when that works again; a restart mends most of it.
	CauseStuck Cause = "stuck"
	// CauseDiffers: this node has another state than the leader, and no majority answers that could tell which is right. Such a node may lead all the same when it must.
	CauseDiffers Cause = "differs"
)

var causes = []Cause{CauseDiverged, CauseFull, CauseStuck, CauseDiffers}

// ErrQuarantined: the node has taken itself out of service, and decides nothing.
var ErrQuarantined = errors.New("this node is in quarantine")

// Quarantine says why a node is out of service. It is immutable.
type Quarantine struct {
	Cause Cause `json:"cause"`
	// Since is by the node's own clock.
	Since time.Time `json:"since"`
	// Index is the log index at which that was found.
	Index uint64 `json:"index"`
	// Text says it for people, with what to do.
	Text string `json:"text"`
	// Difference names what differs first; empty while that is not known.
	Difference string `json:"difference,omitempty"`
}

func (q *Quarantine) Error() string {
	text := q.Text
	if q.Difference != "" {
		text += " (" + q.Difference + ")"
	}
	return text
}

// Is makes it an ErrQuarantined.
func (q *Quarantine) Is(target error) bool { return target == ErrQuarantined }

// aboutState tells whether the state itself is in doubt: a node that does not keep up has an old one of its group, not another one.
func (c Cause) aboutState() bool { return c == CauseDiverged || c == CauseDiffers }

// confinement is what of a node is in quarantine now. The zero value is a free node.
type confinement struct {
	mu  sync.Mutex
	why map[Cause]*Quarantine
	top atomic.Pointer[Quarantine]
	// doubt is the gravest about the state.
	doubt atomic.Pointer[Quarantine]
}

// set begins a quarantine, or says something new about one: then its beginning stays. It tells whether it began.
func (c *confinement) set(q Quarantine) (began bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why == nil {
		c.why = make(map[Cause]*Quarantine)
	}
	was := c.why[q.Cause]
	if was != nil {
		q.Since = was.Since
		if q.Difference == "" {
			q.Difference = was.Difference
		}
	}
	c.why[q.Cause] = &q
	c.pick()
	return was == nil
}

// lift ends one; it tells whether it was on.
func (c *confinement) lift(cause Cause) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, on := c.why[cause]
	delete(c.why, cause)
	c.pick()
	return on
}

func (c *confinement) pick() {
	var top, doubt *Quarantine
	for _, cause := range causes {
		q := c.why[cause]
		if q == nil {
			continue
		}
		if top == nil {
			top = q
		}
		if doubt == nil && cause.aboutState() {
			doubt = q
		}
	}
	c.top.Store(top)
	c.doubt.Store(doubt)
}

// of gives the quarantine for one cause, nil for none.
func (c *confinement) of(cause Cause) *Quarantine {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.why[cause]
}

// Quarantined is why this node is out of service, as a *Quarantine and ErrQuarantined; nil when it is not. It never blocks.
func (n *Node) Quarantined() error {
	if q := n.audit.confined.top.Load(); q != nil {
		return q
	}
	return nil
}

// StateInDoubt is why what this node knows of its group must not be told to anybody, as a *Quarantine and ErrQuarantined; nil when it may. A node that is stuck, or has no room on its disk, has an old state of the group, not another one. It never
// blocks.
func (n *Node) StateInDoubt() error {
	if q := n.audit.confined.doubt.Load(); q != nil {
		return q
	}
	return nil
}

// barred is why this node has no say in its group; nil when it has.
func (n *Node) barred() error {
	if q := n.audit.confined.top.Load(); q != nil && q.Cause != CauseDiffers {
		return fmt.Errorf("%w: %s", ErrQuarantined, q.Text)
	}
	return nil
}

// confine puts this node in quarantine.
func (n *Node) confine(q Quarantine) {
	q.Since = n.opt.Now().UTC()
	if n.audit.confined.set(q) {
		n.met.quarantines.WithLabelValues(string(q.Cause)).Inc()
		n.log.Error("this node takes itself out of service", "cause", string(q.Cause), "index", q.Index, "reason", q.Text)
	}
}

// free ends the quarantine for one cause.
func (n *Node) free(cause Cause, why string) {
	if n.audit.confined.lift(cause) {
		n.log.Warn("the quarantine of this node is over", "cause", string(cause), "reason", why)
	}
}

// gaugeOf is 1 while this node is in quarantine for a cause.
func (c *confinement) gaugeOf(cause Cause) float64 {
	if c.of(cause) != nil {
		return 1
	}
	return 0
}
