package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// errRefused marks what the state of the group does not allow, found out here: exit status 3.
var errRefused = errors.New("refused")

func refusedf(format string, args ...any) error {
	return &stateError{fmt.Sprintf(format, args...)}
}

// stateError is a refusal without the word for it in its text.
type stateError struct{ text string }

func (e *stateError) Error() string        { return e.text }
func (e *stateError) Is(target error) bool { return target == errRefused }

// changeFlags are the flags of every command that changes the configuration.
type changeFlags struct {
	message string
	at      string
	lock    string
	owner   string
	expect  int64
	// unpinned: --expect has been met by an earlier change of the same command.
	unpinned bool
}

// lockNow is what --under-lock without a value stands for.
const lockNow = "current"

func (f *changeFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVarP(&f.message, "message", "m", "", "`TEXT` for the history: why")
	fl.StringVar(&f.at, "at", "", "not now, but at this `TIME`, as in 2026-03-01T02:00:00Z")
	f.addLock(cmd)
	fl.Int64Var(&f.expect, "expect", 0, "only when this `REVISION` is current (default: change whatever is current)")
}

// addLock adds the flags of changes under the maintenance lock.
func (f *changeFlags) addLock(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.lock, "under-lock", "", "make the change under the maintenance lock, by its owner; `ID` only when the lock must be that one")
	fl.Lookup("under-lock").NoOptDefVal = lockNow
	fl.StringVar(&f.owner, "owner", "", "`NAME` under which the lock of --under-lock was taken; default: as with 'holdfast maintenance on'")
}

// check says what is wrong with the flags. now is the clock.
func (f *changeFlags) check(cmd *cobra.Command, now time.Time) error {
	if cmd.Flags().Changed("expect") && f.expect < 0 {
		return usagef(cmd, "--expect %d: a revision is 0 or more", f.expect)
	}
	if err := f.checkOwner(cmd); err != nil {
		return err
	}
	_, err := f.time(cmd, now)
	return err
}

// checkOwner: the owner of a lock under which nothing is done would be a mistake.
func (f *changeFlags) checkOwner(cmd *cobra.Command) error {
	if f.owner != "" && f.lock == "" {
		return usagef(cmd, "--owner goes with --under-lock")
	}
	return nil
}

// time gives the time of --at, zero without one.
func (f *changeFlags) time(cmd *cobra.Command, now time.Time) (time.Time, error) {
	if f.at == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, f.at)
	switch {
	case err != nil:
		return t, usagef(cmd, "--at %q: want a time as in %s", f.at, now.UTC().Add(time.Hour).Format(time.RFC3339))
	case !t.After(now):
		return t, usagef(cmd, "--at %s is not in the future", f.at)
	}
	return t, nil
}

// options are the client's for these flags.
func (f *changeFlags) options(cmd *cobra.Command) (o client.ChangeOptions, err error) {
	o.Owner = f.owner
	o.At, err = f.time(cmd, time.Now())
	if cmd.Flags().Changed("expect") && !f.unpinned {
		o.Pinned, o.Expect = true, uint64(f.expect)
	}
	return o, err
}

// lockID finds the maintenance lock under which the change is made, 0 for none.
func (f *changeFlags) lockID(ctx context.Context, cmd *cobra.Command, c *client.Client) (uint64, error) {
	switch f.lock {
	case "":
		return 0, nil
	case lockNow:
		m, err := c.Maintenance(ctx)
		switch {
		case err != nil:
			return 0, fmt.Errorf("look for the maintenance lock: %w", err)
		case !m.On:
			return 0, refusedf("the maintenance lock is off, so nothing can be done under it; 'holdfast maintenance on' takes it")
		}
		return m.Lock.ID, nil
	}
	id, ok := parseID(f.lock)
	if !ok {
		return 0, usagef(cmd, "--under-lock=%s: want the id of the lock, as 'holdfast maintenance status' shows it", f.lock)
	}
	return id, nil
}

func parseID(text string) (uint64, bool) {
	var id uint64
	_, err := fmt.Sscanf(text, "%d", &id)
	return id, err == nil && fmt.Sprint(id) == text && id > 0
}

