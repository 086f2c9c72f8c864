package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/migrate"
	"github.com/holdfast-lb/holdfast/migrate/build"
)

// groupChange is what an import makes of the group's configuration.
type groupChange struct {
	revision uint64 // that it was made from
	merged   *config.Config
	changes  []migrate.Change
}

// merge reads the group's configuration and puts what was imported into it.
func (j *importJob) merge(ctx context.Context, c *client.Client, last, next *config.Config) (*groupChange, error) {
	doc, err := c.Config(ctx, client.JSON)
	if err != nil {
		return nil, fmt.Errorf("read the group's configuration: %w", err)
	}
	current, err := config.Parse("the group's configuration", doc.Data)
	if err != nil {
		return nil, err
	}
	merged, err := migrate.Merge(current, next, migrate.MergeOptions{Replace: j.replace, Listener: j.listenSet, Last: last})
	if err != nil {
		return nil, err
	}
	return &groupChange{revision: doc.Revision, merged: merged, changes: migrate.Changes(current, merged)}, nil
}

// put makes the change, unless it is none. It gives the revision that the configuration is then.
func (j *importJob) put(ctx context.Context, c *client.Client, ch *groupChange) (*client.ConfigResult, error) {
	if len(ch.changes) == 0 {
		return nil, nil
	}
	message := j.message
	if message == "" {
		message = fmt.Sprintf("import %s %s", j.format, strings.Join(j.files, " "))
		message = message[:min(len(message), 200)]
	}
	res, err := c.PutConfig(ctx, client.PutConfig{Data: ch.merged.Canonical(), Format: client.JSON, Expect: ch.revision, Message: strings.ToValidUTF8(message, "?"), Wait: j.wait})
	if err != nil {
		return nil, fmt.Errorf("apply what was imported: %w", err)
	}
	return res, nil
}

// intoGroup plans or applies.
func (j *importJob) intoGroup(cmd *cobra.Command, res *build.Result) error {
	ctx, c, done, err := j.g.connect(cmd)
	if err != nil {
		return err
	}
	defer done()
	ch, err := j.merge(ctx, c, nil, res.Config)
	if err != nil {
		return err
	}
	if j.plan {
		plan, err := c.PlanConfig(ctx, ch.merged.Canonical(), client.JSON, "")
		if err != nil {
			return fmt.Errorf("plan: %w", err)
		}
		j.g.warn(plan.Warnings)
		return j.show(imported{Report: res.Report, Plan: plan}, func(w io.Writer) error { return writePlan(w, plan) })
	}
	v := imported{Report: res.Report, Changes: ch.changes, Revision: &ch.revision}
	put, err := j.put(ctx, c, ch)
	if err != nil {
		return err
	}
	if put == nil {
		return j.show(v, func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "revision %d is this configuration already\n", ch.revision)
			return err
		})
	}
	for _, text := range put.Warnings {
		fmt.Fprintf(j.g.err, "warning: %s\n", clean(text))
	}
	v.Revision = &put.Revision
	err = j.show(v, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, outcome(put))
		return err
	})
	if err != nil {
		return err
	}
	return behind(put, j.wait)
}

// maxRaces is how often a change of somebody else's is merged with again at once; then the next look has its turn.
const maxRaces = 3

func (j *importJob) runWatch(cmd *cobra.Command) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	cmd.SetContext(ctx)
	say := func(format string, args ...any) {
		fmt.Fprintf(j.g.err, "holdfast: %s\n", clean(fmt.Sprintf(format, args...)))
	}
	w := migrate.Watch{
		Interval: j.interval, Read: j.readFiles, Import: j.read, Tell: say,
		Apply: func(_ context.Context, last, next *config.Config) error { return j.follow(cmd, last, next) },
		Faulty: func(res *build.Result) {
			for _, e := range res.Report.Entries {
				if e.Status == "error" {
					fmt.Fprintln(j.g.err, clean(e.String()))
				}
			}
			say("%v; the last good configuration stays in force", failed(res.Report))
		},
	}
	return w.Run(ctx)
}

// follow applies one change of the files.
func (j *importJob) follow(cmd *cobra.Command, last, next *config.Config) error {
	ctx, c, done, err := j.g.connect(cmd)
	if err != nil {
		return err
	}
	defer done()
	for race := 0; ; race++ {
		ch, err := j.merge(ctx, c, last, next)
		if err != nil {
			return err
		}
		put, err := j.put(ctx, c, ch)
		var problem *client.Problem
		if errors.As(err, &problem) && problem.Code == wire.CodeRevisionConflict && race < maxRaces {
			continue
		}
		if err != nil {
			return err
		}
		if put == nil {
			fmt.Fprintf(j.g.out, "revision %d is this configuration already\n", ch.revision)
			return nil
		}
		for _, change := range ch.changes {
			fmt.Fprintf(j.g.out, "%s\n", clean(change.String()))
		}
		fmt.Fprintln(j.g.out, outcome(put))
		return nil
	}
}
