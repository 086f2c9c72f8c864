package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/migrate/sun"
)

func newExportCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "export",
		Short:   "Write the configuration in the format of another balancer",
		Example: "  holdfast export sun --out loadbalancer.xml",
		Args:    cobra.ArbitraryArgs,
		RunE:    groupOnly,
	}
	cmd.AddCommand(newExportSunCommand(g))
	return g.operator(cmd)
}

func newExportSunCommand(g *globals) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "sun",
		Short: "Write loadbalancer.xml (sun-loadbalancer_1_2.dtd)",
		Long: `Write the group's configuration as loadbalancer.xml. What the format cannot say is listed: on standard output with --out FILE, on standard error
when the file itself goes to standard output.`,
		Example: `  holdfast export sun > loadbalancer.xml
  holdfast export sun --out loadbalancer.xml -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			doc, err := c.Config(ctx, client.JSON)
			if err != nil {
				return fmt.Errorf("export configuration: %w", err)
			}
			current, err := config.Parse("the group's configuration", doc.Data)
			if err != nil {
				return err
			}
			data, rep, err := sun.Export(current)
			if err != nil {
				return err
			}
			if err := g.writeOutput(out, data); err != nil {
				return fmt.Errorf("export configuration: %w", err)
			}
			for _, note := range rep.Notes {
				fmt.Fprintf(g.err, "note: %s\n", clean(note))
			}
			if out == "-" {
				for _, e := range rep.Entries {
					fmt.Fprintln(g.err, clean(e.String()))
				}
				return nil
			}
			return g.print(rep, func(w io.Writer) error {
				t := g.table("STATUS", "KEY", "VALUE", "WHY")
				for _, e := range rep.Entries {
					t.row(string(e.Status), e.What, e.Value, e.Why)
				}
				if err := t.write(w); err != nil {
					return err
				}
				_, err := fmt.Fprintf(w, "revision %d written, %s that the format cannot say\n", doc.Revision, count(len(rep.Entries), "value"))
				return err
			})
		},
	}
	cmd.Flags().StringVar(&out, "out", "-", "`FILE` to write; -: standard output")
	return cmd
}
