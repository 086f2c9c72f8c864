package main

import (
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/chaos/record"
	"github.com/holdfast-lb/holdfast/chaos/scenario"
)

func newReplayCommand() *cobra.Command {
	var flags playFlags
	var file string
	var times int
	cmd := &cobra.Command{
		Use:     "replay DIR|run.json",
		Short:   "Play a run again, from its record",
		Long:    "Play the scenario of a run again with the seed of its record, once or several times, until it does not pass.",
		Example: "  holdfast-chaos replay chaos-out/leader-kill-1 --times 10",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, scenarios, err := recorded(args[0], file)
			if err != nil {
				return err
			}
			ctx, stop := untilSignal(cmd.Context())
			defer stop()
			c, err := flags.campaign(ctx, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			c.scenarios, c.stop, c.profile = scenarios, true, r.Profile
			for range max(times, 1) {
				c.seeds = append(c.seeds, r.Seed)
			}
			began := time.Now()
			runs, err := c.play(ctx)
			if reported := writeReports(c.out, runs); err == nil {
				err = reported
			}
			if err == nil {
				c.screen.where(c.out)
			}
			return c.end(cmd.ErrOrStderr(), runs, began, err)
		},
	}
	flags.add(cmd)
	cmd.Flags().Lookup("out").DefValue = "chaos-replay"
	flags.out = "chaos-replay"
	cmd.Flags().StringVar(&file, "scenario", "", "`FILE` of the scenario, where it is none of the built-in ones")
	cmd.Flags().IntVar(&times, "times", 1, "play it so often (`N`)")
	return cmd
}

// recorded gives the record of one run and its scenario, which is in file if it is none of the built-in ones.
func recorded(path, file string) (*record.Run, []*scenario.Scenario, error) {
	r, err := recordAt(path)
	if err != nil {
		return nil, nil, wrongUsage{err}
	}
	if file == "" {
		file = r.Scenario
	}
	scenarios, err := chosen("", []string{file})
	if err == nil {
		err = playOn(scenarios, r.Substrate)
	}
	return r, scenarios, err
}

// recordAt reads the record of one run, by its file or its folder.
func recordAt(path string) (*record.Run, error) {
	if !isFile(path) {
		path = filepath.Join(path, "run.json")
	}
	return record.Read(path)
}
