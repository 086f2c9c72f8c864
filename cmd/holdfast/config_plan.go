package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

func newConfigPlanCommand(g *globals) *cobra.Command {
	var file, now string
	var revision int64
	cmd := &cobra.Command{
		Use:   "plan -f FILE",
		Short: "Show what a change of the configuration would do, without doing it",
		Long: `Show what 'config apply' (or, with --revision, 'config rollback') would do now: the differences, the quiesces that would begin and until when, the sessions
that would go elsewhere. Nothing is changed. Applied at the same revision (--expect), the change does what the plan says.`,
		Example: `  holdfast config plan -f shop.yaml
  holdfast config plan --revision 3
  holdfast config plan -f shop.yaml --now=cluster1/instance1 -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			back := cmd.Flags().Changed("revision")
			switch {
			case (file == "") == !back:
				return usagef(cmd, "give either -f FILE or --revision")
			case back && revision < 0:
				return usagef(cmd, "--revision %d: a revision is 0 or more", revision)
			case back && now != "" && now != "all":
				return usagef(cmd, "with --revision, --now takes no list")
			}
			var data []byte
			if !back {
				var err error
				if data, err = g.readConfig(file); err != nil {
					return err
				}
			}
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			var p *client.Plan
			if back {
				n := uint64(revision)
				p, err = c.PlanEdits(ctx, client.PlanEdits{Revision: &n, NowAll: now == "all"})
			} else {
				p, err = c.PlanConfig(ctx, data, client.YAML, now)
			}
			if err != nil {
				return fmt.Errorf("plan: %w", err)
			}
			g.warn(p.Warnings)
			return g.print(p, func(w io.Writer) error { return writePlan(w, p) })
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "the configuration `FILE`; -: standard input")
	cmd.Flags().Int64Var(&revision, "revision", 0, "going back to an earlier `REVISION`")
	nowFlag(cmd, &now)
	return cmd
}

// maxPlanLines bounds the differences in a table; -o json has more.
const maxPlanLines = 100

func writePlan(w io.Writer, p *client.Plan) error {
	if p.Unchanged {
		_, err := fmt.Fprintf(w, "nothing would change: revision %d is this configuration already\n", p.Revision)
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "from revision %d, %s:\n", p.Revision, count(p.ChangeCount, "difference"))
	for i, ch := range p.Changes {
		if i == maxPlanLines {
			break
		}
		b.WriteString("  " + clean(changeLine(&ch)) + "\n")
	}
	if n := p.ChangeCount - min(len(p.Changes), maxPlanLines); n > 0 {
		fmt.Fprintf(&b, "  and %d more\n", n)
	}
	if err := writeEffect(&b, &p.Effect, true); err != nil {
		return err
	}
	if n := p.Effect.Counts; n.Started+n.Changed+n.Canceled+n.Stopped == 0 {
		b.WriteString("no quiesce would begin or end, no session would move\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// changeLine is one difference: + what is added, - what is removed, ~ what gets another value.
func changeLine(ch *config.Change) string {
	name := ch.Kind
	switch ch.Kind {
	case "module":
		name += " " + ch.Host + ch.ContextRoot + " of cluster " + ch.Cluster
	case "instance":
		name += " " + ch.Name + " of cluster " + ch.Cluster
	case "group":
	default:
		name += " " + ch.Name
	}
	switch ch.Op {
	case "add":
		return "+ " + name
	case "remove":
		return "- " + name
	}
	return fmt.Sprintf("~ %s: %s %s -> %s", name, ch.Field, jsonOr(ch.From), jsonOr(ch.To))
}

func jsonOr(raw []byte) string {
	if len(raw) == 0 {
		return "(default)"
	}
	const most = 200
	if len(raw) > most {
		return string(raw[:most]) + "…"
	}
	return string(raw)
}
