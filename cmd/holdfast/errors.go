package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/server"
)

// The exit statuses.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2
	exitRefused = 3
	exitDisk    = 4 // of serve alone
)

// wrongUsage is an error of whoever typed the command.
type wrongUsage struct {
	err  error
	path string // of the command, empty when not known
}

func (u *wrongUsage) Error() string { return u.err.Error() }
func (u *wrongUsage) Unwrap() error { return u.err }

// diskError is the end of a node whose disk is in doubt.
type diskError struct{ error }

func (d diskError) Unwrap() error { return d.error }

// usageError marks err as wrong usage: exit status 2.
func usageError(err error) error { return &wrongUsage{err: err} }

// usageOf marks err as wrong usage of cmd.
func usageOf(cmd *cobra.Command, err error) error {
	return &wrongUsage{err: err, path: cmd.CommandPath()}
}

func usagef(cmd *cobra.Command, format string, args ...any) error {
	return usageOf(cmd, fmt.Errorf(format, args...))
}

// refusals are the codes of problems that the state of the group causes, not the request.
var refusals = map[string]bool{
	wire.CodeRevisionConflict: true, wire.CodeRefused: true, wire.CodeLocked: true, wire.CodeNoQuorum: true, wire.CodeQuarantined: true, wire.CodeNoRoom: true,
	wire.CodePreconditionFailed: true, wire.CodeStoreFull: true,
}

func exitStatus(err error) int {
	var usage *wrongUsage
	var problem *client.Problem
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, new(diskError)):
		return exitDisk
	case errors.As(err, &problem) && refusals[problem.Code], errors.Is(err, server.ErrRefused), errors.Is(err, errRefused):
		return exitRefused
	}
	return exitFailed
}

// report prints err for people: what, why, and what to do. It gives the exit status.
func report(w io.Writer, cmd *cobra.Command, err error) int {
	status := exitStatus(err)
	if err == nil {
		return status
	}
	var faults config.Errors
	var problem *client.Problem
	var usage *wrongUsage
	switch {
	case errors.As(err, &faults):
		for _, f := range faults {
			fmt.Fprintln(w, clean(f.Error())) // file:line:column: … as editors and CI systems read it
		}
		fmt.Fprintf(w, "holdfast: the configuration has %s; nothing was changed\n", count(len(faults), "fault"))
		return status
	case errors.As(err, &problem) && len(problem.Errors) > 0:
		fmt.Fprintf(w, "holdfast: %s\n", clean(before(err, problem)+problem.Detail))
		for _, e := range problem.Errors {
			fmt.Fprintf(w, "  %s\n", clean(e.String()))
		}
	case errors.As(err, &problem) && problem.Code == wire.CodeRevisionConflict && problem.Revision != nil:
		fmt.Fprintf(w, "holdfast: somebody was faster: the configuration is at revision %d now, so nothing was changed\n", *problem.Revision)
	default:
		fmt.Fprintf(w, "holdfast: %s\n", indent(err.Error()))
	}
	if errors.As(err, &usage) {
		path := usage.path
		if path == "" && cmd != nil {
			path = cmd.CommandPath()
		}
		fmt.Fprintf(w, "See '%s --help'.\n", path)
	}
	if hint := hintOf(err); hint != "" {
		fmt.Fprintln(w, hint)
	}
	return status
}

// before is what err says in front of the problem that it wraps.
func before(err error, p *client.Problem) string {
	return strings.TrimSuffix(err.Error(), p.Error())
}

// hintOf says what to do about errors that do not say so themselves.
func hintOf(err error) string {
	var unreachable *client.Unreachable
	var problem *client.Problem
	switch {
	case errors.As(err, new(diskError)):
		return "Look at the disk (dmesg, smartctl), then start the node again: it checks what is there. Or let it join anew with an empty data directory; the others have the data."
	case errors.As(err, &unreachable):
		return "Is the node running? Name the admin addresses of your nodes with --admin or HOLDFAST_ADMIN, as in --admin http://10.0.0.1:7700,http://10.0.0.2:7700."
	case !errors.As(err, &problem):
		return ""
	case problem.Code == wire.CodeRevisionConflict:
		return "Look at it with 'holdfast config show', make the change again, and apply it (with --expect and that revision, if you gave one)."
	case problem.Code == wire.CodeUnauthorized:
		return "Give a token that counts, with HOLDFAST_TOKEN or --token-file."
	case problem.Code == wire.CodeHostNotAllowed:
		return "Name the node by its IP address in --admin, or give a token."
	}
	return ""
}

// indent keeps the lines of a long error together.
func indent(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = clean(lines[i])
	}
	return strings.Join(lines, "\n  ")
}

// clean makes control characters harmless: text from elsewhere must not steer the terminal.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == 0x2028 || r == 0x2029 || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) {
			return '?'
		}
		return r
	}, text)
}

// count gives "1 fault", "2 faults".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
