package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// startPoll is how often start looks whether the instances are available.
const startPoll = 500 * time.Millisecond

func newClusterStartCommand(g *globals) *cobra.Command {
	var f changeFlags
	var least int
	var limit time.Duration
	cmd := &cobra.Command{
		Use:   "start NAME",
		Short: "Wait until the instances of a cluster are available, then enable all of them in one transaction",
		Long: `Wait until at least --min instances (default: all) are available, then enable all instances of the cluster in one transaction, so that they begin
together. When they are not in time nothing is changed, and the exit status is 1; run it again at any time.`,
		Example: `  holdfast cluster start cluster1
  holdfast cluster start cluster1 --min 2 --timeout 2m`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case cmd.Flags().Changed("min") && least < 0:
				return usagef(cmd, "--min %d: want 0 or more", least)
			case limit < time.Second:
				return usagef(cmd, "--timeout %v: want 1s or more", limit)
			case f.at != "":
				return usagef(cmd, "--at: whether the instances are available is known when they are enabled; schedule 'holdfast cluster enable --at' instead")
			}
			if !cmd.Flags().Changed("min") {
				least = -1
			}
			if err := f.check(cmd, time.Now()); err != nil {
				return err
			}
			if err := g.untilAvailable(cmd, args[0], least, limit); err != nil {
				return err
			}
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			return g.apply(ctx, cmd, c, &f, 0, "start cluster "+clean(args[0]), client.Edits{Edits: []config.Edit{clusterEdit("enable", args[0], nil)}})
		},
	}
	f.add(cmd)
	cmd.Flags().IntVar(&least, "min", 0, "at least `N` instances must be available (default: all)")
	cmd.Flags().DurationVar(&limit, "timeout", 5*time.Minute, "wait this `TIME` at most")
	cmd.ValidArgsFunction = g.completeClusters
	return cmd
}

// untilAvailable waits until least instances of the cluster are available, all of them when least is negative. It looks on through changes of the leader
// and the death of nodes.
func (g *globals) untilAvailable(cmd *cobra.Command, name string, least int, limit time.Duration) error {
	_, c, done, err := g.connect(cmd)
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := context.WithTimeoutCause(cmd.Context(), limit, errWaited)
	defer cancel()
	tick := time.NewTicker(startPoll)
	defer tick.Stop()
	last, why := "", ""
	for {
		s, err := c.Status(ctx)
		var p *client.Problem
		switch {
		case err == nil:
			cl, err := clusterIn(s, name)
			if err != nil {
				return err
			}
			if why, err = unavailable(cl, least); err != nil || why == "" {
				return err
			}
		case errors.As(err, &p) && p.Status < 500:
			return fmt.Errorf("start cluster %s: %w", clean(name), err)
		case ctx.Err() == nil:
			why = "no node answers: " + clean(err.Error())
		}
		if why != last {
			fmt.Fprintln(g.err, why)
			last = why
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("cluster %s is not started after %v, nothing was changed: %s (--min starts with fewer)", clean(name), limit, why)
		}
	}
}

// unavailable says which instances keep the cluster from being started, nothing when it can be. The error is for what waiting does not mend.
func unavailable(cl *client.Cluster, least int) (why string, err error) {
	if len(cl.Instances) == 0 {
		return "", fmt.Errorf("cluster %s has no instances; 'holdfast instance add' adds some", clean(cl.Name))
	}
	if least > len(cl.Instances) {
		return "", fmt.Errorf("cluster %s has only %s, --min wants %d", clean(cl.Name), count(len(cl.Instances), "instance"), least)
	}
	if least < 0 {
		least = len(cl.Instances)
	}
	var missing []string
	for _, i := range cl.Instances {
		if i.Health == wire.HealthDown || i.Health == wire.HealthUnknown || i.Verdict == "failed" {
			missing = append(missing, clean(i.Name))
		}
	}
	if up := len(cl.Instances) - len(missing); up < least {
		return fmt.Sprintf("%d of %d instances are available, %d are needed; waiting for %s", up, len(cl.Instances), least, strings.Join(missing, ", ")), nil
	}
	return "", nil
}

func newClusterListCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the clusters with their instances, sessions and requests in flight",
		Example: `  holdfast cluster list
  holdfast cluster list -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			clusters, err := g.clusters(cmd, nil)
			if err != nil {
				return err
			}
			return g.print(clusters, func(w io.Writer) error {
				t := g.table("CLUSTER", "POLICY", "AFFINITY", "ENABLED>", "AVAILABLE>", "INSTANCES>", "SESSIONS>", "IN FLIGHT>", "MODULES")
				for i := range clusters {
					cl := &clusters[i]
					enabled, available := 0, 0
					for _, in := range cl.Instances {
						if in.Admin == wire.AdminEnabled {
							enabled++
						}
						if in.Verdict != "failed" && (in.Health == wire.HealthUp || in.Health == wire.HealthPartial) {
							available++
						}
					}
					t.row(cl.Name, cl.Policy, cl.Affinity, enabled, available, len(cl.Instances), cl.Sessions, cl.InFlight, moduleList(cl))
				}
				return t.write(w)
			})
		},
	}
}

// moduleList names the modules of a cluster, with what is unusual about them.
func moduleList(cl *client.Cluster) string {
	list := make([]string, len(cl.Modules))
	for i, m := range cl.Modules {
		if list[i] = m.Host + m.ContextRoot; m.Admin != wire.AdminEnabled {
			list[i] += " (" + m.Admin + ")"
		}
	}
	return orDash(strings.Join(list, ", "))
}

func newClusterShowCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:               "show NAME",
		Short:             "Show one cluster: its values, modules, instances and quiesces",
		Example:           "  holdfast cluster show cluster1\n  holdfast cluster show cluster1 -o yaml",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: g.completeNames(nil, nil),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, conf, cl, err := g.showCluster(cmd, args[0])
			if err != nil {
				return err
			}
			out := shown[*config.Cluster, *client.Cluster]{Status: cl}
			for i := range conf.Clusters {
				if conf.Clusters[i].Name == args[0] {
					out.Config = &conf.Clusters[i]
				}
			}
			return g.print(out, func(w io.Writer) error { return g.writeCluster(w, s, &out) })
		},
	}
}

func (g *globals) writeCluster(w io.Writer, s *client.Status, out *shown[*config.Cluster, *client.Cluster]) error {
	cl := out.Status
	t := pairs{w: w}
	t.line("cluster", cl.Name)
	t.line("policy", cl.Policy)
	t.line("affinity", cl.Affinity)
	t.line("sessions", cl.Sessions)
	t.line("in flight", cl.InFlight)
	if c := out.Config; c != nil {
		t.line("idle time-out", c.Affinity.IdleTimeout)
		t.line("quiesce time-out", c.QuiesceTimeout)
		t.line("hard time-out", hardTimeout(c.HardTimeout, "none"))
		t.line("health", fmt.Sprintf("%s %s every %s", c.Health.Type, c.Health.Path, c.Health.Interval))
		t.line("locality", c.Locality)
		t.line("backup", orDash(strings.Join(c.Backup, ", ")))
	}
	if t.err != nil {
		return t.err
	}
	only := &client.Status{Clusters: []client.Cluster{*cl}}
	for _, q := range s.Quiesces {
		if q.Cluster == cl.Name {
			only.Quiesces = append(only.Quiesces, q)
		}
	}
	var b strings.Builder
	b.WriteString("\n")
	g.moduleTable(only).write(&b)
	b.WriteString("\n")
	g.instanceTable(only).write(&b)
	if len(only.Quiesces) > 0 {
		b.WriteString("\n")
		g.quiesceTable(only.Quiesces).write(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
