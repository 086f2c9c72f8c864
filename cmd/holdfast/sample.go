package main

import (
	"fmt"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/internal/sampleapp"
)

// newSampleCommand runs an instance of the sample application; the demo and the kill tests start it.
func newSampleCommand() *cobra.Command {
	var address, name string
	cmd := &cobra.Command{
		Use:     "sample-instance",
		Short:   "Run an instance of the sample application",
		Long:    "Run an instance of the sample application that 'holdfast demo' and the kill tests put behind Holdfast, until it is told to stop.",
		Example: "  holdfast sample-instance --address 127.0.0.1:9001 --name instance1",
		Hidden:  true,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if name == "" {
				return usageError(fmt.Errorf("--name: is empty: name the instance"))
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return sampleapp.Serve(ctx, address, name)
		},
	}
	cmd.Flags().StringVar(&address, "address", "127.0.0.1:9001", "`HOST:PORT` to serve on")
	cmd.Flags().StringVar(&name, "name", "", "`NAME` of the instance, which every answer repeats")
	return cmd
}
