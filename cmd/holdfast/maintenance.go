package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
)

func newMaintenanceCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "maintenance",
		Short: "The maintenance lock: nobody but its owner changes the configuration",
		Long: `The maintenance lock. While it is on, changes of the configuration are refused with its owner, reason and time (exit status 3), but for those that
its owner makes under it (--under-lock, and --owner when it was taken under another name). Traffic, assignments, health checks and quiesces go on, and so do access tokens.`,
		Example: `  holdfast maintenance on --reason "new release of fortune" --timeout 2h
  holdfast config apply -f shop.yaml --under-lock
  holdfast instance set cluster1 instance1 --weight 3 --under-lock --owner alice   # taken under that name
  holdfast maintenance off`,
		Args: cobra.ArbitraryArgs,
		RunE: groupOnly,
	}
	cmd.AddCommand(newMaintenanceOnCommand(g), newMaintenanceOffCommand(g), newMaintenanceStatusCommand(g))
	return g.operator(cmd)
}

func newMaintenanceOnCommand(g *globals) *cobra.Command {
	var req client.MaintenanceRequest
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "on --reason TEXT",
		Short: "Turn the maintenance lock on; its owner may do so again, with another reason or time",
		Example: `  holdfast maintenance on --reason "new release of fortune"
  holdfast maintenance on --reason "database move" --owner alice --timeout 2h`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case req.Reason == "":
				return usagef(cmd, "--reason is missing: whoever is refused reads it")
			case cmd.Flags().Changed("timeout") && timeout < time.Second:
				return usagef(cmd, "--timeout %v: want 1s or more", timeout)
			case timeout > 0:
				req.Timeout = timeout.String()
			}
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			m, err := c.Lock(ctx, req)
			if err != nil {
				return fmt.Errorf("maintenance on: %w", err)
			}
			return g.print(m, func(w io.Writer) error { return writeMaintenance(w, m) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&req.Reason, "reason", "", "`TEXT`: why")
	f.StringVar(&req.Owner, "owner", "", "`NAME` of who has it; default: the note or the id of the token, local without one")
	f.DurationVar(&timeout, "timeout", 0, "it ends by itself after this `TIME`; default: never")
	return cmd
}

func newMaintenanceOffCommand(g *globals) *cobra.Command {
	var owner string
	var force bool
	cmd := &cobra.Command{
		Use:   "off",
		Short: "Turn the maintenance lock off",
		Example: `  holdfast maintenance off
  holdfast maintenance off --force     # somebody else's`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			if err := c.Unlock(ctx, owner, force); err != nil {
				return fmt.Errorf("maintenance off: %w", err)
			}
			return g.print(client.Maintenance{}, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, "the maintenance lock is off")
				return err
			})
		},
	}
	cmd.Flags().StringVar(&owner, "owner", "", "`NAME` under which it was taken; default: as with on")
	cmd.Flags().BoolVar(&force, "force", false, "also when somebody else has it")
	return cmd
}

func newMaintenanceStatusCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "Show whether the maintenance lock is on, who has it, why and since when",
		Example: "  holdfast maintenance status -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			m, err := c.Maintenance(ctx)
			if err != nil {
				return fmt.Errorf("maintenance status: %w", err)
			}
			return g.print(m, func(w io.Writer) error { return writeMaintenance(w, m) })
		},
	}
}

func writeMaintenance(w io.Writer, m *client.Maintenance) error {
	if !m.On {
		_, err := fmt.Fprintln(w, "the maintenance lock is off")
		return err
	}
	until := ""
	if !m.Lock.Until.IsZero() {
		until = ", until " + when(m.Lock.Until)
	}
	_, err := fmt.Fprintf(w, "the maintenance lock is on: %s since %s%s: %s (id %d)\n", clean(m.Lock.Owner), when(m.Lock.Since), until, clean(m.Lock.Reason), m.Lock.ID)
	return err
}
