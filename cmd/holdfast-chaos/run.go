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

	"github.com/holdfast-lb/holdfast/chaos/fault"
	"github.com/holdfast-lb/holdfast/chaos/run"
	"github.com/holdfast-lb/holdfast/chaos/scenario"
)

// mutantVariable names the known bug that a program built with -tags mutants has switched on.
const mutantVariable = "HOLDFAST_MUTANT"

// playFlags are what all commands that play have.
type playFlags struct {
	binary, other, out string
	keep               bool
}

func (p *playFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&p.binary, "binary", "", "`PATH` of the holdfast program under test (default: HOLDFAST_BIN, the one beside this program, the one in PATH)")
	f.StringVar(&p.other, "other", "", "`PATH` of another build of it, for faults that mix versions")
	f.StringVar(&p.out, "out", "chaos-out", "`DIR` for reports and what is kept")
	f.BoolVar(&p.keep, "keep", false, "keep logs and data directories also of runs that pass")
}

// campaign begins one with the flags.
func (p *playFlags) campaign(ctx context.Context, errOut io.Writer) (*campaign, error) {
	under, err := findProgram(ctx, p.binary)
	if err != nil {
		return nil, err
	}
	c := &campaign{program: under, out: p.out, keep: p.keep, screen: newScreen(errOut)}
	if bug := os.Getenv(mutantVariable); bug != "" { // the nodes have it anyway; the record has to say so
		c.env = []string{mutantVariable + "=" + bug}
	}
	if p.other != "" {
		o, err := findProgram(ctx, p.other)
		if err != nil {
			return nil, err
		}
		c.other, c.otherVersion, c.otherSum = o.path, o.version, o.sum
	}
	if c.out, err = filepath.Abs(p.out); err != nil {
		return nil, err
	}
	return c, os.MkdirAll(c.out, 0o755)
}

func newRunCommand() *cobra.Command {
	var flags playFlags
	var profile, substrate string
	var patterns []string
	var seed uint64
	var seeds int
	var resume, first bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Play scenarios and judge what clients see",
		Long: `Play the scenarios of a profile, or those that are named, with one seed or several, one after the other. Each run starts a group of its own on loopback, and nothing
of it is left behind. DIR (--out) gets a folder for each run with run.json, and with logs and data directories where a promise was broken, and over all of them report.html, junit.xml
and summary.json.

A seed gives the same plan again, and the same choices of the clients; the scheduling of the machine it does not give.

Ctrl-C, SIGTERM and SIGHUP heal what was done and end all processes, and the reports are written; a second one ends this program at once, and its processes with it.`,
		Example: `  holdfast-chaos run                                   # the CI profile
  holdfast-chaos run --profile soak --seeds 10 --resume   # goes on where it was interrupted
  holdfast-chaos run --scenario 'overlap*' --seed 7
  holdfast-chaos run --scenario my.yaml --keep`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if profile == "gameday" && len(patterns) == 0 {
				return usagef("a game day plays on a deployment that runs, not on a group of its own, so it is another command: holdfast-chaos gameday --admin URLS --probe URL")
			}
			scenarios, err := chosen(profile, patterns)
			if err != nil {
				return err
			}
			if err := playOn(scenarios, substrate); err != nil {
				return err
			}
			if seeds < 1 {
				return usagef("--seeds %d: want 1 or more", seeds)
			}
			ctx, stop := untilSignal(cmd.Context())
			defer stop()
			c, err := flags.campaign(ctx, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			c.scenarios, c.profile, c.resume, c.stop = scenarios, profile, resume, first
			switch {
			case len(patterns) > 0:
				c.profile = ""
			case profile == everything:
				c.leaveOut()
			}
			for i := range seeds {
				c.seeds = append(c.seeds, seed+uint64(i))
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
	f := cmd.Flags()
	f.StringVar(&profile, "profile", "ci", "`NAME` of the set of scenarios: ci, soak, netns (root) or all (what this machine can play); for a game day see 'holdfast-chaos gameday'")
	f.StringVar(&substrate, "substrate", "", "play on this instead of what the scenarios say: loopback, or netns (`NAME`; root)")
	f.StringArrayVar(&patterns, "scenario", nil, "only these: `PATTERN` of built-in names (*, ?), or a file .yaml; repeatable")
	f.Uint64Var(&seed, "seed", 1, "`NUMBER` that everything random is drawn from")
	f.IntVar(&seeds, "seeds", 1, "play each scenario with so many seeds (`N`), from --seed on")
	f.BoolVar(&resume, "resume", false, "leave out runs that have passed in --out, the same scenario with the same program")
	f.BoolVar(&first, "first", false, "stop at the first run that does not pass")
	return cmd
}

// everything is the profile of all built-in scenarios.
const everything = "all"

// leaveOut drops the scenarios that cannot be played here, and says why.
func (c *campaign) leaveOut() {
	c.scenarios = slices.DeleteFunc(c.scenarios, func(s *scenario.Scenario) bool {
		err := cmp.Or(run.Lacks(s, s.Plan(0), c.other), run.Missing(s))
		if err != nil {
			c.screen.print(fmt.Sprintf("left out: %s: %v\n", s.Name, err))
		}
		return err != nil
	})
}

// playOn has the scenarios played on a substrate, if one is named.
func playOn(scenarios []*scenario.Scenario, substrate string) error {
	if substrate == "" {
		return nil
	}
	if !slices.Contains(fault.Substrates, substrate) {
		return usagef("--substrate %q: it is one of %s", substrate, strings.Join(fault.Substrates, ", "))
	}
	for _, s := range scenarios {
		s.Substrate = substrate
	}
	return nil
}

// chosen gives the scenarios that were asked for.
func chosen(profile string, patterns []string) ([]*scenario.Scenario, error) {
	if len(patterns) == 0 {
		if profile == everything {
			return scenario.Builtin()
		}
		list, err := scenario.OfProfile(profile)
		if err == nil && len(list) == 0 {
			err = usagef("there is no profile %q: it is one of %v", profile, append(slices.Clone(scenario.Profiles), everything))
		}
		return list, err
	}
	var list []*scenario.Scenario
	seen := map[string]string{}
	for _, p := range patterns {
		found, err := scenario.Find(p)
		if err != nil {
			return nil, asUsage(err)
		}
		for _, s := range found {
			switch file, twice := seen[s.Name]; {
			case twice && file == s.File:
				continue
			case twice:
				return nil, usagef("%s and %s are both called %s: their runs would have one folder", file, s.File, s.Name)
			}
			seen[s.Name] = s.File
			list = append(list, s)
		}
	}
	return list, nil
}
