package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
)

// transferTimeout is how long a transfer is waited for unless --timeout says otherwise: connections that are open may finish first.
const transferTimeout = 90 * time.Second

func newNodeTransferCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "transfer [NODE]",
		Short: "Hand leadership and the virtual address over to a node, without a failed request",
		Long: `Hand leadership and the virtual address over to a node, or to any that is eligible. New connections go to the new holder at once, those that are
open may finish. It returns when the other node leads and, where there is a virtual address, holds it. To keep a node from getting them back, evacuate it.`,
		Example: `  holdfast node transfer n2
  holdfast node transfer`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			to := ""
			if len(args) == 1 {
				if to = args[0]; to == "" {
					return usagef(cmd, "the name of the node is empty; leave it out for any node")
				}
			}
			if !cmd.Flags().Changed("timeout") {
				g.timeout = transferTimeout
			}
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			t, err := c.Transfer(ctx, to)
			if err != nil {
				return fmt.Errorf("transfer: %w", err)
			}
			return g.print(t, func(w io.Writer) error { return writeTransferred(w, t) })
		},
	}
	cmd.ValidArgsFunction = g.completeNodes
	return cmd
}

func writeTransferred(w io.Writer, t *client.Transferred) error {
	if _, err := fmt.Fprintf(w, "node %s leads, term %d\n", clean(orDash(t.Leader)), t.Term); err != nil || t.Holder == nil {
		return err
	}
	_, err := fmt.Fprintln(w, clean(t.Holder.Receipt))
	return err
}

// holderLine says for the status who holds the virtual address; empty where none has ever been held.
func holderLine(h *client.Holder) string {
	if h == nil {
		return ""
	}
	addresses := ""
	if len(h.Addresses) > 0 {
		addresses = ", " + clean(listOf(h.Addresses))
	}
	if h.Node == "" {
		return fmt.Sprintf("holder: none since %s%s: %s", when(h.Since), addresses, clean(orDash(h.Reason)))
	}
	return fmt.Sprintf("holder: node %s since %s%s", clean(h.Node), when(h.Since), addresses)
}