// edit has the group make edits. what is in front of an error.
func (g *globals) edit(ctx context.Context, cmd *cobra.Command, c *client.Client, f *changeFlags, wait time.Duration, what string, e client.Edits) (*client.ConfigResult, error) {
	o, err := f.options(cmd)
	if err != nil {
		return nil, err
	}
	if e.Lock, err = f.lockID(ctx, cmd, c); err != nil {
		return nil, err
	}
	e.Message, o.Wait = f.message, wait
	if !o.At.IsZero() {
		o.Wait = 0
	}
	res, err := c.EditConfig(ctx, e, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	g.warn(res.Warnings)
	return res, nil
}

func (g *globals) warn(list []string) {
	for _, w := range list {
		fmt.Fprintf(g.err, "warning: %s\n", clean(w))
	}
}

// writeResult prints what became of a change, and what it did to what runs.
func writeResult(w io.Writer, r *client.ConfigResult) error {
	if _, err := fmt.Fprintln(w, outcome(r)); err != nil {
		return err
	}
	if r.Effect == nil {
		return nil
	}
	return writeEffect(w, r.Effect, false)
}

// outcome says in one line what became of a change.
func outcome(r *client.ConfigResult) string {
	by := "a majority of the nodes"
	if r.AppliedBy == "all" {
		by = "all nodes"
	}
	switch {
	case r.Schedule != nil:
		return fmt.Sprintf("scheduled as %s for %s; 'holdfast config schedules' lists it", clean(r.Schedule.ID), when(r.Schedule.At))
	case r.Unchanged:
		return fmt.Sprintf("revision %d is this configuration already, applied at index %d on %s", r.Revision, r.Index, by)
	}
	return fmt.Sprintf("revision %d applied at index %d on %s", r.Revision, r.Index, by)
}

// writeEffect prints one line for each thing that a change does, or would do.
func writeEffect(w io.Writer, e *client.Effect, planned bool) error {
	var b strings.Builder
	verb := func(done, would string) string {
		if planned {
			return would
		}
		return done
	}
	for _, s := range e.Started {
		fmt.Fprintf(&b, "%s %s: until %s, %v at most, %s\n", titled(s.Subject), verb("quiesces", "would quiesce"), when(s.Until), s.Timeout, count(s.Sessions, "session"))
	}
	for _, c := range e.Changed {
		fmt.Fprintf(&b, "%s: the quiesce %s %v from now, at %s\n", titled(c.Subject), verb("ends", "would end"), c.Remaining, when(c.Until))
	}
	for _, s := range e.Canceled {
		fmt.Fprintf(&b, "%s: the quiesce %s cancelled\n", titled(s), verb("is", "would be"))
	}
	for _, s := range e.Stopped {
		fmt.Fprintf(&b, "%s %s %s: %s\n", titled(s.Subject), verb("is", "would be"), clean(s.Why), goes(s))
	}
	if twice(e.Stopped) {
		b.WriteString("a session is counted with its module and with its instance\n")
	}
	shown := len(e.Started) + len(e.Changed) + len(e.Canceled) + len(e.Stopped)
	if all := e.Counts.Started + e.Counts.Changed + e.Counts.Canceled + e.Counts.Stopped; all > shown {
		fmt.Fprintf(&b, "and %d more: %d quiesces begin, %d get another end, %d are cancelled, %d are stopped or removed, with %s\n",
			all-shown, e.Counts.Started, e.Counts.Changed, e.Counts.Canceled, e.Counts.Stopped, count(e.Counts.Sessions, "session"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// twice tells whether modules are taken out together with instances of their cluster: their sessions are the same ones.
func twice(list []wire.Displaced) bool {
	modules := map[string]bool{}
	for i := range list {
		if s := &list[i]; s.ContextRoot != "" && s.Sessions > 0 {
			modules[s.Cluster] = true
		}
	}
	return slices.ContainsFunc(list, func(s wire.Displaced) bool { return s.Instance != "" && s.Sessions > 0 && modules[s.Cluster] })
}

// goes says what the next request of the sessions finds.
func goes(d wire.Displaced) string {
	sessions, end := count(d.Sessions, "session")+" ", "s"
	if d.Sessions != 1 {
		end = ""
	}
	begin, get := "begin"+end+" anew in another cluster", "get"+end+" 503"
	switch d.Goes {
	case wire.GoesToInstances:
		return sessions + map[string]string{"s": "goes", "": "go"}[end] + " to other instances at the next request"
	case wire.GoesToClusters:
		return sessions + begin + " at the next request, for there is no other instance in this one"
	case wire.GoesToSome:
		return sessions + begin + " that serves the module, or " + get + " where there is none"
	case wire.GoesNowhere:
		return sessions + get + " at the next request, for nothing else serves it"
	}
	return sessions + map[string]string{"s": "goes", "": "go"}[end] + " elsewhere at the next request"
}

// titled names a subject at the beginning of a line.
func titled(s client.Subject) string {
	return clean(fmt.Sprintf("%s %s of cluster %s", s.Kind(), s.Name(), s.Cluster))
}

// waitFlag is --wait of the commands that wait for the end of quiesces: without a value for as long as it takes.
type waitFlag struct {
	on    bool
	limit time.Duration
}

// forever is how long a command waits that waits for as long as it takes.
const forever = time.Duration(math.MaxInt64 / 4)

func (w *waitFlag) String() string {
	if !w.on || w.limit == forever {
		return ""
	}
	return w.limit.String()
}

func (w *waitFlag) Type() string { return "TIME" }

func (w *waitFlag) Set(text string) error {
	w.on, w.limit = true, forever
	if text == "forever" {
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return errors.New("want a time, as in 10m")
	}
	w.limit = d
	return nil
}

func (w *waitFlag) add(cmd *cobra.Command, usage string) {
	cmd.Flags().Var(w, "wait", usage)
	cmd.Flags().Lookup("wait").NoOptDefVal = "forever"
}

// appliedFlag is --wait of the commands that wait until every node serves the change.
func appliedFlag(cmd *cobra.Command, d *time.Duration) {
	cmd.Flags().DurationVar(d, "wait", 0, "wait until every node has applied it, this `TIME` at most")
	cmd.Flags().Lookup("wait").NoOptDefVal = "30s"
}

// leastAnswer is what of --timeout is left for the change itself, and for the answer that says which nodes were not in time.
const leastAnswer = time.Second

// checkApplied also gives the command the time that it waits; with --timeout it waits for less, so that the command is over by then.
func (g *globals) checkApplied(cmd *cobra.Command, wait *time.Duration) error {
	switch {
	case *wait == 0:
		return nil
	case *wait < time.Second || *wait > time.Minute:
		return usagef(cmd, "--wait=%v: want 1s to 1m", *wait)
	case !g.timed(cmd):
		g.timeout = max(g.timeout, *wait+defaultTimeout)
		return nil
	case g.timeout < time.Second+leastAnswer:
		return usagef(cmd, "--timeout %v is too short to wait for every node: want %v or more, or leave --wait out", g.timeout, time.Second+leastAnswer)
	}
	*wait = min(*wait, (g.timeout - leastAnswer).Truncate(time.Second)) // nodes count whole seconds
	return nil
}

// behind is the error of a change that holds, but that not every node has applied in time.
func behind(res *client.ConfigResult, wait time.Duration) error {
	if wait == 0 || res.Schedule != nil || res.AppliedBy == "all" {
		return nil
	}
	which := "'holdfast status' shows which"
	if len(res.Behind) > 0 {
		which = listOf(res.Behind)
	}
	return fmt.Errorf("revision %d is the group's configuration, but not every node has applied it within %v: %s", res.Revision, wait, which)
}

// instanceEdit and moduleEdit name what an edit is about.
func instanceEdit(op, cluster, name string, values map[string]any) config.Edit {
	return config.Edit{Op: op, Kind: wire.KindInstance, Cluster: cluster, Name: name, Values: valuesOf(values)}
}

func moduleEdit(op, cluster, host, root string, values map[string]any) config.Edit {
	return config.Edit{Op: op, Kind: wire.KindModule, Cluster: cluster, Host: host, ContextRoot: root, Values: valuesOf(values)}
}

func clusterEdit(op, name string, values map[string]any) config.Edit {
	return config.Edit{Op: op, Kind: wire.KindCluster, Name: name, Values: valuesOf(values)}
}

func valuesOf(values map[string]any) []byte {
	if len(values) == 0 {
		return nil
	}
	return wire.Value(values)
}
