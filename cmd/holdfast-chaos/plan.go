package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/chaos/run"
	"github.com/holdfast-lb/holdfast/chaos/scenario"
)

func newPlanCommand(out io.Writer) *cobra.Command {
	var seed uint64
	cmd := &cobra.Command{
		Use:   "plan SCENARIO",
		Short: "Show what a seed draws, without playing it",
		Long:  "Show the faults that a run of a scenario with a seed would inject, with their times. A run with the same seed injects the same.",
		Example: `  holdfast-chaos plan overlap --seed 7
  holdfast-chaos plan my.yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			found, err := scenario.Find(args[0])
			if err != nil {
				return asUsage(err)
			}
			for _, s := range found {
				if _, err := run.Checks(s); err != nil {
					return err
				}
				_, _ = fmt.Fprintf(out, "%s, seed %d, %v\n%s", s.Name, seed, s.Length, s.Plan(seed))
			}
			return nil
		},
	}
	cmd.Flags().Uint64Var(&seed, "seed", 1, "`NUMBER` that everything random is drawn from")
	return cmd
}

// asUsage makes an error one of whoever typed the command, unless it has a place in a file.
func asUsage(err error) error {
	if exitStatus(err) == exitUsage {
		return err
	}
	return wrongUsage{err}
}
