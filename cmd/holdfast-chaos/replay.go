package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/chaos/record"
	"github.com/holdfast-lb/holdfast/chaos/scenario"
	"github.com/holdfast-lb/holdfast/internal/mutant"
)

func newReplayCommand() *cobra.Command {
	var flags playFlags
	var file string
	var times int
	cmd := &cobra.Command{
		Use:   "replay DIR|run.json",
		Short: "Play a run again, from its record",
		Long: `Play the scenario of a run again with the seed of its record, once or several times, until it does not pass. A run of a self-test is played with its bug again, by the program that
selftest has left in chaos-selftest/, or that --binary names.

A scenario that has changed since is refused. Of a program of another commit or version, or another build of it, that is said, and it is played.`,
		Example: "  holdfast-chaos replay chaos-out/leader-kill-1 --times 10",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, s, err := recorded(args[0], file)
			if err != nil {
				return err
			}
			ctx, stop := untilSignal(cmd.Context())
			defer stop()
			c, err := flags.again(ctx, cmd.ErrOrStderr(), r)
			if err != nil {
				return err
			}
			c.scenarios, c.stop, c.profile = []*scenario.Scenario{s}, true, r.Profile
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

// recorded gives the record of one run and its scenario, which is in file if it is none of the built-in ones. It must be what was played: the seed draws another plan from another one.
func recorded(path, file string) (*record.Run, *scenario.Scenario, error) {
	r, err := recordAt(path)
	if err != nil {
		return nil, nil, wrongUsage{err}
	}
	s, err := scenarioOf(r, file)
	if err != nil {
		return nil, nil, err
	}
	if err := playOn([]*scenario.Scenario{s}, r.Substrate); err != nil {
		return nil, nil, err
	}
	if len(r.Judged) > 0 { // a self-test asks for fewer than the file
		s.Checks = nil
		for _, name := range r.Judged {
			s.Checks = append(s.Checks, scenario.Check{Name: name})
		}
	}
	if now := s.Digest(s.Plan(r.Seed)); r.Digest != "" && r.Digest != now {
		return nil, nil, usagef("%s: scenario %s is not what it was when this run was played (its digest was %.16q and is %s): seed %d would play something else.\n"+
			"Take the file or the holdfast-chaos of then (the program was version %.60q), or play what the scenario is now: 'holdfast-chaos run --scenario %s --seed %d'",
			path, s.Name, r.Digest, now, r.Seed, r.Version, quote(cmp.Or(file, s.Name)), r.Seed)
	}
	return r, s, nil
}

// scenarioOf finds the scenario of a record: the file, or the built-in one of exactly that name. What a record says is never a pattern or a path: it may come from anybody.
func scenarioOf(r *record.Run, file string) (*scenario.Scenario, error) {
	if file != "" {
		list, err := chosen("", []string{file})
		if err != nil {
			return nil, err
		}
		if len(list) != 1 || list[0].Name != r.Scenario {
			return nil, usagef("--scenario %s: the record is of scenario %.60q, and that is another one", file, r.Scenario)
		}
		return list[0], nil
	}
	all, err := scenario.Builtin()
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		if s.Name == r.Scenario {
			return s, nil
		}
	}
	return nil, usagef("the record is of scenario %.60q, which is none of the built-in ones: name its file with --scenario", r.Scenario)
}

// again begins a campaign that plays a recorded run again: with the bug that it had, and words about what is not as it was.
func (p *playFlags) again(ctx context.Context, errOut io.Writer, r *record.Run) (*campaign, error) {
	bug, had := "", false
	for _, e := range r.Env { // nothing else of a record gets into the environment of a process
		if name, value, _ := strings.Cut(e, "="); name == mutantVariable {
			bug, had = value, true
		}
	}
	if bug != "" && p.binary == "" && os.Getenv("HOLDFAST_BIN") == "" {
		p.binary = filepath.Join(selftestOut, mutantsName)
		if !isFile(p.binary) {
			return nil, usagef("this run was of a program with the known bug %.60q: name that program with --binary%s", bug, was(r.Programs, 0))
		}
	}
	c, err := p.campaign(ctx, errOut)
	if err != nil {
		return nil, err
	}
	if bug != "" {
		if c.program.bugless {
			return nil, usagef("this run was of a program with the known bug %.60q, and %s was built without any: name that program with --binary%s", bug, c.program.path, was(r.Programs, 0))
		}
		for name := range strings.SplitSeq(bug, ",") {
			if !slices.Contains(mutant.Names(), strings.TrimSpace(name)) {
				return nil, usagef("the record is of a known bug %.60q, and there is none of that name", name)
			}
		}
	}
	if had { // also of a control, with none
		c.env = []string{mutantVariable + "=" + bug}
	}
	for _, text := range c.unlike(r) {
		c.screen.print("NOT AS RECORDED: " + clean(text) + "\n")
	}
	return c, nil
}

// was says where a program of a record was.
func was(programs []record.Program, i int) string {
	if i >= len(programs) || programs[i].Path == "" {
		return ""
	}
	return fmt.Sprintf(" (it was %.200s)", clean(programs[i].Path))
}

// unlike says what about the programs is not as it was in a recorded run: such a run may go another way.
func (c *campaign) unlike(r *record.Run) (list []string) {
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if r.Digest == "" {
		add("the record is of an older holdfast-chaos and does not say what the scenario was, so it may be another one")
	}
	if r.Version != c.version() {
		add("the run was of version %.100q, this plays %q", r.Version, c.version())
	}
	if r.Commit != c.program.commit {
		add("the run was of commit %.60q, this plays %q", r.Commit, c.program.commit)
	}
	now := c.programs()
	switch {
	case len(r.Programs) == 0:
	case len(r.Programs) > len(now):
		add("the run had another build beside the program: give it with --other%s", was(r.Programs, 1))
	case len(r.Programs) < len(now):
		add("the run had no other build beside the program")
	case len(list) == 0 && !c.played(&record.Run{Version: r.Version, Commit: r.Commit, Programs: r.Programs, Env: c.env}):
		add("the run was of another build of the same version")
	}
	return list
}

// recordAt reads the record of one run, by its file or its folder.
func recordAt(path string) (*record.Run, error) {
	if !isFile(path) {
		path = filepath.Join(path, "run.json")
	}
	return record.Read(path)
}
