package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/holdfast-lb/holdfast/admin/client"
)

func newUpgradeCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "upgrade",
		Short: "Upgrade clusters one after the other, without an interruption",
		Long: `Upgrade clusters one after the other while the others serve. The work is kept in the group and goes on when nodes die, whoever began it.

For each cluster: all its instances are disabled together; when their sessions have been served or have had their time, and nothing is in flight any more,
the hooks stop, upgrade and start are called in this order; when the instances are healthy again, they are enabled together. The gate stands between two
clusters. 'status', 'pause', 'resume' and 'abort' are also for what 'instance cycle' and 'module cycle' began.`,
		Example: `  holdfast upgrade plan --clusters blue,green --hook upgrade=manual
  holdfast upgrade run --clusters blue,green --hook stop=exec:stop,upgrade=https://deploy.example/upgrade,start=exec:start --gate soak=5m --watch
  holdfast upgrade status`,
		Args: cobra.ArbitraryArgs,
		RunE: groupOnly,
	}
	cmd.AddCommand(newUpgradePlanCommand(g), newUpgradeRunCommand(g), newUpgradeStatusCommand(g),
		newUpgradeChangeCommand(g, "pause", "Begin nothing more until it is resumed", (*client.Client).PauseWorkflow),
		newUpgradeChangeCommand(g, "resume", "Go on: after a pause, after a person's work, or with another try", (*client.Client).ResumeWorkflow),
		newUpgradeChangeCommand(g, "abort", "Give it up: what it disabled is enabled again; what hooks did is not undone", (*client.Client).AbortWorkflow))
	return g.operator(cmd)
}

// upgradeFlags are those of plan and run.
type upgradeFlags struct {
	workflowFlags
	request client.WorkflowRequest
}

func (u *upgradeFlags) add(f *pflag.FlagSet) {
	f.StringSliceVar(&u.request.Clusters, "clusters", nil, "the clusters, in order: `NAME,...`")
	u.workflowFlags.add(f, "stop, upgrade, start")
	f.StringVar(&u.gate, "gate", "", "what is between two clusters: `none` (default), manual or soak=TIME")
	f.IntVar(&u.maxFailed, "max-failed", 0, "at most `N` instances may be unavailable while a cluster soaks")
	f.StringVar(&u.request.Version, "version", "", "version `LABEL` of the instances after it")
	f.BoolVar(&u.request.SchemaChange, "schema-change", false, "old and new version cannot work with the same data: refused without --force")
	f.IntVar(&u.request.MinHealthy, "min-healthy", 0, "`N` instances of a cluster must be healthy after the hooks (default: all)")
}

func (u *upgradeFlags) finish(cmd *cobra.Command) error {
	u.request.Kind = "upgrade"
	if len(u.request.Clusters) == 0 {
		return usagef(cmd, "--clusters is missing: name the clusters to upgrade, in order")
	}
	if err := u.fill(cmd.Flags(), &u.request); err != nil {
		return usageOf(cmd, err)
	}
	gate, err := parseGate(u.gate, u.maxFailed)
	if err != nil {
		return usageOf(cmd, err)
	}
	u.request.Gate = gate
	return nil
}

func newUpgradePlanCommand(g *globals) *cobra.Command {
	var u upgradeFlags
	cmd := &cobra.Command{
		Use:     "plan",
		Short:   "Show what an upgrade would do; nothing is done",
		Example: "  holdfast upgrade plan --clusters blue,green --hook upgrade=manual --gate manual",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := u.finish(cmd); err != nil {
				return err
			}
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			p, err := c.PlanWorkflow(ctx, u.request)
			if err != nil {
				return fmt.Errorf("plan upgrade: %w", err)
			}
			g.warn(p.Warnings)
			return g.print(p, func(w io.Writer) error { return g.writePlan(w, p) })
		},
	}
	u.add(cmd.Flags())
	return cmd
}

func (g *globals) writePlan(w io.Writer, p *client.WorkflowPlan) error {
	t := g.table("CLUSTER", "DISABLES", "SESSIONS>", "SERVED FOR", "NOBODY SERVES")
	for _, target := range p.Targets {
		missing := cell{text: orDash(strings.Join(target.Unserved, ", "))}
		if len(target.Unserved) > 0 {
			missing.style = bad
		}
		t.row(target.Cluster, strings.Join(target.Disables, ", "), target.Sessions, target.Quiesce, missing)
	}
	if err := t.write(w); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for i, step := range p.Steps {
		fmt.Fprintf(w, "%3d  %s\n", i+1, clean(step))
	}
	hand := ""
	if p.ByHand {
		hand = ", and as long as a person needs"
	}
	fmt.Fprintf(w, "\nIt takes %s at most%s.\n", p.AtMost, hand)
	for _, why := range p.Refused {
		fmt.Fprint(w, wrap("It would be refused: "+why+".", "", "  "))
	}
	return nil
}

