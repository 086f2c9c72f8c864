package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

func newConfigHistoryCommand(g *globals) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "history",
		Short: "List the revisions, the newest first",
		Example: `  holdfast config history
  holdfast config history --limit 5 -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > 1000 {
				return usagef(cmd, "--limit %d: want 1 to 1000", limit)
			}
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			list, err := c.History(ctx, limit)
			if err != nil {
				return fmt.Errorf("list revisions: %w", err)
			}
			return g.print(wire.History{Revisions: list}, func(w io.Writer) error {
				t := g.table("REVISION>", "INDEX>", "TIME", "BY", "MESSAGE")
				for _, r := range list {
					t.row(r.Number, r.Index, when(r.Time), orDash(r.Actor), orDash(r.Message))
				}
				return t.write(w)
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 20, "at most `N` revisions")
	return cmd
}

func newConfigRollbackCommand(g *globals) *cobra.Command {
	var f changeFlags
	var now bool
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "rollback REVISION",
		Short: "Make an earlier revision the newest one",
		Long: `Make an earlier revision, which the history still has, the newest one. What it disables quiesces, what it enables is enabled, as with every other change.
'holdfast config plan --revision' says before what it would do.`,
		Example: `  holdfast config history
  holdfast config rollback 3 --message "the new weights were wrong"
  holdfast config rollback 3 --at 2026-12-01T02:00:00Z`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil {
				return usagef(cmd, "%q is not a revision; 'holdfast config history' lists them", args[0])
			}
			if err := errors.Join(f.check(cmd, time.Now()), g.checkApplied(cmd, &wait)); err != nil {
				return err
			}
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			o, err := f.options(cmd)
			if err != nil {
				return err
			}
			r := client.Rollback{Revision: n, NowAll: now, Message: f.message}
			if r.Lock, err = f.lockID(ctx, cmd, c); err != nil {
				return err
			}
			if o.At.IsZero() {
				o.Wait = wait
			}
			res, err := c.RollbackConfig(ctx, r, o)
			if err != nil {
				return fmt.Errorf("roll back to revision %d: %w", n, err)
			}
			g.warn(res.Warnings)
			if err := g.print(res, func(w io.Writer) error { return writeResult(w, res) }); err != nil {
				return err
			}
			return behind(res, wait)
		},
	}
	f.add(cmd)
	appliedFlag(cmd, &wait)
	cmd.Flags().BoolVar(&now, "now", false, "what it disables is stopped at once, without a quiesce")
	return cmd
}
