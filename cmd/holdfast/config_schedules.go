package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

func newConfigSchedulesCommand(g *globals) *cobra.Command {
	var drop []string
	cmd := &cobra.Command{
		Use:   "schedules",
		Short: "List the changes that wait for their time (--at), or take one back",
		Example: `  holdfast config schedules
  holdfast config schedules --drop 9f3c2a1b0d4e5f67`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			for _, id := range drop {
				if err := c.DropSchedule(ctx, id); err != nil {
					return fmt.Errorf("take back change %s: %w", clean(id), err)
				}
				fmt.Fprintf(g.err, "change %s is taken back\n", clean(id))
			}
			list, err := c.Schedules(ctx)
			if err != nil {
				return fmt.Errorf("list schedules: %w", err)
			}
			return g.print(wire.ScheduleList{Schedules: list}, func(w io.Writer) error {
				if len(list) == 0 {
					_, err := fmt.Fprintln(w, "no change waits for its time")
					return err
				}
				return g.scheduleTable(list).write(w)
			})
		},
	}
	cmd.Flags().StringArrayVar(&drop, "drop", nil, "take back the change with this `ID`")
	return cmd
}

func (g *globals) scheduleTable(list []client.Schedule) *table {
	t := g.table("SCHEDULE", "AT", "WHAT", "BY", "MESSAGE")
	for _, s := range list {
		what := count(len(s.Edits), "edit")
		if s.Whole {
			what = fmt.Sprintf("configuration made from revision %d", s.Expect)
		}
		t.row(s.ID, when(s.At), what, orDash(s.Actor), orDash(s.Message))
	}
	return t
}
