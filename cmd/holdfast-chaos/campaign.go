package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/disk"
	"github.com/holdfast-lb/holdfast/chaos/fault"
	"github.com/holdfast-lb/holdfast/chaos/record"
	"github.com/holdfast-lb/holdfast/chaos/run"
	"github.com/holdfast-lb/holdfast/chaos/scenario"
)

// campaign is scenarios, each played with each seed, one after the other.
type campaign struct {
	scenarios    []*scenario.Scenario
	seeds        []uint64
	program      program
	other        string // another build of it, may be empty
	otherVersion string
	otherSum     string
	env          []string
	profile      string
	out          string // folder of the reports; each run has one below it
	keep         bool
	resume       bool // leave out what has passed
	stop         bool // at the first that does not pass
	first        bool // end a run at the first broken promise
	meant        bool // its runs are to break a promise: one that did is nothing to keep
	screen       *screen
}

// play plays them all and gives the records, in order. The error is for what could not be played; broken promises are in the records.
func (c *campaign) play(ctx context.Context) ([]*record.Run, error) {
	var runs []*record.Run
	if err := clearReports(c.out); err != nil { // what is there once this has ended says how this went
		return nil, err
	}
	for _, s := range c.scenarios { // before the first is played: what is named does not depend on the seed
		if err := run.Lacks(s, s.Plan(0), c.other); err != nil {
			return nil, err
		}
	}
	total := len(c.scenarios) * len(c.seeds)
	for _, seed := range c.seeds {
		for _, s := range c.scenarios {
			if ctx.Err() != nil {
				return runs, fmt.Errorf("interrupted after %d of %d runs; all processes are ended", len(runs), total)
			}
			dir := filepath.Join(c.out, s.Name+"-"+strconv.FormatUint(seed, 10))
			if r := c.passed(dir, s, seed); r != nil {
				runs = append(runs, r)
				continue
			}
			if !c.meant {
				if err := putAside(dir); err != nil {
					return runs, err
				}
			}
			c.screen.title(fmt.Sprintf("[%d/%d] %s, seed %d, %v", len(runs)+1, total, s.Name, seed, s.Length), s.About)
			r, err := c.one(ctx, s, seed, nil, dir)
			if err != nil {
				return runs, err
			}
			runs = append(runs, r)
			c.screen.verdict(r)
			if c.stop && r.Verdict != record.Passed {
				return runs, nil
			}
		}
	}
	return runs, nil
}

// passed gives the record of a run that need not be played again.
func (c *campaign) passed(dir string, s *scenario.Scenario, seed uint64) *record.Run {
	if !c.resume {
		return nil
	}
	r, err := record.Read(filepath.Join(dir, "run.json"))
	if err != nil || r.Verdict != record.Passed || r.Scenario != s.Name || r.Seed != seed || r.Digest != s.Digest(s.Plan(seed)) || !c.played(r) {
		return nil
	}
	return r
}

// played says whether a run was one of the same programs with the same bug. Records of older programs have no sums: where nobody committed the sources, nothing tells whether they are of this build.
func (c *campaign) played(r *record.Run) bool {
	if r.Version != c.version() || r.Commit != c.program.commit || !slices.Equal(r.Env, c.env) {
		return false
	}
	if len(r.Programs) == 0 {
		return !c.program.dirty && !strings.Contains(r.Version, "dirty")
	}
	return slices.EqualFunc(r.Programs, c.programs(), func(a, b record.Program) bool { return a.SHA256 == b.SHA256 })
}

// programs are the builds that are played.
func (c *campaign) programs() []record.Program {
	list := []record.Program{c.program.record()}
	if c.other != "" {
		list = append(list, record.Program{Path: c.other, SHA256: c.otherSum})
	}
	return list
}

// version is that of the program under test, and of the other build beside it: another one of these makes other runs.
func (c *campaign) version() string {
	if c.other == "" {
		return c.program.version
	}
	return c.program.version + ", beside " + c.otherVersion
}

// one plays one scenario; plan nil: what the seed gives.
func (c *campaign) one(ctx context.Context, s *scenario.Scenario, seed uint64, plan scenario.Plan, dir string) (*record.Run, error) {
	if err := clearRun(dir); err != nil {
		return nil, err
	}
	defer c.screen.close()
	return run.Play(ctx, run.Options{
		Scenario: s, Seed: seed, Plan: plan, Binary: c.program.path, Other: c.other, Env: c.env, Dir: dir, Profile: c.profile, Commit: c.program.commit, Version: c.version(), Programs: c.programs(),
		Replay: c.command(s, seed), Keep: c.keep, First: c.first, Listen: func(r *record.Recorder) { c.screen.follow(r, s.Length) },
	})
}

