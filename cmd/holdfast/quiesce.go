package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

func newQuiesceCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "quiesce",
		Aliases: []string{"drain"},
		Short:   "The quiesces that run: look at them, give them another end, wait, cancel",
		Long: `The quiesces that run. 'holdfast instance|module|cluster disable' begins one. Name one by its id, by its cluster (then all that run there), or by its
cluster and the instance or context root.`,
		Example: `  holdfast quiesce list
  holdfast quiesce set cluster1 instance1 --remaining 5m
  holdfast quiesce wait cluster1`,
		Args: cobra.ArbitraryArgs,
		RunE: groupOnly,
	}
	cmd.AddCommand(newQuiesceListCommand(g), newQuiesceSetCommand(g), newQuiesceWaitCommand(g), newQuiesceCancelCommand(g))
	return g.operator(cmd)
}

func newQuiesceListCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the quiesces that run, with what is left",
		Example: `  holdfast quiesce list
  holdfast quiesce list -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			list, err := c.Quiesces(ctx)
			if err != nil {
				return fmt.Errorf("list quiesces: %w", err)
			}
			return g.printQuiesces(list)
		},
	}
}

func (g *globals) printQuiesces(list []client.Quiesce) error {
	return g.print(wire.QuiesceList{Quiesces: list}, func(w io.Writer) error {
		if len(list) == 0 {
			_, err := fmt.Fprintln(w, "no quiesce runs")
			return err
		}
		return g.quiesceTable(list).write(w)
	})
}

func (g *globals) quiesceTable(list []client.Quiesce) *table {
	t := g.table("QUIESCE>", "KIND", "CLUSTER", "NAME", "STARTED", "UNTIL", "REMAINS>", "SESSIONS>", "IN FLIGHT>", "BY")
	for _, q := range list {
		t.row(q.ID, q.Kind, q.Cluster, q.Name, shortly(q.Started), shortly(q.Deadline), remains(&q), q.Sessions, q.InFlight, orDash(q.Actor))
	}
	return t
}

// shortly is a time for a table with many columns: of today without its date.
func shortly(t time.Time) string {
	if t, now := t.UTC(), time.Now().UTC(); t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04:05Z")
	}
	return t.UTC().Format("01-02 15:04Z")
}

func remains(q *client.Quiesce) time.Duration { return time.Duration(q.Remains).Round(time.Second) }

// quiesceLine says in one line how far a quiesce is.
func quiesceLine(q *client.Quiesce) string {
	return fmt.Sprintf("%d, since %s until %s, %v left, by %s", q.ID, when(q.Started), when(q.Deadline), remains(q), orDash(q.Actor))
}

// pick chooses the quiesces that args name: an id, a cluster, or a cluster and names in it.
func pick(list []client.Quiesce, host string, args []string) (chosen []client.Quiesce) {
	for _, q := range list {
		id, isID := parseID(args[0])
		switch {
		case len(args) == 1 && isID && q.ID == id, len(args) == 1 && q.Cluster == args[0]:
		case len(args) > 1 && q.Cluster == args[0] && q.Kind == wire.KindInstance && slices.Contains(args[1:], q.Instance):
		case len(args) > 1 && q.Cluster == args[0] && q.Kind == wire.KindModule && q.Host == host && slices.Contains(args[1:], q.ContextRoot):
		default:
			continue
		}
		chosen = append(chosen, q)
	}
	return chosen
}

// chosen reads the quiesces that args name. That none runs is an error: by the state of the group.
func chosen(ctx context.Context, c *client.Client, host string, args []string) ([]client.Quiesce, error) {
	list, err := c.Quiesces(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for the quiesce: %w", err)
	}
	if found := pick(list, host, args); len(found) > 0 {
		return found, nil
	}
	return nil, refusedf("no such quiesce runs (%s): it has ended, was cancelled, or never began; 'holdfast quiesce list' lists those that run", clean(strings.Join(args, " ")))
}

func newQuiesceSetCommand(g *globals) *cobra.Command {
	var remaining, total time.Duration
	var host string
	cmd := &cobra.Command{
		Use:   "set ID|CLUSTER [NAME...]",
		Short: "Give running quiesces another end",
		Long: `Give running quiesces another end: --remaining counts from now on, --total from the start. A quiesce that is set to --remaining 5m after ten minutes
