package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
)

// upgradeBinaryTimeout is how long the command waits unless --timeout says otherwise.
const upgradeBinaryTimeout = 2 * time.Minute

func newUpgradeBinaryCommand(g *globals) *cobra.Command {
	var u client.BinaryUpgrade
	var within time.Duration
	cmd := &cobra.Command{
		Use:   "upgrade-binary",
		Short: "Have the program on the disk take over from a node's running one, without a refused connection",
		Long: `Have a new program take over the node that --admin names. Its process starts the program that is where it was started from itself, with its own arguments and environment, hands
it the listening sockets and the node's place in the group, and ends when its last clients have finished. No connection is refused and no request fails. SIGUSR2 does the same.

A program that does not start, does not fit the group or does not serve in time changes nothing: the running one goes on, and the reason is told (exit status 3).`,
		Example: `  install -m 0755 holdfast /usr/local/bin/holdfast.new && mv /usr/local/bin/holdfast.new /usr/local/bin/holdfast
  holdfast upgrade-binary
  holdfast upgrade-binary --program /usr/local/bin/holdfast-1.5`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if within < 0 {
				return usagef(cmd, "--ready-within: %v is no time", within)
			}
			u.ReadyWithinMilli = within.Milliseconds()
			return g.upgradeBinary(cmd, u)
		},
	}
	cmd.Flags().StringVar(&u.Program, "program", "", "`PATH` of the program on the node, in the directory of the one that runs (default: where that was started from)")
	cmd.Flags().DurationVar(&within, "ready-within", 0, "how long it may take until it serves (`DURATION`, default 30s)")
	return g.operator(cmd)
}

func (g *globals) upgradeBinary(cmd *cobra.Command, u client.BinaryUpgrade) error {
	if !cmd.Flags().Changed("timeout") {
		g.timeout = upgradeBinaryTimeout
	}
	ctx, c, done, err := g.connect(cmd)
	if err != nil {
		return err
	}
	defer done()
	r, err := c.UpgradeBinary(ctx, u)
	if err != nil {
		return fmt.Errorf("upgrade the program: %w", err)
	}
	return g.print(r, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "node %s runs version %s (process %d) instead of %s; it took %v\n", clean(r.Node), clean(r.Version), r.Pid, clean(r.Before),
			time.Duration(r.Took)*time.Millisecond)
		return err
	})
}
