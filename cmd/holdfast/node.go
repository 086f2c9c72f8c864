package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

func newNodeCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "node",
		Short:   "The nodes of the group",
		Example: "  holdfast node list",
		Args:    cobra.ArbitraryArgs,
		RunE:    groupOnly,
	}
	cmd.AddCommand(newNodeListCommand(g))
	return g.operator(cmd)
}

func newNodeListCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the nodes with their addresses; each is asked how it is",
		Example: `  holdfast node list
  holdfast node list -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			nodes, err := c.Nodes(ctx)
			if err != nil {
				return fmt.Errorf("list nodes: %w", err)
			}
			return g.print(wire.NodeList{Nodes: nodes}, func(w io.Writer) error {
				t := g.table("NODE", "ROLE", "VOTER", "READY", "ZONE", "PEER ADDRESS", "ADMIN ADDRESS", "VERSION", "SCHEMA>")
				for _, n := range nodes {
					schema := "-" // it does not answer
					if n.Schema > 0 {
						schema = fmt.Sprint(n.Schema)
					}
					voter := "no"
					if n.Voter {
						voter = "yes"
					}
					t.row(n.Name, n.Role, voter, readiness(n), orDash(n.Zone), orDash(n.PeerAddr), orDash(n.AdminAddr), orDash(n.Version), schema)
				}
				return t.write(w)
			})
		},
	}
}

// readiness shows whether a node should get traffic.
func readiness(n client.Node) cell {
	switch {
	case !n.Reachable:
		return cell{"gone", bad}
	case !n.Ready:
		return cell{"no", warning}
	}
	return cell{"yes", good}
}
