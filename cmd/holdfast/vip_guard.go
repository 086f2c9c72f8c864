package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/vip/guard"
)

// newVIPGuardCommand is the process that a node with virtual addresses starts for itself (vip/guard). It is in no help: nobody runs it by hand.
func newVIPGuardCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "vip-guard",
		Short:   "Keep the virtual addresses of the node that started it (not to be run by hand)",
		Example: `  holdfast serve --vip 192.0.2.100/24@eth0   # starts it`,
		Args:    cobra.NoArgs,
		Hidden:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := guard.Main(nil)
			if errors.Is(err, guard.ErrByHand) {
				return usageOf(cmd, err)
			}
			return err
		},
	}
}
