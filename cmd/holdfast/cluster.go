package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

func newClusterCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "The clusters: add, change, start, stop and remove them",
		Long: `The clusters. 'start' waits until enough instances are available and enables all of them in one transaction; 'stop' disables all of them in one
transaction and can wait until they are safe to stop; 'remove' quiesces its modules first. Each of them can be run again when it was interrupted.`,
		Example: `  holdfast cluster list
  holdfast cluster stop cluster1 --wait && upgrade cluster1 && holdfast cluster start cluster1`,
		Args: cobra.ArbitraryArgs,
		RunE: groupOnly,
	}
	cmd.AddCommand(newClusterListCommand(g), newClusterShowCommand(g), newClusterAddCommand(g), newClusterSetCommand(g), newClusterEnableCommand(g),
		newClusterStopCommand(g, "disable"), newClusterStartCommand(g), newClusterStopCommand(g, "stop"), newClusterRemoveCommand(g))
	return g.operator(cmd)
}

// clusterFields are the flags for the values of a cluster that are changed most. --set reaches the others.
func clusterFields(cmd *cobra.Command) *fieldFlags {
	f := &fieldFlags{}
	f.text(cmd, "policy", "policy", "who gets new sessions: `POLICY` round-robin, weighted-round-robin, least-sessions, least-requests, power-of-two or peak-ewma")
	f.text(cmd, "affinity", "affinity.type", "how sessions are recognised: `TYPE` insert, learn, header, source or none")
	f.duration(cmd, "idle-timeout", "affinity.idleTimeout", "a session goes after this `TIME` without a request")
	f.text(cmd, "health-path", "health.path", "the `PATH` that the health check asks for")
	f.text(cmd, "health-type", "health.type", "the `TYPE` of health check: http, tcp, grpc, agent or none")
	f.duration(cmd, "health-interval", "health.interval", "`TIME` between checks")
	f.duration(cmd, "quiesce-timeout", "quiesceTimeout", "how long instances and modules quiesce at most when they do not say: `TIME` as in 31m")
	f.text(cmd, "locality", "locality", "prefer near instances: `HOW` none, host or zone")
	f.texts(cmd, "backup", "backup", "the `CLUSTER`s that are used when no instance of this one is available")
	f.any(cmd)
	return f
}

func newClusterAddCommand(g *globals) *cobra.Command {
	var f changeFlags
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a cluster, which has no instances yet, and modules only with --from",
		Example: `  holdfast cluster add cluster2 --policy least-sessions --health-path /ping
  holdfast cluster add cluster3 --affinity learn --set 'affinity.names=["JSESSIONID"]' --set health.fall=3
  holdfast cluster add green --from blue     # the modules and all settings of blue, none of its instances`,
		Args: cobra.ExactArgs(1),
	}
	fields := clusterFields(cmd)
	fields.text(cmd, "from", "template", "copy the modules and what is not given from this `CLUSTER` (but never name and instances)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return g.editClusters(cmd, &f, wait, "add", args, fields)
	}
	f.add(cmd)
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("from", g.completeClusters))
	appliedFlag(cmd, &wait)
	return cmd
}

func newClusterSetCommand(g *globals) *cobra.Command {
	var f changeFlags
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "set NAME...",
		Short: "Change values of clusters; those that are not given stay as they are",
		Example: `  holdfast cluster set cluster1 --policy weighted-round-robin
  holdfast cluster set cluster1 cluster2 --health-interval 10s --set slowStart=30s`,
		Args: cobra.MinimumNArgs(1),
	}
	fields := clusterFields(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return g.editClusters(cmd, &f, wait, "set", args, fields)
	}
	f.add(cmd)
	appliedFlag(cmd, &wait)
	cmd.ValidArgsFunction = g.completeClusters
	return cmd
}

func newClusterEnableCommand(g *globals) *cobra.Command {
	var f changeFlags
	var wait time.Duration
	cmd := &cobra.Command{
		Use:     "enable NAME...",
		Short:   "Enable all instances of clusters at once, available or not; 'start' waits for them",
		Example: "  holdfast cluster enable cluster1",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.editClusters(cmd, &f, wait, "enable", args, nil)
		},
	}
	f.add(cmd)
	appliedFlag(cmd, &wait)
	cmd.ValidArgsFunction = g.completeClusters
	return cmd
}

// editClusters makes the same edit of several clusters, one transaction.
func (g *globals) editClusters(cmd *cobra.Command, f *changeFlags, wait time.Duration, op string, names []string, fields *fieldFlags) error {
	if err := errors.Join(f.check(cmd, time.Now()), g.checkApplied(cmd, &wait)); err != nil {
		return err
	}
	var values map[string]any
	if fields != nil {
		var err error
		if values, err = fields.given(cmd); err != nil {
			return err
		}
		if op == "set" && len(values) == 0 {
			return nothingToSet(cmd)
		}
	}
	ctx, c, done, err := g.connect(cmd)
	if err != nil {
		return err
	}
	defer done()
	var e client.Edits
	for _, name := range names {
		e.Edits = append(e.Edits, clusterEdit(op, name, values))
	}
	return g.apply(ctx, cmd, c, f, wait, fmt.Sprintf("%s cluster %s", op, clean(listOf(names))), e)
}

