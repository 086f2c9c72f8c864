package main

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
)

func newConfigShowCommand(g *globals) *cobra.Command {
	var revision int64
	var stale bool
	var scope []string
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print the configuration with every default written out",
		Long: `Print the configuration with every default written out, as YAML that can be edited and applied again; -o json prints JSON.

There are two kinds of settings: those of the group (--scope group), which are replicated and the same on every node, and those of each node (--scope node):
flags, variables and the file of 'holdfast serve'. --scope node prints what the nodes say about themselves.`,
		Example: `  holdfast config show > shop.yaml
  holdfast config show --revision 2 -o json
  holdfast config show --scope group,node`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			group, node, err := scopes(cmd, scope)
			if err != nil {
				return err
			}
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			if node {
				if err := g.showNodes(ctx, c, group); err != nil || !group {
					return err
				}
			}
			format := client.YAML
			if g.output == "json" {
				format = client.JSON
			}
			var opts []client.ReadOption
			if stale {
				opts = append(opts, client.Stale())
			}
			var doc *client.Config
			switch {
			case cmd.Flags().Changed("revision") && revision < 0:
				return usagef(cmd, "--revision %d: a revision is 0 or more", revision)
			case cmd.Flags().Changed("revision"):
				doc, err = c.ConfigAt(ctx, uint64(revision), format, opts...)
			default:
				doc, err = c.Config(ctx, format, opts...)
			}
			if err != nil {
				return fmt.Errorf("show configuration: %w", err)
			}
			fmt.Fprintf(g.err, "revision %d\n", doc.Revision)
			_, err = g.out.Write(append(bytes.TrimRight(doc.Data, "\n"), '\n'))
			return err
		},
	}
	cmd.Flags().StringSliceVar(&scope, "scope", []string{"group"}, "whose settings: `SCOPE` group, node or group,node")
	cmd.Flags().Int64Var(&revision, "revision", 0, "an earlier `REVISION` (default: the current one)")
	cmd.Flags().BoolVar(&stale, "stale", false, "what the node knows by itself, without asking the leader")
	return cmd
}

// scopes reads --scope.
func scopes(cmd *cobra.Command, list []string) (group, node bool, err error) {
	for _, s := range list {
		switch s {
		case "group", "cluster": // what the documents of others call a cluster is a group here
			group = true
		case "node":
			node = true
		default:
			return false, false, usagef(cmd, "--scope %s: want group, node or group,node", s)
		}
	}
	return group, node, nil
}

// nodeSettings are the settings of one node, as far as it tells them.
type nodeSettings struct {
	Name      string `json:"name"`
	Zone      string `json:"zone"`
	Version   string `json:"version"`
	PeerAddr  string `json:"peerAddr"`
	AdminAddr string `json:"adminAddr"`
	Error     string `json:"error,omitempty"`
}

// showNodes prints the settings that belong to single nodes: as comments in front of the configuration, or alone.
func (g *globals) showNodes(ctx context.Context, c *client.Client, above bool) error {
	nodes, err := c.Nodes(ctx)
	if err != nil {
		return fmt.Errorf("show the nodes' settings: %w", err)
	}
	list := make([]nodeSettings, len(nodes))
	for i, n := range nodes {
		list[i] = nodeSettings{Name: n.Name, Zone: n.Zone, Version: n.Version, PeerAddr: n.PeerAddr, AdminAddr: n.AdminAddr, Error: n.Error}
	}
	if above {
		for _, n := range list {
			if _, err := fmt.Fprintf(g.err, "# node %s: zone %s, version %s, peer address %s, admin address %s%s\n", clean(n.Name), clean(orDash(n.Zone)), clean(orDash(n.Version)),
				clean(orDash(n.PeerAddr)), clean(orDash(n.AdminAddr)), silent(n.Error)); err != nil {
				return err
			}
		}
		return nil
	}
	return g.print(list, func(w io.Writer) error {
		t := g.table("NODE", "ZONE", "VERSION", "PEER ADDRESS", "ADMIN ADDRESS", "ERROR")
		for _, n := range list {
			t.row(n.Name, orDash(n.Zone), orDash(n.Version), orDash(n.PeerAddr), orDash(n.AdminAddr), orDash(n.Error))
		}
		return t.write(w)
	})
}

func silent(err string) string {
	if err == "" {
		return ""
	}
	return ", does not answer: " + clean(err)
}
