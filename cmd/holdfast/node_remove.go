package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
)

// memberTimeout is how long a change of the membership is waited for: a leader that is to leave hands over first.
const memberTimeout = 90 * time.Second

func newNodeRemoveCommand(g *globals) *cobra.Command {
	var force, quarantined bool
	cmd := &cobra.Command{
		Use:   "remove NODE",
		Short: "Take a node out of the group",
		Long: `Take a node out of the group, whether it runs or not. One that leads hands over first. A node that runs stops taking traffic, finishes its requests and ends; it
does not start again on its data directory. To let it in as a new member move that away and start it with a join token ('holdfast token create --role node').

It is refused (exit status 3) when the nodes that are left would be no majority, and, without --force, when the group could not survive the next failure
any more where it could before: let the node's replacement join first.

A node that has taken itself out of service ('holdfast status' says why) mends itself where it can, and a restart or 'holdfast node resync' mends most of the rest. Where neither does,
--quarantined removes it, and no node that serves: NODE may be left out then.`,
		Example: `  holdfast node remove n3
  holdfast node remove --quarantined --force               # the one that has taken itself out of service
  holdfast node evacuate n1 && holdfast node remove n1     # without a cut connection`,
		Args: func(cmd *cobra.Command, args []string) error {
			if quarantined && len(args) == 0 {
				return nil
			}
			return cobra.ExactArgs(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("timeout") {
				g.timeout = memberTimeout
			}
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			node := strings.Join(args, "")
			if quarantined {
				if node, err = quarantinedNode(ctx, c, node); err != nil {
					return fmt.Errorf("remove: %w", err)
				}
			}
			r, err := c.RemoveNode(ctx, node, force)
			if err != nil {
				return fmt.Errorf("remove node %s: %w", clean(node), err)
			}
			return g.print(r, func(w io.Writer) error { return writeRemoved(w, r) })
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "also when the group could not survive the next failure any more")
	cmd.Flags().BoolVar(&quarantined, "quarantined", false, "only a node that has taken itself out of service; without NODE: the one that has")
	cmd.ValidArgsFunction = g.completeNodes
	return cmd
}

// quarantinedNode gives the node of that name if it is in quarantine; for no name the one that is.
func quarantinedNode(ctx context.Context, c *client.Client, name string) (string, error) {
	l, err := c.ListNodes(ctx)
	if err != nil {
		return "", err
	}
	var names []string
	for _, n := range l.Nodes {
		switch {
		case n.Quarantine != nil && n.Name == name:
			return name, nil
		case n.Quarantine != nil:
			names = append(names, n.Name)
		}
	}
	switch {
	case name != "":
		return "", &stateError{fmt.Sprintf("node %s is not in quarantine; without --quarantined it is removed all the same", name)}
	case len(names) == 0:
		return "", &stateError{"no node that answers is in quarantine"}
	case len(names) > 1:
		return "", &stateError{"more than one node is in quarantine, name the one that is to go: " + listOf(names)}
	}
	return names[0], nil
}

func writeRemoved(w io.Writer, r *client.NodeRemoved) error {
	text := fmt.Sprintf("node %s is no member of the group any more", clean(r.Node))
	if n := len(r.Voters); n > 0 {
		text += fmt.Sprintf("; %s with a vote: %s", count(n, "node"), clean(listOf(r.Voters)))
		if n == 1 {
			text += "\nthe group is that node alone, and survives no failure; let two more nodes join"
		}
		if n%2 == 0 {
			spare := n/2 - 1
			survives := "and the group survives the loss of none of them"
			if spare > 0 {
				survives = fmt.Sprintf("and survives the loss of %d, as %d would", spare, n-1)
			}
			text += fmt.Sprintf("\n%d is an even number of votes, %s; let one more node join", n, survives)
		}
	}
	_, err := fmt.Fprintln(w, text)
	return err
}