// newClusterStopCommand makes stop, and disable, which is the same.
func newClusterStopCommand(g *globals, name string) *cobra.Command {
	var s stopping
	cmd := &cobra.Command{
		Use:   name + " NAME...",
		Short: map[string]string{"stop": "Quiesce all instances of clusters, in one transaction", "disable": "The same as stop: all instances quiesce"}[name],
		Long: `Disable all instances of clusters in one transaction: they quiesce. With --wait the command returns when all of them are safe to stop. New sessions go to
other clusters that have the modules; when there is none, they get 503, or with onAllQuiescing: serve go on where they quiesce.`,
		Example: fmt.Sprintf("  holdfast cluster %[1]s cluster1 --wait\n  holdfast cluster %[1]s cluster1 --now", name),
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			var e client.Edits
			var subjects []client.Subject
			for _, name := range names {
				cl, err := g.findCluster(cmd, name)
				if err != nil {
					return err
				}
				e.Edits = append(e.Edits, clusterEdit("disable", name, nil))
				subjects = append(subjects, instancesOf(cl)...)
				if s.now {
					e.Now = append(e.Now, client.Subject{Cluster: name})
				}
			}
			if len(subjects) == 0 {
				return fmt.Errorf("%s has no instances", clean(listOf(names)))
			}
			return g.runStopping(cmd, &s, "stop "+clean(listOf(names)), e, subjects)
		},
	}
	s.flags(cmd)
	cmd.ValidArgsFunction = g.completeClusters
	return cmd
}

func newClusterRemoveCommand(g *globals) *cobra.Command {
	var f changeFlags
	var wait waitFlag
	var force bool
	cmd := &cobra.Command{
		Use:   "remove NAME",
		Short: "Remove a cluster with its modules and instances, after its modules have quiesced",
		Long: `Remove a cluster. Its modules are disabled first, in one transaction; when their quiesces have ended and nothing is in flight, the cluster goes with its
modules and instances. Without --wait the command ends with status 3 while something still runs: run it again later. --force removes it at once.`,
		Example: `  holdfast cluster remove cluster2 --wait
  holdfast cluster remove cluster2 --force`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch err := f.check(cmd, time.Now()); {
			case err != nil:
				return err
			case f.at != "" && !force:
				return usagef(cmd, "--at goes with --force only: whether something still runs is known when it is removed")
			}
			return g.removeCluster(cmd, &f, &wait, force, args[0])
		},
	}
	f.add(cmd)
	wait.add(cmd, "wait for the quiesces, then remove; `TIME`: that long at most")
	cmd.Flags().BoolVar(&force, "force", false, "at once, whatever still runs")
	cmd.ValidArgsFunction = g.completeClusters
	return cmd
}

// removeCluster goes on where an earlier run has ended.
func (g *globals) removeCluster(cmd *cobra.Command, f *changeFlags, wait *waitFlag, force bool, name string) error {
	ctx, c, done, err := g.connect(cmd)
	if err != nil {
		return err
	}
	defer done()
	remove := client.Edits{Edits: []config.Edit{clusterEdit("remove", name, nil)}}
	if !force {
		if remove.Stopped, err = g.disableAll(ctx, cmd, c, f, name); err != nil {
			return err
		}
		if wait.on {
			_, err = g.untilStopped(ctx, cmd, c, remove.Stopped, wait.limit)
		} else {
			err = checkNothingRuns(ctx, c, name, remove.Stopped)
		}
		if err != nil {
			return err
		}
	}
	if wait.on && !g.timed(cmd) { // the time of one call has gone by while it waited
		done()
		if ctx, c, done, err = g.connect(cmd); err != nil {
			return err
		}
		defer done()
	}
	return g.apply(ctx, cmd, c, f, 0, "remove cluster "+clean(name), remove)
}

// disableAll disables what of the cluster is enabled: its modules, or its instances when it has no modules. It gives what has to be stopped.
func (g *globals) disableAll(ctx context.Context, cmd *cobra.Command, c *client.Client, f *changeFlags, name string) ([]client.Subject, error) {
	s, err := c.Status(ctx)
	if err != nil {
		return nil, err
	}
	cl, err := clusterIn(s, name)
	if err != nil {
		return nil, err
	}
	var e client.Edits
	for _, m := range cl.Modules {
		if m.Admin == wire.AdminEnabled {
			e.Edits = append(e.Edits, moduleEdit("disable", name, m.Host, m.ContextRoot, nil))
		}
	}
	subjects := modulesOf(cl)
	if len(subjects) == 0 {
		subjects = instancesOf(cl)
		for _, i := range cl.Instances {
			if i.Admin == wire.AdminEnabled {
				e.Edits = append(e.Edits, instanceEdit("disable", name, i.Name, nil))
			}
		}
	}
	if len(e.Edits) == 0 {
		return subjects, nil
	}
	res, err := g.edit(ctx, cmd, c, f, 0, "disable the modules of cluster "+clean(name), e)
	if err != nil {
		return nil, err
	}
	f.unpinned = true
	return subjects, writeResult(g.err, res)
}

// checkNothingRuns refuses to remove a cluster of which something still runs.
func checkNothingRuns(ctx context.Context, c *client.Client, name string, subjects []client.Subject) error {
	s, err := c.Status(ctx)
	if err != nil {
		return err
	}
	cl, err := clusterIn(s, name)
	if err != nil {
		return err
	}
	var runs []string
	note := func(s client.Subject, admin string, flight int64) {
		if slices.Contains(subjects, s) && (admin != wire.AdminStopped || flight > 0) {
			runs = append(runs, fmt.Sprintf("%s is %s, %d in flight", titled(s), admin, flight))
		}
	}
	for _, m := range cl.Modules {
		note(client.Subject{Cluster: name, Host: m.Host, ContextRoot: m.ContextRoot}, m.Admin, m.InFlight)
	}
	for _, i := range cl.Instances {
		note(client.Subject{Cluster: name, Instance: i.Name}, i.Admin, i.InFlight)
	}
	if len(runs) > 0 {
		return refusedf("cluster %s is not removed yet: something still runs; run this again later, or with --wait or --force\n%s", clean(name), strings.Join(runs, "\n"))
	}
	return nil
}
