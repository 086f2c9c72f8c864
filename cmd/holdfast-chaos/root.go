package main

import (
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/chaos/fault"
	"github.com/holdfast-lb/holdfast/chaos/scenario"
)

// The exit statuses.
const (
	exitPassed  = 0
	exitBroken  = 1
	exitUsage   = 2
	exitProblem = 3
)

// errBroken: a promise was broken. What and how has been printed.
var errBroken = errors.New("a promise was broken")

// wrongUsage is an error of whoever typed the command.
type wrongUsage struct{ error }

func (u wrongUsage) Unwrap() error { return u.error }

func usagef(format string, args ...any) error { return wrongUsage{fmt.Errorf(format, args...)} }

// told is an error that has been printed.
type told struct{ error }

func (t told) Unwrap() error { return t.error }

func exitStatus(err error) int {
	switch {
	case err == nil:
		return exitPassed
	case errors.Is(err, errBroken):
		return exitBroken
	case errors.As(err, new(wrongUsage)), errors.As(err, new(scenario.Faults)), errors.Is(err, fault.ErrLacks):
		return exitUsage
	}
	return exitProblem
}

// explain prints err for people and gives the exit status.
func explain(w io.Writer, cmd *cobra.Command, err error) int {
	status := exitStatus(err)
	var faults scenario.Faults
	switch {
	case err == nil, errors.As(err, new(told)):
	case errors.As(err, &faults):
		_, _ = fmt.Fprintln(w, faults) // file:line:column: … as editors and CI systems read it
	case status == exitUsage:
		_, _ = fmt.Fprintf(w, "holdfast-chaos: %v\nSee '%s --help'.\n", err, cmd.CommandPath())
	default:
		_, _ = fmt.Fprintf(w, "holdfast-chaos: %v\n", err)
	}
	return status
}

func newRootCommand(out io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "holdfast-chaos",
		Short: "Play faults against real Holdfast processes, and judge what clients see",
		Long: `Play scenarios against real Holdfast processes on this machine, on loopback and without root: clients with sticky sessions, faults that overlap, and checks
that hold every answer against what was promised.

Exit status: 0 everything held, 1 a promise was broken, 2 wrong usage, 3 it could not be played.`,
		Example: `  holdfast-chaos run                       # the CI profile, under five minutes; the report is in chaos-out/
  holdfast-chaos run --scenario my.yaml    # a scenario of yours
  holdfast-chaos list --faults             # what can happen`,
		Version:       fmt.Sprintf("%s %s %s/%s", version, runtime.Version(), runtime.GOOS, runtime.GOARCH),
		Args:          cobra.ArbitraryArgs,
		RunE:          groupOnly,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("holdfast-chaos {{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return wrongUsage{err} })
	root.AddCommand(newRunCommand(), newListCommand(out), newPlanCommand(out), newReplayCommand(), newReportCommand(out), newMinimiseCommand(), newSelftestCommand(), newGamedayCommand())
	for _, cmd := range root.Commands() {
		if check := cmd.Args; check != nil {
			cmd.Args = func(cmd *cobra.Command, args []string) error {
				if err := check(cmd, args); err != nil {
					return wrongUsage{err}
				}
				return nil
			}
		}
	}
	return root
}

// groupOnly is what the program does without a sub-command: alone it shows its help; anything else is a typing error.
func groupOnly(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return usagef("there is no command %q; did you mean %s?", args[0], near[0])
	}
	return usagef("there is no command %q", args[0])
}
