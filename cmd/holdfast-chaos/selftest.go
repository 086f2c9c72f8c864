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

	"github.com/holdfast-lb/holdfast/chaos/record"
	"github.com/holdfast-lb/holdfast/chaos/scenario"
	"github.com/holdfast-lb/holdfast/internal/mutant"
)

// selftestOut is where a self-test leaves what it keeps, unless --out names another folder.
const selftestOut = "chaos-selftest"

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
they catch ('catches:'), each with those scenarios alone, or those that --mutant names. A run with a bug ends as soon as a check sees it; when none does, the next of --tries seeds is played. Only checks
count of what the bug breaks: requests that fail or wait beyond a budget, nodes that are late, leaks, processes that end and what could not be judged catch nothing, since any other trouble does that, too.
Before, the same scenarios are played once with that build and no bug switched on, and must pass by these checks. A bug that this machine cannot show is left out, and that is said.
The bugs are built into a program with 'go build -tags mutants ./cmd/holdfast', which this command does in a clone of the sources when --mutants names none; it stays in DIR (--out), for 'replay'.

Exit status 1 when a bug is not caught, or the program itself or the control does not pass.`,
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
	cmd.Flags().Lookup("out").DefValue = selftestOut
	cmd.Flags().Lookup("out").Usage = "`DIR` for what is kept"
	flags.out = selftestOut
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

// selftest plays the program itself; then a build with all known bugs, of which none is switched on; then each bug.
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
	names, left, err := c.canShow(names)
	if err != nil || len(names) == 0 {
		return err
	}
	if mutants == "" {
		mutants = filepath.Join(c.out, mutantsName) // it stays: what is printed to play a bug again names it
		build := exec.CommandContext(ctx, "go", "build", "-tags", "mutants", "-o", mutants, "./cmd/holdfast")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build the known bugs: %w: %s\nrun this in a clone of the sources, or name a program with --mutants", err, strings.TrimSpace(string(out)))
		}
	}
	if c.program, err = findProgram(ctx, mutants); err != nil {
		return err
	}
	if c.program.bugless {
		return usagef("--mutants %s: it was not built with -tags mutants, so it has no known bugs", mutants)
	}
	if err := c.control(ctx, names, seed); err != nil {
		return err
	}
	var missed []string
	lines := ""
	for _, name := range names {
		caught, err := c.caught(ctx, name, seed, tries)
		if err != nil {
			return err
		}
		if caught.check == "" {
			missed = append(missed, name)
		}
		lines += fmt.Sprintf("%-34s %s\n", name, caught)
	}
	c.screen.print("\n" + lines)
	also := ""
	if len(left) > 0 {
		also = fmt.Sprintf("; not tried, because this machine cannot show them: %s", strings.Join(left, ", "))
	}
	if len(missed) > 0 {
		c.screen.print(fmt.Sprintf("%d of %d known bugs were not caught: %s%s\n", len(missed), len(names), strings.Join(missed, ", "), also))
		return told{errBroken}
	}
	c.screen.print(fmt.Sprintf("all %d known bugs were caught, in %s%s\n", len(names), record.Short(time.Since(began)), also))
	return nil
}

// mutantsName is the program with the known bugs in the folder of a self-test.
const mutantsName = "holdfast-mutants"

// canShow parts the bugs that can show on this machine from those that are left out, and says why. The error is for none that can.
func (c *campaign) canShow(names []string) (can, left []string, err error) {
	for _, name := range names {
		if why := shows(name, c.scenarios, c.other); why != nil {
			left, err = append(left, name), fmt.Errorf("%s cannot be shown here: %w", name, why)
			c.screen.print(fmt.Sprintf("left out: %v\n", err))
			continue
		}
		can = append(can, name)
	}
	if len(can) > 0 {
		err = nil
	}
	return can, left, err
}

// control plays the scenarios of the bugs with the program that has them, and none of them switched on: what breaks a promise then is not the bug.
func (c *campaign) control(ctx context.Context, names []string, seed uint64) error {
	one := *c
	one.env, one.seeds, one.out, one.stop, one.scenarios = []string{mutantVariable + "="}, []uint64{seed}, filepath.Join(c.out, "control"), true, controls(c.scenarios, names)
	if err := os.MkdirAll(one.out, 0o755); err != nil {
		return err
	}
	c.screen.print(fmt.Sprintf("\ncontrol: the %d scenarios with the program that has the known bugs, none of them switched on\n", len(one.scenarios)))
	began := time.Now()
	runs, err := one.play(ctx)
	if err != nil {
		return err
	}
	if err := one.finish(c.screen.out, runs, began); err != nil {
		c.screen.print("the control does not pass: a bug that is found in such a run proves nothing\n")
		return err
	}
	return nil
}

// controls gives the scenarios that some of the bugs are looked for in, each judged by the checks that may catch one of them there.
func controls(scenarios []*scenario.Scenario, names []string) (list []*scenario.Scenario) {
	for _, s := range scenarios {
		var bugs []string
		for _, name := range names {
			if slices.Contains(thatCatch(scenarios, name), s) {
				bugs = append(bugs, name)
			}
		}
		if len(bugs) > 0 {
			list = append(list, judgedBy([]*scenario.Scenario{s}, telling(bugs...))...)
		}
	}
	return list
}

// catch is what came of looking for a bug.
type catch struct {
	scenario, check string // empty: it was not caught
	runs            int
	took            time.Duration
	others          []string // checks that were broken and are none of the bug's
}

func (c catch) String() string {
	if c.check != "" {
		return fmt.Sprintf("caught by %s, check %s, in run %d, %s", c.scenario, c.check, c.runs, record.Short(c.took))
	}
	if len(c.others) > 0 {
		return "NOT CAUGHT; broken was what this bug does not break: " + strings.Join(c.others, ", ")
	}
	return "NOT CAUGHT"
}

// caught looks for a known bug, in the scenarios that say they catch it.
func (c *campaign) caught(ctx context.Context, name string, seed uint64, tries int) (found catch, err error) {
	one := *c
	one.env, one.out, one.first = []string{mutantVariable + "=" + name}, filepath.Join(c.out, name), true
	one.meant = true
	one.scenarios = judgedBy(thatCatch(c.scenarios, name), telling(name))
	if err := os.MkdirAll(one.out, 0o755); err != nil {
		return found, err
	}
	began := time.Now()
	for i := range tries {
		for _, s := range one.scenarios { // one at a time: a run that breaks something else is no reason to stop
			alone := one
			alone.seeds, alone.scenarios = []uint64{seed + uint64(i)}, []*scenario.Scenario{s}
			runs, err := alone.play(ctx)
			if err != nil {
				return found, err
			}
			r := runs[0]
			found.runs++
			if r.Verdict == record.Errored {
				return found, errors.New(r.Scenario + ": " + r.Problem)
			}
			if found.check = gaveAway(r, name); found.check != "" {
				found.scenario, found.took = r.Scenario, time.Since(began)
				return found, nil
			}
			if others := brokenChecks(r); len(others) > 0 {
				found.others = append(found.others, others...)
				c.screen.print(fmt.Sprintf("that is not what %s does, and does not count: %s\n", name, strings.Join(others, ", ")))
			}
		}
	}
	slices.Sort(found.others)
	found.others = slices.Compact(found.others)
	return found, nil
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

// thatCatch gives the scenarios that say they catch a bug.
func thatCatch(scenarios []*scenario.Scenario, name string) (list []*scenario.Scenario) {
	for _, s := range scenarios {
		if slices.Contains(s.Catches, name) {
			list = append(list, s)
		}
	}
	return list
}