func newUpgradeRunCommand(g *globals) *cobra.Command {
	var u upgradeFlags
	var watch bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Begin an upgrade; the group carries it out",
		Long: `Begin an upgrade. The command returns at once; with --watch it prints every step and returns at the end. Ending the command does not end the upgrade.

A hook that is an address gets a POST with JSON (workflow, kind, step, cluster, attempt) and an Idempotency-Key that is the same for every call of one step;
2xx and 409 mean done, anything else is tried again, five calls in all. A program gets step and cluster as arguments, and HOLDFAST_WORKFLOW_* in its environment;
when it fails, it is not run again by itself.
Both need an admin's token. After a failure the upgrade waits: 'resume' tries again, 'abort' enables what was disabled.`,
		Example: `  holdfast upgrade run --clusters blue,green --hook stop=exec:stop,upgrade=exec:deploy,start=exec:start --gate soak=5m --version 2.1 --watch
  holdfast upgrade run --clusters blue,green --hook upgrade=manual --gate manual`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := u.finish(cmd); err != nil {
				return err
			}
			return g.begin(cmd, u.request, watch)
		},
	}
	u.add(cmd.Flags())
	cmd.Flags().BoolVar(&watch, "watch", false, "print every step, return at the end")
	return cmd
}

func newUpgradeStatusCommand(g *globals) *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use:   "status [WORKFLOW]",
		Short: "Show how far upgrades and cycles are",
		Example: `  holdfast upgrade status
  holdfast upgrade status 3f0c1d2e4b5a6978 --watch`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if watch {
				if len(args) == 0 {
					return usagef(cmd, "--watch: name the workflow to watch")
				}
				g.untimed(cmd)
			}
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			if len(args) == 0 {
				return g.listWorkflows(ctx, c)
			}
			w, err := c.Workflow(ctx, args[0])
			if err != nil {
				return fmt.Errorf("show workflow: %w", err)
			}
			if watch {
				if w, err = g.watch(ctx, c, w); err != nil {
					return err
				}
			}
			return g.print(w, func(out io.Writer) error { return g.writeWorkflow(out, w) })
		},
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "print every step, return at the end")
	return cmd
}

func (g *globals) listWorkflows(ctx context.Context, c *client.Client) error {
	list, err := c.Workflows(ctx)
	if err != nil {
		return fmt.Errorf("list workflows: %w", err)
	}
	return g.print(map[string]any{"workflows": list}, func(out io.Writer) error {
		t := g.table("WORKFLOW", "KIND", "STATE", "STEP>", "BEGUN", "CHANGED", "BY")
		for _, w := range list {
			t.row(w.ID, w.Kind, cell{w.State, workflowStyle(w.State)}, fmt.Sprintf("%d/%d", min(w.Step+1, len(w.Steps)), len(w.Steps)), when(w.Created), when(w.Updated), w.Actor)
		}
		if err := t.write(out); err != nil {
			return err
		}
		for _, w := range list {
			if w.State == "done" || w.State == "aborted" {
				continue
			}
			if _, err := io.WriteString(out, "\n"+wrap(w.ID+": "+w.Note, "", "  ")); err != nil {
				return err
			}
		}
		return nil
	})
}

func workflowStyle(state string) style {
	switch state {
	case "done":
		return good
	case "failed", "waiting":
		return bad
	case "running":
		return plainStyle
	}
	return warning
}

func (g *globals) writeWorkflow(out io.Writer, w *client.Workflow) error {
	fmt.Fprintf(out, "workflow  %s (%s), begun %s by %s\nstate     %s\n%s", w.ID, clean(w.Kind), when(w.Created), clean(w.Actor), clean(w.State), wrap("now       "+w.Note, "", "          "))
	mark := map[string]string{"done": "x", "now": ">", "later": " "}
	for _, s := range w.Steps {
		if _, err := fmt.Fprintf(out, "  [%s] %s\n", mark[s.State], clean(s.Text)); err != nil {
			return err
		}
	}
	return nil
}

func newUpgradeChangeCommand(g *globals, name, short string, change func(*client.Client, context.Context, string) (*client.Workflow, error)) *cobra.Command {
	return &cobra.Command{
		Use:     name + " [WORKFLOW]",
		Short:   short,
		Long:    short + ".\n\nWithout a name it is the only one that has not ended.",
		Example: "  holdfast upgrade " + name + " 3f0c1d2e4b5a6978",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			id, err := onlyWorkflow(ctx, cmd, c, args)
			if err != nil {
				return err
			}
			w, err := change(c, ctx, id)
			if err != nil {
				return fmt.Errorf("%s workflow: %w", name, err)
			}
			return g.print(w, func(out io.Writer) error {
				_, err := fmt.Fprintf(out, "workflow %s is %s\n", w.ID, clean(w.State))
				return err
			})
		},
	}
}

// onlyWorkflow is the one that was named, or else the only one that has not ended.
func onlyWorkflow(ctx context.Context, cmd *cobra.Command, c *client.Client, args []string) (string, error) {
	if len(args) == 1 {
		return args[0], nil
	}
	list, err := c.Workflows(ctx)
	if err != nil {
		return "", fmt.Errorf("list workflows: %w", err)
	}
	var open []string
	for _, w := range list {
		if w.State != "done" && w.State != "failed" && w.State != "aborted" {
			open = append(open, w.ID)
		}
	}
	switch len(open) {
	case 0:
		return "", fmt.Errorf("no workflow is at work")
	case 1:
		return open[0], nil
	}
	return "", usagef(cmd, "which one? %s have not ended", strings.Join(open, ", "))
}
