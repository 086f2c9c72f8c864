package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

func newInstanceCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "instance",
		Short: "The instances of clusters: add, change, enable, disable and remove them",
		Long: `The instances of clusters. To disable one starts its quiesce: it gets no unassigned requests any more at once, assigned ones until the deadline, and
then its sessions fail over inside the cluster; requests in flight finish. Each command is one transaction, for however many instances.`,
		Example: `  holdfast instance list cluster1
  holdfast instance add cluster1 instance3 --listener http://10.0.0.13:8080 --weight 2
  holdfast instance disable cluster1 instance1 --wait     # returns when it is safe to stop`,
		Args: cobra.ArbitraryArgs,
		RunE: groupOnly,
	}
	cmd.AddCommand(newInstanceCycleCommand(g), newInstanceListCommand(g), newInstanceShowCommand(g), newInstanceAddCommand(g), newInstanceSetCommand(g), newInstanceEnableCommand(g),
		newInstanceDisableCommand(g), newInstanceRemoveCommand(g))
	return g.operator(cmd)
}

// instanceFields are the flags for the values of an instance.
func instanceFields(cmd *cobra.Command) *fieldFlags {
	f := &fieldFlags{}
	f.texts(cmd, "listener", "listeners", "its `URL`, as in http://10.0.0.13:8080; several times or with commas for several")
	f.number(cmd, "weight", "weight", "`WEIGHT` in its cluster, 0 to 1000; 0: assigned requests only")
	f.text(cmd, "zone", "zone", "the `ZONE` or host that it is in")
	f.text(cmd, "version", "version", "`LABEL` of what it runs")
	f.text(cmd, "route", "route", "the `SUFFIX` by which it marks its session ids (jvmRoute, CloneID); default: its name")
	f.boolean(cmd, "backup", "backup", "requests only while no other instance is available")
	f.duration(cmd, "quiesce-timeout", "quiesceTimeout", "how long it quiesces at most, as in 31m; default: the cluster's `TIME`")
	f.duration(cmd, "hard-timeout", "hardTimeout", "how long after it was stopped requests in flight may go on, before they are ended; 0: the cluster's `TIME`")
	f.number(cmd, "max-sessions", "maxSessions", "`N` assignments at most, over all nodes; 0: no bound")
	f.number(cmd, "max-connections", "maxConnections", "`N` requests in flight at most, over all nodes; 0: no bound")
	f.text(cmd, "failover-to", "failoverTo", "the `INSTANCE` that takes its sessions over")
	f.any(cmd)
	return f
}

func newInstanceAddCommand(g *globals) *cobra.Command {
	var f changeFlags
	var disabled bool
	var template string
	var pre preflight
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "add CLUSTER NAME --listener URL",
		Short: "Add an instance to a cluster",
		Long: `Add an instance to a cluster. With --preflight this machine first asks it for each enabled module of the cluster, on each of its listeners, and for the
path of the health check; unless all answer with a status below 500 nothing is changed (--preflight=warn: it is added all the same).`,
		Example: `  holdfast instance add cluster1 instance3 --listener http://10.0.0.13:8080 --preflight
  holdfast instance add cluster1 instance4 --listener http://10.0.0.14:8080 --from-template instance1 --disabled`,
		Args: cobra.ExactArgs(2),
	}
	fields := instanceFields(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		values, err := fields.given(cmd)
		if err != nil {
			return err
		}
		if _, given := values["listeners"]; !given {
			return usagef(cmd, "--listener is missing: name the URL of the instance")
		}
		if err := errors.Join(f.check(cmd, time.Now()), g.checkApplied(cmd, &wait), pre.check(cmd)); err != nil {
			return err
		}
		if disabled {
			values["enabled"] = false
		}
		if template != "" {
			values["template"] = template
		}
		ctx, c, done, err := g.connect(cmd)
		if err != nil {
			return err
		}
		defer done()
		if err := g.runPreflight(ctx, c, &pre, args[0], []target{{args[1], values["listeners"].([]string)}}); err != nil {
			return err
		}
		e := client.Edits{Edits: []config.Edit{instanceEdit("add", args[0], args[1], values)}}
		return g.apply(ctx, cmd, c, &f, wait, fmt.Sprintf("add instance %s", clean(args[1])), e)
	}
	f.add(cmd)
	appliedFlag(cmd, &wait)
	pre.add(cmd)
	cmd.Flags().BoolVar(&disabled, "disabled", false, "it gets no requests until 'holdfast instance enable'")
	cmd.Flags().StringVar(&template, "from-template", "", "take what is not given from this `INSTANCE` of the cluster (but never name, listeners and route)")
	cmd.ValidArgsFunction = g.completeNames(nil, nil)
	return cmd
}

