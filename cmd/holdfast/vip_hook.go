package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/vip/hook"
)

// newVIPHookCommand is the process in which a node runs its --vip-hook (vip/hook), so that it ends with the node. It is in no help: nobody runs it by hand.
func newVIPHookCommand() *cobra.Command {
	return &cobra.Command{
		Use:                hook.Command,
		Short:              "Run the --vip-hook of the node that started it (not to be run by hand)",
		Example:            `  holdfast serve --vip-hook /usr/local/lib/holdfast/move-address   # starts it`,
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			status, err := hook.Main(args)
			switch {
			case errors.Is(err, hook.ErrByHand):
				return usageOf(cmd, err)
			case err != nil:
				return err
			}
			os.Exit(status) // the program's own
			return nil
		},
	}
}
