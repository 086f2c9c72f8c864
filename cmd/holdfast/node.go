package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
)

func newNodeCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "node",
		Short: "The nodes of the group: who leads and holds the virtual address, who is not to, who is a member",
		Example: `  holdfast node list
  holdfast node transfer n2
  holdfast node evacuate n1 --reason "new kernel"
  holdfast node evacuate n1 --undo
  holdfast node remove n3
  holdfast node resync n2`,
		Args: cobra.ArbitraryArgs,
		RunE: groupOnly,
	}
	cmd.AddCommand(newNodeListCommand(g), newNodeTransferCommand(g), newNodeEvacuateCommand(g), newNodeRemoveCommand(g), newNodeResyncCommand(g))
	return g.operator(cmd)
}

func newNodeListCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the nodes with their addresses; each is asked how it is",
		Long: `List the nodes with their addresses; each is asked how it is. ROLE says which one leads, which one holds the virtual address, and which ones are
evacuated or have taken themselves out of service.`,
		Example: `  holdfast node list
  holdfast node list -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			l, err := c.ListNodes(ctx)
			if err != nil {
				return fmt.Errorf("list nodes: %w", err)
			}
			return g.print(l, func(w io.Writer) error { return g.writeNodes(w, l) })
		},
	}
}

func (g *globals) writeNodes(w io.Writer, l *client.NodeList) error {
	t := g.table("NODE", "ROLE", "VOTER", "READY", "ZONE", "PEER ADDRESS", "ADMIN ADDRESS", "VERSION", "SCHEMA>")
	for _, n := range l.Nodes {
		schema := "-" // it does not answer
		if n.Schema > 0 {
			schema = fmt.Sprint(n.Schema)
		}
		voter := "no"
		if n.Voter {
			voter = "yes"
		}
		t.row(n.Name, role(n), voter, readiness(n), orDash(n.Zone), orDash(n.PeerAddr), orDash(n.AdminAddr), orDash(n.Version), schema)
	}
	if err := t.write(w); err != nil {
		return err
	}
	for _, e := range l.Evacuated {
		if err := writeEvacuation(w, e); err != nil {
			return err
		}
	}
	return nil
}

// role shows what a node is to the group, and to the virtual address.
func role(n client.Node) string {
	text := n.Role
	if n.VIP != nil && n.VIP.Holds {
		text += ", holder"
	}
	if n.ReadOnly {
		text += ", read-only"
	}
	if n.Evacuated != nil {
		text += ", evacuated"
	}
	if n.Quarantine != nil {
		text += ", quarantined"
	}
	return text
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

// completeNodes completes the name of a node.
func (g *globals) completeNodes(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var out []string
	if len(args) == 0 {
		if s := g.statusForCompletion(cmd); s != nil {
			for _, n := range s.Nodes {
				out = append(out, n.Name)
			}
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