func newInstanceSetCommand(g *globals) *cobra.Command {
	var f changeFlags
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "set CLUSTER NAME...",
		Short: "Change values of instances; those that are not given stay as they are",
		Example: `  holdfast instance set cluster1 instance1 --weight 3
  holdfast instance set cluster1 instance1 instance2 --version 2.4.1 --quiesce-timeout 10m`,
		Args: cobra.MinimumNArgs(2),
	}
	fields := instanceFields(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		values, err := fields.given(cmd)
		if err != nil {
			return err
		}
		if len(values) == 0 {
			return nothingToSet(cmd)
		}
		return g.editNames(cmd, &f, wait, "set", args, values)
	}
	f.add(cmd)
	appliedFlag(cmd, &wait)
	cmd.ValidArgsFunction = g.completeNames(instanceNames, nil)
	return cmd
}

// editNames makes the same edit of several instances of a cluster, one transaction.
func (g *globals) editNames(cmd *cobra.Command, f *changeFlags, wait time.Duration, op string, args []string, values map[string]any) error {
	if err := errors.Join(f.check(cmd, time.Now()), g.checkApplied(cmd, &wait)); err != nil {
		return err
	}
	ctx, c, done, err := g.connect(cmd)
	if err != nil {
		return err
	}
	defer done()
	var e client.Edits
	for _, name := range args[1:] {
		e.Edits = append(e.Edits, instanceEdit(op, args[0], name, values))
	}
	return g.apply(ctx, cmd, c, f, wait, fmt.Sprintf("%s %s", op, clean(listOf(args[1:]))), e)
}

func newInstanceEnableCommand(g *globals) *cobra.Command {
	var f changeFlags
	var pre preflight
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "enable CLUSTER NAME...",
		Short: "Enable instances: they get unassigned requests again; a quiesce that runs is cancelled",
		Example: `  holdfast instance enable cluster1 instance1
  holdfast instance enable cluster1 instance1 instance2 --preflight`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(f.check(cmd, time.Now()), g.checkApplied(cmd, &wait), pre.check(cmd)); err != nil {
				return err
			}
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			if pre.on() {
				targets, err := targetsOf(ctx, c, args[0], args[1:])
				if err != nil {
					return err
				}
				if err := g.runPreflight(ctx, c, &pre, args[0], targets); err != nil {
					return err
				}
			}
			var e client.Edits
			for _, name := range args[1:] {
				e.Edits = append(e.Edits, instanceEdit("enable", args[0], name, nil))
			}
			return g.apply(ctx, cmd, c, &f, wait, "enable "+clean(listOf(args[1:])), e)
		},
	}
	f.add(cmd)
	appliedFlag(cmd, &wait)
	pre.add(cmd)
	cmd.ValidArgsFunction = g.completeNames(instanceNames, nil)
	return cmd
}

