package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/chaos/record"
	"github.com/holdfast-lb/holdfast/chaos/scenario"
)

func newMinimiseCommand() *cobra.Command {
	var flags playFlags
	var file string
	var tries int
	cmd := &cobra.Command{
		Use:   "minimise DIR|run.json",
		Short: "Drop faults of a broken run as long as it stays broken",
		Long: `Play a run that broke a promise again and again, with ever fewer of its faults, as long as one of the checks that it broke is still broken; then write what is left as a scenario,
minimal.yaml, into DIR (--out), with what each fault draws from. What is broken by chance now and then takes more --tries.`,
		Example: "  holdfast-chaos minimise chaos-out/overlap-7 --tries 5",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, s, err := recorded(args[0], file)
			if err != nil {
				return err
			}
			names := brokenChecks(r)
			if len(names) == 0 {
				return usagef("%s: this run broke no promise", args[0])
			}
			ctx, stop := untilSignal(cmd.Context())
			defer stop()
			c, err := flags.again(ctx, cmd.ErrOrStderr(), r)
			if err != nil {
				return err
			}
			breaks := func(plan scenario.Plan) (bool, error) { return c.breaks(ctx, s, r.Seed, plan, tries, names) }
			plan, err := minimise(s.Plan(r.Seed), breaks)
			if err != nil {
				return err
			}
			path := filepath.Join(c.out, "minimal.yaml")
			if err := os.WriteFile(path, []byte(s.Write(plan)), 0o644); err != nil {
				return err
			}
			c.screen.print(fmt.Sprintf("\n%d of %d faults are left:\n%s%s\n", len(plan), len(s.Plan(r.Seed)), plan, path))
			return nil
		},
	}
	flags.add(cmd)
	cmd.Flags().Lookup("out").DefValue = "chaos-minimal"
	cmd.Flags().Lookup("out").Usage = "`DIR` for minimal.yaml and the last try"
	flags.out = "chaos-minimal"
	cmd.Flags().StringVar(&file, "scenario", "", "`FILE` of the scenario, where it is none of the built-in ones")
	cmd.Flags().IntVar(&tries, "tries", 2, "play a plan so often (`N`) before it counts as one that breaks nothing")
	return cmd
}

// brokenChecks names the checks that do not hold.
func brokenChecks(r *record.Run) []string {
	names := []string{}
	for _, c := range r.Broken() {
		names = append(names, c.Name)
	}
	return names
}

// breaks plays a plan until it breaks one of the named checks, some times at most: what breaks another one is another failure.
func (c *campaign) breaks(ctx context.Context, s *scenario.Scenario, seed uint64, plan scenario.Plan, tries int, names []string) (bool, error) {
	for i := range tries {
		if ctx.Err() != nil {
			return false, errors.New("interrupted; all processes are ended")
		}
		c.screen.title(fmt.Sprintf("%d faults, try %d", len(plan), i+1), plan.String())
		r, err := c.one(ctx, s, seed, plan, filepath.Join(c.out, "try"))
		if err != nil {
			return false, err
		}
		c.screen.verdict(r)
		again, err := breaksAgain(r, names)
		if again || err != nil {
			return again, err
		}
		if r.Verdict == record.Failed {
			c.screen.print("that is another failure than the one that is looked for: " + strings.Join(names, ", ") + "\n")
		}
	}
	return false, nil
}

// breaksAgain says whether a run has broken one of the named checks. The error is for one that could not be played; one whose faults were all left out has shown that nothing is broken by them.
func breaksAgain(r *record.Run, names []string) (bool, error) {
	if r.Verdict == record.Errored && (len(r.Faults) == 0 || len(r.Played()) > 0) {
		return false, errors.New(r.Problem)
	}
	return r.Verdict == record.Failed && slices.ContainsFunc(brokenChecks(r), func(name string) bool { return slices.Contains(names, name) }), nil
}

// minimise drops parts of a plan, large ones first, as long as it breaks a promise.
func minimise(plan scenario.Plan, breaks func(scenario.Plan) (bool, error)) (scenario.Plan, error) {
	if broken, err := breaks(plan); err != nil || !broken {
		if err == nil {
			err = errors.New("the whole plan breaks nothing this time: take more --tries")
		}
		return nil, err
	}
	for size := max(len(plan)/2, 1); len(plan) > 0; {
		dropped := false
		for at := 0; at < len(plan); {
			rest := append(append(scenario.Plan{}, plan[:at]...), plan[min(at+size, len(plan)):]...)
			broken, err := breaks(rest)
			if err != nil {
				return nil, err
			}
			if broken {
				plan, dropped = rest, true
				continue
			}
			at += size
		}
		if size == 1 && !dropped {
			break
		}
		size = max(size/2, 1)
	}
	return plan, nil
}
