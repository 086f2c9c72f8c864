package group

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/ledger"
	"github.com/holdfast-lb/holdfast/chaos/proc"
)

// pollEvery is how often a condition of the group is looked at.
const pollEvery = 20 * time.Millisecond

// anyAlive gives a node whose process runs.
func (g *Group) anyAlive() (*Node, error) {
	for _, n := range g.Nodes {
		if n.Alive() {
			return n, nil
		}
	}
	return nil, errors.New("no node runs")
}

// Apply makes the YAML the group's configuration and waits until every node has it.
func (g *Group) Apply(ctx context.Context, yaml string) error {
	n, err := g.anyAlive()
	if err != nil {
		return err
	}
	return proc.Poll(ctx, 5*pollEvery, func() error {
		status, err := n.Client.Status(ctx)
		if err != nil {
			return fmt.Errorf("apply configuration: %w", err)
		}
		result, err := n.Client.PutConfig(ctx, client.PutConfig{
			Data: []byte(yaml), Format: client.YAML, Expect: status.Revision.Number, Message: "chaos", Wait: 20 * time.Second,
		})
		switch {
		case err != nil:
			return fmt.Errorf("apply configuration: %w", err)
		case result.AppliedBy != "all":
			return fmt.Errorf("apply configuration: revision %d is applied by a %s only", result.Revision, result.AppliedBy)
		}
		return nil
	})
}

// Serving waits until every node takes connections on the group's listener: a node that has applied a configuration may still
// be about to open it.
func (g *Group) Serving(ctx context.Context) error {
	return g.Each(func(n *Node) error {
		return proc.Poll(ctx, pollEvery, func() error {
			c, err := g.dial(ctx, n.Traffic)
			if err != nil {
				return fmt.Errorf("traffic of node %s: %w", n.Name, err)
			}
			return c.Close()
		})
	})
}

// Leader waits until a running node is known as the leader and has a quorum.
func (g *Group) Leader(ctx context.Context) (*Node, error) {
	var leader *Node
	err := proc.Poll(ctx, pollEvery, func() error {
		errs := []error{errors.New("no leader")}
		for _, n := range g.Nodes {
			if !n.Alive() {
				continue
			}
			status, err := n.Client.Status(ctx, client.Stale())
			if err != nil {
				errs = append(errs, err)
				continue
			}
			// A leader's own word counts: a follower may name one that has just died.
			if status.Leader == n.Name && status.Quorum {
				leader = n
				return nil
			}
		}
		return errors.Join(errs...)
	})
	return leader, err
}

// Other gives a running node that is not the given one.
func (g *Group) Other(than *Node) *Node {
	for _, n := range g.Nodes {
		if n != than && n.Alive() {
			return n
		}
	}
	return nil
}

// Equal waits until every node answers, all are at the same log index, and their state hashes there are equal; it returns
// the hash. A hash that differs at the same index ends the wait at once: that never becomes good again.
func (g *Group) Equal(ctx context.Context) (string, error) {
	asked, err := g.anyAlive()
	if err != nil {
		return "", err
	}
	hash := ""
	var diverged error
	err = proc.Poll(ctx, 2*pollEvery, func() error {
		list, err := asked.Client.Nodes(ctx, client.Stale())
		if err != nil {
			return err
		}
		if len(list) != len(g.Nodes) {
			return fmt.Errorf("state hashes: node %s lists %d nodes, not %d", asked.Name, len(list), len(g.Nodes))
		}
		for _, n := range list {
			switch {
			case !n.Reachable:
				return fmt.Errorf("state hashes: node %s does not answer node %s: %s", n.Name, asked.Name, n.Error)
			case n.HashState == "differs":
				diverged = fmt.Errorf("the state of node %s differs from the leader's at index %d", n.Name, n.HashIndex)
				return nil
			case n.HashState != "equal" || n.HashIndex != n.Applied || n.Applied != list[0].Applied:
				return fmt.Errorf("state hashes: node %s: %s at index %d, applied %d", n.Name, n.HashState, n.HashIndex, n.Applied)
			}
		}
		hash = list[0].Hash
		return nil
	})
	return hash, errors.Join(err, diverged)
}

// Dump reads the node's whole table from its own state, by session key.
func (n *Node) Dump(ctx context.Context) (map[string]ledger.Place, error) {
	table := map[string]ledger.Place{}
	for s, err := range n.Client.AllSessions(ctx, client.SessionFilter{Limit: 1000}, client.Stale()) {
		if err != nil {
			return nil, fmt.Errorf("dump the table of node %s: %w", n.Name, err)
		}
		table[s.Key] = ledger.Place{Cluster: s.Cluster, Instance: s.Instance}
	}
	return table, nil
}

// LookupSession asks the node's own state for a session of learn affinity by the application's id.
func (n *Node) LookupSession(ctx context.Context, cluster, contextRoot, id string) (found bool, instance string, err error) {
	result, err := n.Client.LookupSession(ctx, client.Lookup{Cluster: cluster, ContextRoot: contextRoot, Session: id}, client.Stale())
	if err != nil {
		return false, "", fmt.Errorf("look up a session at node %s: %w", n.Name, err)
	}
	if !result.Found {
		return false, "", nil
	}
	return true, result.Session.Instance, nil
}