func newInstanceDisableCommand(g *globals) *cobra.Command {
	var s stopping
	var timeouts disableTimeouts
	cmd := &cobra.Command{
		Use:     "disable CLUSTER NAME...",
		Aliases: []string{"stop", "drain"},
		Short:   "Disable instances: they quiesce until their sessions are gone or the time is over",
		Long: `Disable instances. They get no unassigned requests any more at once; assigned ones until the deadline, quiesceTimeout after now; then their sessions fail
over inside the cluster. A quiesce ends early when nothing is left. --timeout sets quiesceTimeout along with it, and stays.

What is in flight when the quiesce is over finishes, however long that takes. With --hard-timeout (hardTimeout, which stays too) each node ends what it still
has that long after the end of the quiesce: requests, WebSockets, streams and flows; it logs how many, and so does the group ('holdfast events').

With --wait the command returns when it is safe to stop the instances: they are quiesced, every node obeys that, and no node has a request of theirs in
flight. It goes on through changes of the leader and the death of nodes, and can be repeated at any time.`,
		Example: `  holdfast instance disable cluster1 instance1 --wait && ssh app1 systemctl restart tomcat
  holdfast instance disable cluster1 instance1 instance2 --timeout 10m --hard-timeout 5m
  holdfast instance disable cluster1 instance1 --now`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			values, err := timeouts.given(cmd)
			if err != nil {
				return err
			}
			var e client.Edits
			var subjects []client.Subject
			for _, name := range args[1:] {
				if values != nil {
					e.Edits = append(e.Edits, instanceEdit("set", args[0], name, values))
				}
				e.Edits = append(e.Edits, instanceEdit("disable", args[0], name, nil))
				subjects = append(subjects, client.Subject{Cluster: args[0], Instance: name})
			}
			return g.runStopping(cmd, &s, "disable "+clean(listOf(args[1:])), e, subjects)
		},
	}
	s.flags(cmd)
	timeouts.flags(cmd)
	cmd.ValidArgsFunction = g.completeNames(instanceNames, nil)
	return cmd
}

func newInstanceRemoveCommand(g *globals) *cobra.Command {
	var f changeFlags
	var force bool
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "remove CLUSTER NAME...",
		Short: "Remove instances that are disabled and quiesced",
		Long: `Remove instances from the configuration. They must be disabled and quiesced ('holdfast instance disable --wait'), unless --force is given: then their
sessions fail over inside the cluster at their next request.`,
		Example: `  holdfast instance remove cluster1 instance1
  holdfast instance remove cluster1 instance1 --force     # it is gone already`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(f.check(cmd, time.Now()), g.checkApplied(cmd, &wait)); err != nil {
				return err
			}
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			var e client.Edits
			for _, name := range args[1:] {
				e.Edits = append(e.Edits, instanceEdit("remove", args[0], name, nil))
				if !force {
					e.Stopped = append(e.Stopped, client.Subject{Cluster: args[0], Instance: name})
				}
			}
			return stillRuns(g.apply(ctx, cmd, c, &f, wait, "remove "+clean(listOf(args[1:])), e), force)
		},
	}
	f.add(cmd)
	appliedFlag(cmd, &wait)
	cmd.Flags().BoolVar(&force, "force", false, "also while they are enabled or quiescing")
	cmd.ValidArgsFunction = g.completeNames(instanceNames, nil)
	return cmd
}

// apply makes edits and prints the outcome, for the commands that do not wait for the end of quiesces.
func (g *globals) apply(ctx context.Context, cmd *cobra.Command, c *client.Client, f *changeFlags, wait time.Duration, what string, e client.Edits) error {
	res, err := g.edit(ctx, cmd, c, f, wait, what, e)
	if err != nil {
		return err
	}
	if err := g.print(res, func(w io.Writer) error { return writeResult(w, res) }); err != nil {
		return err
	}
	return behind(res, wait)
}

// listOf joins names for a sentence.
func listOf(names []string) string {
	const most = 10
	if len(names) > most {
		names = append(slices.Clone(names[:most]), "…")
	}
	return strings.Join(names, ", ")
}
