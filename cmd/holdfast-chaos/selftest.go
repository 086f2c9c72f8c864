package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/chaos/check"
	"github.com/holdfast-lb/holdfast/chaos/record"
	"github.com/holdfast-lb/holdfast/chaos/scenario"
	"github.com/holdfast-lb/holdfast/internal/mutant"
)

func newSelftestCommand() *cobra.Command {
	var flags playFlags
	var mutants string
	var names []string
	var seed uint64
	var clean, tries int
	cmd := &cobra.Command{
		Use:   "selftest",
		Short: "Show that known bugs are caught",
		Long: `Play the CI profile against the program itself, which must pass; then against builds with known bugs, one bug after the other. Tried are the bugs that scenarios of the profile say
they catch ('catches:'), each with those scenarios alone, or those that --mutant names. A run with a bug ends as soon as a check sees it; when none does, the next of --tries seeds is played. Requests that
fail or wait beyond a budget catch nothing: that is what a busy machine does, too.
The bugs are built into a program with 'go build -tags mutants ./cmd/holdfast', which this command does in a clone of the sources when --mutants names none.

Exit status 1 when a bug is not caught, or the program itself does not pass.`,
		Example: `  holdfast-chaos selftest
  holdfast-chaos selftest --mutant ack-before-commit --clean 0`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, n := range names {
				if !slices.Contains(mutant.Names(), n) {
					return usagef("there is no known bug %q: it is one of %s", n, strings.Join(mutant.Names(), ", "))
				}
			}
			if tries < 1 || clean < 0 {
				return usagef("--tries is 1 or more, and --clean not negative")
			}
			ctx, stop := untilSignal(cmd.Context())
			defer stop()
			c, err := flags.campaign(ctx, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if c.scenarios, err = scenario.OfProfile("ci"); err != nil {
				return err
			}
			c.profile, c.stop = "ci", true
			if !cmd.Flags().Changed("mutant") {
				var others []string
				names, others = promised(c.scenarios)
				c.screen.print("not tried, because they show in virtual time or with a virtual address only (make sim-mutants): " + strings.Join(others, ", ") + "\n")
			}
			return c.selftest(ctx, mutants, names, seed, clean, tries)
		},
	}
	flags.add(cmd)
	cmd.Flags().Lookup("out").DefValue = "chaos-selftest"
	cmd.Flags().Lookup("out").Usage = "`DIR` for what is kept"
	flags.out = "chaos-selftest"
	cmd.Flags().StringVar(&mutants, "mutants", "", "`PATH` of a program that was built with -tags mutants (default: built from the sources in the working directory)")
	cmd.Flags().StringArrayVar(&names, "mutant", nil, "only this bug (`NAME`); repeatable")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "`NUMBER` that everything random is drawn from")
	cmd.Flags().IntVar(&tries, "tries", 3, "with how many seeds, one after the other, a bug may be looked for (`N`)")
	cmd.Flags().IntVar(&clean, "clean", 1, "play the program itself with so many seeds (`N`)")
	return cmd
}

// promised gives the known bugs that some scenario says it catches, and the others.
func promised(scenarios []*scenario.Scenario) (names, others []string) {
	for _, name := range mutant.Names() {
		if slices.ContainsFunc(scenarios, func(s *scenario.Scenario) bool { return slices.Contains(s.Catches, name) }) {
			names = append(names, name)
		} else {
			others = append(others, name)
		}
	}
	return names, others
}

// selftest plays the program itself, then each bug.
func (c *campaign) selftest(ctx context.Context, mutants string, names []string, seed uint64, clean, tries int) error {
	began := time.Now()
	for i := range clean {
		c.seeds = append(c.seeds, seed+uint64(i))
	}
	if clean > 0 {
		runs, err := c.play(ctx)
		if err != nil {
			return err
		}
		if err := c.finish(c.screen.out, runs, began); err != nil {
			return err
		}
	}
	if len(names) == 0 {
		return nil
	}
	if mutants == "" {
		dir, err := os.MkdirTemp("", "holdfast-mutants-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		mutants = filepath.Join(dir, "holdfast")
		build := exec.CommandContext(ctx, "go", "build", "-tags", "mutants", "-o", mutants, "./cmd/holdfast")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build the known bugs: %w: %s\nrun this in a clone of the sources, or name a program with --mutants", err, strings.TrimSpace(string(out)))
		}
	}
	var err error
	if c.program, err = findProgram(ctx, mutants); err != nil {
		return err
	}
	var missed []string
	lines := ""
	out := c.out
	for _, name := range names {
		caught, err := c.caught(ctx, name, seed, tries, filepath.Join(out, name))
		if err != nil {
			return err
		}
		if caught == "" {
			missed = append(missed, name)
			caught = "NOT CAUGHT"
		}
		lines += fmt.Sprintf("%-34s %s\n", name, caught)
	}
	c.screen.print("\n" + lines)
	if len(missed) > 0 {
		c.screen.print(fmt.Sprintf("%d of %d known bugs were not caught: %s\n", len(missed), len(names), strings.Join(missed, ", ")))
		return told{errBroken}
	}
	c.screen.print(fmt.Sprintf("all %d known bugs were caught, in %s\n", len(names), record.Short(time.Since(began))))
	return nil
}

// caught says by what a known bug was caught; empty: by nothing.
func (c *campaign) caught(ctx context.Context, name string, seed uint64, tries int, dir string) (string, error) {
	one := *c
	one.env, one.seeds, one.out, one.stop, one.first = []string{"HOLDFAST_MUTANT=" + name}, nil, dir, true, true
	for i := range tries {
		one.seeds = append(one.seeds, seed+uint64(i))
	}
	one.scenarios = judgedBy(thatCatch(c.scenarios, name), telling())
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	began := time.Now()
	runs, err := one.play(ctx)
	if err != nil {
		return "", err
	}
	last := runs[len(runs)-1]
	switch last.Verdict {
	case record.Failed:
		return fmt.Sprintf("caught by %s, check %s, in run %d, %s", last.Scenario, last.Broken()[0].Name, len(runs), record.Short(time.Since(began))), nil
	case record.Errored:
		return "", errors.New(last.Scenario + ": " + last.Problem)
	}
	return "", nil
}

// telling names the checks that may catch a bug. A budget is not among them: a machine that is busy goes beyond it without any bug, and none of the bugs is one of answers that do not come.
func telling() (names []string) {
	for _, c := range check.All() {
		if c.Name != check.Budget {
			names = append(names, c.Name)
		}
	}
	return names
}

// judgedBy gives the scenarios with these checks alone.
func judgedBy(scenarios []*scenario.Scenario, names []string) (list []*scenario.Scenario) {
	for _, s := range scenarios {
		one := *s
		one.Checks = nil
		for _, n := range names {
			one.Checks = append(one.Checks, scenario.Check{Name: n})
		}
		list = append(list, &one)
	}
	return list
}

// thatCatch gives the scenarios that say they catch a bug; all, when none does.
func thatCatch(scenarios []*scenario.Scenario, name string) (list []*scenario.Scenario) {
	for _, s := range scenarios {
		if slices.Contains(s.Catches, name) {
			list = append(list, s)
		}
	}
	if len(list) == 0 {
		return scenarios
	}
	return list
}