lasts 15 minutes altogether, the same as with --total 15m. An end in the past ends it now.`,
		Example: `  holdfast quiesce set cluster1 instance1 --remaining 5m
  holdfast quiesce set 1234 --total 15m`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var u client.QuiesceUpdate
			switch hasRemaining, hasTotal := cmd.Flags().Changed("remaining"), cmd.Flags().Changed("total"); {
			case hasRemaining == hasTotal:
				return usagef(cmd, "give either --remaining or --total")
			case hasRemaining && remaining <= 0 || hasTotal && total <= 0:
				return usagef(cmd, "want more than 0; 'holdfast instance disable --now' stops at once")
			case hasRemaining:
				u.Remaining = remaining.String()
			default:
				u.Total = total.String()
			}
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			list, err := chosen(ctx, c, host, args)
			if err != nil {
				return err
			}
			after := []client.Quiesce{}
			for i := range list {
				u.Subject = &list[i].Subject
				changed, err := c.SetQuiesce(ctx, list[i].ID, u)
				if err != nil {
					return fmt.Errorf("set the quiesce of %s: %w", titled(list[i].Subject), err)
				}
				after = append(after, changed...)
			}
			return g.printQuiesces(after)
		},
	}
	cmd.Flags().DurationVar(&remaining, "remaining", 0, "it ends this `TIME` from now")
	cmd.Flags().DurationVar(&total, "total", 0, "it ends this `TIME` after its start")
	hostFlag(cmd, &host)
	cmd.ValidArgsFunction = g.completeNames(bothNames, &host)
	return cmd
}

// bothNames are the instances and the context roots of a cluster.
func bothNames(cl *client.Cluster, host string) []string {
	return append(instanceNames(cl, host), moduleNames(cl, host)...)
}

func newQuiesceWaitCommand(g *globals) *cobra.Command {
	var host string
	var limit time.Duration
	cmd := &cobra.Command{
		Use:   "wait [ID|CLUSTER [NAME...]]",
		Short: "Wait until it is safe to stop what quiesces",
		Long: `Wait until it is safe to stop: the quiesces have ended, every node obeys that, and no node has a request in flight for what they are about. Without a
name all quiesces that run are waited for. A quiesce that has ended already is waited for by the name of its instance or module, until nothing is in flight.`,
		Example: `  holdfast quiesce wait cluster1 instance1
  holdfast quiesce wait --limit 45m`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 0 {
				return usagef(cmd, "--limit %v: want 0 (as long as it takes) or more", limit)
			}
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			subjects, err := waitSubjects(ctx, c, host, args)
			if err != nil {
				return err
			}
			if limit == 0 {
				limit = forever
			}
			return g.waitStopped(ctx, cmd, c, subjects, limit, nil)
		},
	}
	cmd.Flags().DurationVar(&limit, "limit", 0, "give up after this `TIME`; 0: as long as it takes")
	hostFlag(cmd, &host)
	cmd.ValidArgsFunction = g.completeNames(bothNames, &host)
	return cmd
}

// waitSubjects finds what is to be waited for. Names of a cluster are taken as they are: their quiesce may be over.
func waitSubjects(ctx context.Context, c *client.Client, host string, args []string) (out []client.Subject, err error) {
	if len(args) > 1 {
		for _, name := range args[1:] {
			s := client.Subject{Cluster: args[0], Instance: name}
			if strings.HasPrefix(name, "/") {
				s = client.Subject{Cluster: args[0], Host: host, ContextRoot: name}
			}
			out = append(out, s)
		}
		return out, checkSubjects(ctx, c, out)
	}
	list, err := c.Quiesces(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for the quiesces: %w", err)
	}
	if len(args) == 1 {
		if list = pick(list, host, args); len(list) == 0 {
			return nil, refusedf("no such quiesce runs (%s); name the instance or module too when it has ended already", clean(args[0]))
		}
	}
	for _, q := range list {
		out = append(out, q.Subject)
	}
	return out, nil
}

// checkSubjects refuses names that are not there: a typing error must not be safe to stop.
func checkSubjects(ctx context.Context, c *client.Client, subjects []client.Subject) error {
	s, err := c.Status(ctx)
	if err != nil {
		return err
	}
	for _, subject := range subjects {
		cl, err := clusterIn(s, subject.Cluster)
		if err != nil {
			return err
		}
		if !slices.Contains(append(instancesOf(cl), modulesOf(cl)...), subject) {
			return fmt.Errorf("cluster %s has no %s %s", clean(subject.Cluster), subject.Kind(), clean(subject.Name()))
		}
	}
	return nil
}

func newQuiesceCancelCommand(g *globals) *cobra.Command {
	var host string
	f := changeFlags{message: "quiesce cancelled"}
	cmd := &cobra.Command{
		Use:   "cancel ID|CLUSTER [NAME...]",
		Short: "Cancel quiesces: what they are about is enabled again",
		Example: `  holdfast quiesce cancel cluster1 instance1
  holdfast quiesce cancel 1234`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.checkOwner(cmd); err != nil {
				return err
			}
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			list, err := chosen(ctx, c, host, args)
			if err != nil {
				return err
			}
			var e client.Edits
			for _, q := range list {
				if q.Kind == wire.KindModule {
					e.Edits = append(e.Edits, moduleEdit("enable", q.Cluster, q.Host, q.ContextRoot, nil))
				} else {
					e.Edits = append(e.Edits, instanceEdit("enable", q.Cluster, q.Instance, nil))
				}
			}
			if e.Lock, err = f.lockID(ctx, cmd, c); err != nil {
				return err
			}
			e.Message = f.message
			res, err := c.EditConfig(ctx, e, client.ChangeOptions{Owner: f.owner})
			if err != nil {
				return fmt.Errorf("cancel the quiesce: %w", err)
			}
			return g.print(res, func(w io.Writer) error { return writeResult(w, res) })
		},
	}
	hostFlag(cmd, &host)
	f.addLock(cmd)
	cmd.ValidArgsFunction = g.completeNames(bothNames, &host)
	return cmd
}
