package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

// The documents of nodes.
type (
	NodeList    = wire.NodeList
	Holder      = wire.Holder
	Backups     = wire.Backups
	VIP         = wire.VIP
	Evacuation  = wire.Evacuation
	Transferred = wire.Transferred
)

// transferTime is what a node takes at most for a transfer, beyond that of any other call.
const transferTime = 60 * time.Second

// ListNodes lists the members of the group, the holder of the virtual addresses and the evacuated nodes.
func (c *Client) ListNodes(ctx context.Context, opts ...ReadOption) (*NodeList, error) {
	l, _, err := get[NodeList](ctx, c, "/v1/nodes", queryOf(opts))
	return l, err
}

// Transfer hands leadership and the virtual addresses over to a node; to empty: to any that is eligible. That one is not repeated when its outcome is
// unknown: it would hand over once more. A refusal is a *Problem with refused.
func (c *Client) Transfer(ctx context.Context, to string) (*Transferred, error) {
	path := "/v1/nodes/transfer"
	if to != "" {
		path = nodePath(to) + "/transfer"
	}
	t, _, err := call[Transferred](ctx, c, request{method: http.MethodPost, path: path, repeatable: to != "", extra: transferTime})
	return t, err
}

// Evacuate has a node neither lead nor hold the virtual addresses from now on. WaitEvacuated says when that is so.
func (c *Client) Evacuate(ctx context.Context, node, reason string) (*Evacuation, error) {
	return send[Evacuation](ctx, c, http.MethodPost, nodePath(node)+"/evacuate", wire.EvacuationRequest{Reason: reason})
}

// EndEvacuation takes it back. A node that is not evacuated is a *Problem with not-found.
func (c *Client) EndEvacuation(ctx context.Context, node string) error {
	return c.remove(ctx, nodePath(node)+"/evacuate", nil)
}

func nodePath(node string) string { return "/v1/nodes/" + url.PathEscape(node) }

// Evacuating is what is left before a node has nothing more to do with the virtual addresses.
type Evacuating struct {
	Node        string `json:"node"`
	Leads       bool   `json:"leads"`
	Holds       bool   `json:"holds"`
	Connections int    `json:"connections"` // clients' connections to the virtual addresses
	// Silent: it does not answer. What connections it has is then not known.
	Silent bool `json:"silent"`
	// Err is why the last look failed, nil when it did not. The wait goes on.
	Err error `json:"-"`
}

// Done tells whether nothing is left.
func (e Evacuating) Done() bool { return e.Err == nil && !e.Leads && !e.Holds && e.Connections == 0 }

// String says it in words.
func (e Evacuating) String() string {
	var what []string
	if e.Leads {
		what = append(what, "leads")
	}
	if e.Holds {
		what = append(what, "holds the virtual address")
	}
	if e.Connections > 0 {
		what = append(what, fmt.Sprintf("has %d connections to the virtual address", e.Connections))
	}
	if e.Silent {
		what = append(what, "does not answer")
	}
	if len(what) == 0 {
		return "node " + e.Node + " neither leads nor holds the virtual address, and has no connections to it"
	}
	return "node " + e.Node + " " + strings.Join(what, ", ")
}

// ErrNotEvacuated: somebody has taken the evacuation back, so waiting for its end is no use.
var ErrNotEvacuated = errors.New("it is not evacuated: somebody has taken that back")

// WaitEvacuated returns when an evacuated node neither leads nor holds the virtual addresses and has no connections to them. One that does not answer
// for Silence counts as having none: see Evacuating.Silent. It looks again and again, through changes of the leader; it ends early only with ctx, with
// ErrNotEvacuated, or with a refusal such as a token that is not valid. progress, when set, hears what is left after each look.
func (c *Client) WaitEvacuated(ctx context.Context, node string, o WaitOptions, progress func(Evacuating)) (Evacuating, error) {
	if o.Every == 0 {
		o.Every = 500 * time.Millisecond
	}
	if o.Silence == 0 {
		o.Silence = 10 * time.Second
	}
	last := Evacuating{Node: node}
	var silent time.Time
	for {
		s, err := c.Status(ctx)
		switch {
		case ctx.Err() != nil:
			return last, context.Cause(ctx)
		case lasting(err):
			return last, err
		case err == nil && s.Consistency == wire.Linearizable:
			if !slices.ContainsFunc(s.Evacuated, func(e Evacuation) bool { return e.Node == node }) {
				return last, fmt.Errorf("node %s: %w", node, ErrNotEvacuated)
			}
			last = evacuating(s, node)
		case err == nil:
			last.Err = errors.New("no quorum")
		default:
			last.Err = err
		}
		if progress != nil {
			progress(last)
		}
		if !last.Silent {
			silent = time.Time{}
		} else if silent.IsZero() {
			silent = time.Now()
		}
		if last.Done() && (!last.Silent || time.Since(silent) >= o.Silence) {
			return last, nil
		}
		if err := sleep(ctx, o.Every); err != nil {
			return last, err
		}
	}
}

// evacuating finds what is left in a status. One that has left the group has nothing left.
func evacuating(s *Status, node string) Evacuating {
	e := Evacuating{Node: node, Leads: s.Leader == node}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if n.Name != node {
			continue
		}
		e.Silent = !n.Reachable
		e.Leads = e.Leads || n.Reachable && n.Role == "leader"
		if n.VIP != nil {
			e.Holds, e.Connections = n.VIP.Holds, n.VIP.Connections
		}
	}
	// Of one that does not answer the group knows no more than who holds.
	if e.Silent {
		e.Holds = s.Holder != nil && s.Holder.Node == node
	}
	return e
}
