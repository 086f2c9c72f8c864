package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

// The documents of changes of the membership.
type (
	NodeRemoved = wire.NodeRemoved
	Resync      = wire.Resync
)

// RemoveNode takes a node out of the group. It is not repeated when its outcome is unknown: the node would not be found. A refusal is a *Problem with refused.
func (c *Client) RemoveNode(ctx context.Context, node string, force bool) (*NodeRemoved, error) {
	q := url.Values{}
	if force {
		q.Set("force", "true")
	}
	r, _, err := call[NodeRemoved](ctx, c, request{method: http.MethodDelete, path: nodePath(node), query: q, extra: transferTime})
	return r, err
}

// ResyncNode has a node drop its state and take a new copy of it. WaitResync says when that is over. A refusal is a *Problem with refused.
func (c *Client) ResyncNode(ctx context.Context, node string) (*Resync, error) {
	r, _, err := call[Resync](ctx, c, request{method: http.MethodPost, path: nodePath(node) + "/resync", extra: transferTime})
	return r, err
}

// Resyncing is how far a resync is.
type Resyncing struct {
	Node string `json:"node"`
	// Begun: the state of before is gone.
	Begun   bool   `json:"begun"`
	Applied uint64 `json:"applied"` // log index that the node has reached
	Index   uint64 `json:"index"`   // that it has to reach
	Ready   bool   `json:"ready"`   // or it would be if it were not evacuated
	Voter   bool   `json:"voter"`
	// Evacuated: it gets no traffic, whatever state it has.
	Evacuated bool `json:"evacuated,omitempty"`
	// WantsVote: it had one.
	WantsVote bool `json:"-"`
	// Err is why the last look failed, nil when it did not. The wait goes on.
	Err error `json:"-"`
}

// Done tells whether the node is back.
func (r Resyncing) Done() bool {
	return r.Err == nil && r.Begun && r.Ready && r.Applied >= r.Index && (r.Voter || !r.WantsVote)
}

// String says it in words.
func (r Resyncing) String() string {
	switch {
	case r.Done() && r.Evacuated:
		return fmt.Sprintf("node %s has a new copy of the state, up to log index %d; it is evacuated, so it gets no traffic before 'holdfast node evacuate %s --undo'", r.Node, r.Applied, r.Node)
	case r.Done():
		return fmt.Sprintf("node %s has a new copy of the state, up to log index %d, and serves", r.Node, r.Applied)
	case !r.Begun:
		return fmt.Sprintf("node %s finishes its requests before it drops its state", r.Node)
	}
	left := []string{}
	if r.Applied < r.Index {
		left = append(left, fmt.Sprintf("has log index %d of %d", r.Applied, r.Index))
	}
	if !r.Ready {
		left = append(left, "is not ready yet")
	}
	if r.WantsVote && !r.Voter {
		left = append(left, "has no vote yet")
	}
	return "node " + r.Node + " " + strings.Join(left, ", ")
}

// ErrRemoved: the node is no member any more, so waiting for it is no use.
var ErrRemoved = errors.New("it is no member of the group any more")

// WaitResync returns when a node that takes a new copy of the state serves again. It looks again and again, through changes of the leader; it ends early only with ctx, with
// ErrRemoved, or with a refusal such as a token that is not valid. progress, when set, hears how far it is after each look.
func (c *Client) WaitResync(ctx context.Context, r *Resync, o WaitOptions, progress func(Resyncing)) (Resyncing, error) {
	if o.Every == 0 {
		o.Every = 500 * time.Millisecond
	}
	last, missing := Resyncing{Node: r.Node, Index: r.Index, WantsVote: r.Voter}, false
	for {
		s, err := c.Status(ctx)
		switch {
		case ctx.Err() != nil:
			return last, context.Cause(ctx)
		case lasting(err):
			return last, err
		case err != nil:
			last.Err = err
		default:
			n := nodeOf(s, r.Node)
			// A node that drops its state while it answers names no nodes, and its answer is of before; so one look is not enough.
			gone := n == nil && s.Consistency == wire.Linearizable && len(s.Nodes) > 0
			if gone && missing {
				return last, fmt.Errorf("node %s: %w", r.Node, ErrRemoved)
			}
			missing = gone
			last.Err = nil
			last.look(n, r.Before)
		}
		if progress != nil {
			progress(last)
		}
		if last.Done() {
			return last, nil
		}
		if err := sleep(ctx, o.Every); err != nil {
			return last, err
		}
	}
}

func nodeOf(s *Status, name string) *Node {
	for i := range s.Nodes {
		if s.Nodes[i].Name == name {
			return &s.Nodes[i]
		}
	}
	return nil
}

// look takes what the status says of the node; nil for nothing.
func (r *Resyncing) look(n *Node, before time.Time) {
	if n == nil {
		return
	}
	r.Voter = n.Voter
	if !n.Reachable { // it starts again right now
		r.Ready = false
		return
	}
	r.Begun = r.Begun || !n.Started.Equal(before)
	if r.Begun {
		r.Applied, r.Ready, r.Evacuated = n.Applied, n.Ready, n.Evacuated != nil
		if r.Evacuated { // it is not to be ready, however well it is
			r.Ready = n.Applied >= r.Index
		}
	}
}
