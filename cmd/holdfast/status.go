package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

func newStatusCommand(g *globals) *cobra.Command {
	var stale bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Everything on one screen: nodes, clusters, instances, quiesces, what needs attention",
		Long: `Everything on one screen: the schema of the state that the group has, the nodes (role, version, the latest schema that it knows, lag, clock skew, state hash), the holder of the virtual address, the newest scheduled backup, the listeners, the clusters and their instances (admin state,
health, sessions, in flight), the modules, the quiesces that run with what remains, the maintenance lock, upgrades and cycles that have not ended, changes that
wait for their time, the configuration revision, the jobs that the leader does ('holdfast jobs' lists them), and what needs attention.

It is answered also without a quorum. A state hash that is not "equal" means that a node holds another state than the leader.`,
		Example: `  holdfast status
  holdfast status --admin http://10.0.0.1:7700,http://10.0.0.2:7700
  holdfast status -o json | jq '.nodes[] | {name, lag, hashState}'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			var opts []client.ReadOption
			if stale {
				opts = append(opts, client.Stale())
			}
			s, err := c.Status(ctx, opts...)
			if err != nil {
				return fmt.Errorf("status: %w", err)
			}
			return g.print(s, func(w io.Writer) error { return g.writeStatus(w, s) })
		},
	}
	cmd.Flags().BoolVar(&stale, "stale", false, "what the node knows by itself, without asking the leader")
	return g.operator(cmd)
}

func (g *globals) writeStatus(w io.Writer, s *client.Status) error {
	var b strings.Builder
	paintIf := func(text string, st style) string { return paint(text, st, g.colour()) }
	hash := paintIf(map[string]string{
		wire.HashEqual: "state hashes equal", wire.HashDiffers: "STATE HASHES DIFFER", wire.HashPending: "state hashes not compared yet",
		wire.HashUnknown: "state hashes unknown",
	}[s.StateHash], hashStyle(s.StateHash))
	fmt.Fprintf(&b, "%s epoch %d, schema %d, revision %d, %s, %s\n", paintIf("group "+clean(orDash(s.Group.Name)), heading),
		s.Group.Epoch, s.Group.Schema, s.Revision.Number, count(s.Sessions, "session"), hash)
	fmt.Fprintf(&b, "as node %s knows it at log index %d, %s, %s\n", clean(s.Node), s.Applied, when(s.Time), s.Consistency)
	for _, line := range []string{holderLine(s.Holder), backupLine(s.Backups), dutyLine(s.Duties)} {
		if line != "" {
			b.WriteString(line + "\n")
		}
	}
	for _, p := range s.Problems {
		b.WriteString(paintIf(g.wrap(p, "! ", "  "), bad))
	}
	b.WriteString("\n")
	g.nodeTable(s).write(&b)
	if len(s.Listeners) > 0 {
		b.WriteString("\n")
		t := g.table("LISTENER", "ADDRESS", "PROTOCOL")
		for _, l := range s.Listeners {
			t.row(l.Name, l.Address, l.Protocol)
		}
		t.write(&b)
	}
	if len(s.Clusters) > 0 {
		b.WriteString("\n")
		g.clusterTable(s).write(&b)
		b.WriteString("\n")
		if slices.ContainsFunc(s.Clusters, func(c client.Cluster) bool { return len(c.Modules) > 0 }) {
			g.moduleTable(s).write(&b)
			b.WriteString("\n")
		}
		g.instanceTable(s).write(&b)
	} else {
		b.WriteString("\nno clusters yet: 'holdfast config apply -f FILE' brings some\n")
	}
	g.writeOperating(&b, s)
	_, err := io.WriteString(w, b.String())
	return err
}

func (g *globals) nodeTable(s *client.Status) *table {
	t := g.table("NODE", "ROLE", "READY", "VERSION", "SCHEMA>", "APPLIED>", "LAG>", "REVISION>", "SKEW>", "SESSIONS>", "STATE HASH")
	for _, n := range s.Nodes {
		if !n.Reachable {
			t.row(n.Name, role(n), readiness(n), "-", "-", "-", "-", "-", "-", "-", "-")
			continue
		}
		hash := n.HashState
		if len(n.Hash) >= 8 {
			hash = n.Hash[:8] + " " + n.HashState
		}
		t.row(n.Name, role(n), readiness(n), orDash(n.Version), n.Schema, n.Applied, n.Lag, n.Revision, fmt.Sprintf("%+dms", n.ClockSkewMillis), n.Sessions, cell{hash, hashStyle(n.HashState)})
	}
	return t
}

func hashStyle(state string) style {
	switch state {
	case wire.HashEqual:
		return good
	case wire.HashDiffers:
		return bad
	}
	return warning
}

func (g *globals) clusterTable(s *client.Status) *table {
	t := g.table("CLUSTER", "POLICY", "AFFINITY", "SESSIONS>", "IN FLIGHT>", "MODULES")
	for i := range s.Clusters {
		c := &s.Clusters[i]
		t.row(c.Name, c.Policy, c.Affinity, c.Sessions, c.InFlight, moduleList(c))
	}
	return t
}

func (g *globals) moduleTable(s *client.Status) *table {
	t := g.table("CLUSTER", "MODULE", "ADMIN", "SESSIONS>", "IN FLIGHT>")
	for _, c := range s.Clusters {
		for _, m := range c.Modules {
			t.row(c.Name, m.Host+m.ContextRoot, adminCell(m.Admin), m.Sessions, m.InFlight)
		}
	}
	return t
}

func (g *globals) instanceTable(s *client.Status) *table {
	t := g.table("CLUSTER", "INSTANCE", "ADMIN", "HEALTH", "WEIGHT>", "SESSIONS>", "IN FLIGHT>", "URL")
	for _, c := range s.Clusters {
		for i := range c.Instances {
			in := &c.Instances[i]
			if in.Agent != "" {
				t.first = "URL" // for what the agent says
			}
			url := "-"
			if len(in.URLs) > 0 {
				url = in.URLs[0]
			}
			t.row(c.Name, nameOf(in), adminCell(in.Admin), healthCell(in), in.Weight, in.Sessions, in.InFlight, url)
		}
	}
	return t
}

// writeOperating prints what is not as it always is: the maintenance lock, workflows, quiesces, changes that wait for their time.
func (g *globals) writeOperating(b *strings.Builder, s *client.Status) {
	if s.Maintenance != nil {
		b.WriteString("\n")
		writeMaintenance(b, &client.Maintenance{On: true, Lock: s.Maintenance})
	}
	if len(s.Workflows) > 0 {
		b.WriteString("\n")
		for _, w := range s.Workflows {
			fmt.Fprintf(b, "workflow %s (%s) is %s: %s\n", clean(w.ID), clean(w.Kind), paint(clean(w.State), workflowStyle(w.State), g.colour()), clean(w.Note))
		}
	}
	if len(s.Quiesces) > 0 {
		b.WriteString("\n")
		g.quiesceTable(s.Quiesces).write(b)
	}
	if len(s.Schedules) > 0 {
		b.WriteString("\n")
		g.scheduleTable(s.Schedules).write(b)
	}
}

func healthStyle(health string) style {
	switch health {
	case wire.HealthUp:
		return good
	case wire.HealthDown:
		return bad
	}
	return warning
}