// command is what plays the same run again.
func (c *campaign) command(s *scenario.Scenario, seed uint64) string {
	name := s.Name
	if filepath.Dir(s.File) != "builtin" {
		name = s.File
	}
	text := fmt.Sprintf("%s run --scenario %s --seed %d --binary %s", quote(startedAs(os.Args[0])), quote(name), seed, quote(c.program.path))
	if s.Substrate != fault.Loopback {
		text += " --substrate " + s.Substrate
	}
	if c.other != "" {
		text += " --other " + quote(c.other)
	}
	for _, e := range c.env {
		name, value, _ := strings.Cut(e, "=") // a shell takes a word for an assignment only if its name is not quoted
		text = name + "=" + quote(value) + " " + text
	}
	return text
}

// startedAs is how a shell starts this program again: by the path by which it was started, or by its name where the shell has found it in PATH.
func startedAs(path string) string {
	if strings.ContainsRune(path, filepath.Separator) {
		return path
	}
	return "holdfast-chaos"
}

// quote makes one word of a shell's command line of a text.
func quote(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/.-_=", r)
	}
	if text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// putAside renames the folder of a run that broke a promise: it is played again to see more of that, not less.
func putAside(dir string) error {
	r, err := record.Read(filepath.Join(dir, "run.json"))
	if err != nil || r.Verdict != record.Failed {
		return nil
	}
	for n := 1; ; n++ {
		other := fmt.Sprintf("%s.broken-%d", dir, n)
		if _, err := os.Lstat(other); errors.Is(err, os.ErrNotExist) {
			return os.Rename(dir, other)
		}
	}
}

// parts are the names in the folder of a run that was ended before it had a record. Its processes have ended with it.
var parts = []string{"holdfast-stage-*", "stage", "history.jsonl", "order-*.html"}

func isPart(e os.DirEntry) bool {
	return slices.ContainsFunc(parts, func(p string) bool { fits, _ := filepath.Match(p, e.Name()); return fits })
}

// clearRun removes the folder of an earlier run, and nothing else.
func clearRun(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(entries) == 0:
		return nil
	}
	foreign := slices.ContainsFunc(entries, func(e os.DirEntry) bool { return !isPart(e) })
	if _, err := os.Stat(filepath.Join(dir, "run.json")); err != nil && foreign {
		return fmt.Errorf("%s is there and is not the folder of a run: remove it, or choose another one with --out", dir)
	}
	if err := disk.Release(dir); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// end says how a campaign went that perhaps was interrupted, or could not go on: a promise that was broken before counts all the same.
func (c *campaign) end(w io.Writer, runs []*record.Run, began time.Time, problem error) error {
	if problem != nil && !slices.ContainsFunc(runs, func(r *record.Run) bool { return r.Verdict == record.Failed }) {
		return problem
	}
	if problem != nil {
		_, _ = fmt.Fprintf(w, "\nholdfast-chaos: %v\n", problem)
	}
	return c.finish(w, runs, began)
}

// finish says how a campaign went, in its last lines, and gives the error for the exit status.
func (c *campaign) finish(w io.Writer, runs []*record.Run, began time.Time) error {
	var broken, problem *record.Run
	for _, r := range runs {
		switch {
		case r.Verdict == record.Failed && broken == nil:
			broken = r
		case r.Verdict == record.Errored && problem == nil:
			problem = r
		}
	}
	s := summarise(runs)
	_, _ = fmt.Fprintf(w, "\n%d runs in %s: %d passed, %d broken, %d could not be played; %d sessions, %d requests, %d faults\n",
		s.Runs, record.Short(time.Since(began)), s.Passed, s.Broken, s.Errors, s.Sessions, s.Requests, s.Faults)
	if s.NotPlayed > 0 {
		_, _ = fmt.Fprintf(w, "%d faults of the plans were not played; the reports say why\n", s.NotPlayed)
	}
	switch {
	case broken != nil:
		_, _ = fmt.Fprintf(w, "what was kept of it, also when it is played again: %s\nplay it again:\n%s\n", filepath.Join(c.out, broken.Scenario+"-"+strconv.FormatUint(broken.Seed, 10)), broken.Replay)
		return told{errBroken}
	case problem != nil:
		_, _ = fmt.Fprintf(w, "%s could not be played: %s\nplay it again:\n%s\n", problem.Scenario, problem.Problem, problem.Replay)
		return told{errors.New(problem.Problem)}
	}
	return nil
}
