package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
)

// watchEvery is how often a workflow that is watched is looked at.
const watchEvery = time.Second

// untimed lets a command that waits on purpose run as long as it takes, unless the user has given a time.
func (g *globals) untimed(cmd *cobra.Command) {
	if f := cmd.Flags().Lookup("timeout"); f == nil || !f.Changed {
		g.timeout = 365 * 24 * time.Hour
	}
}

// watch prints a line for every change of a workflow until its end. The error says that it did not reach its goal.
func (g *globals) watch(ctx context.Context, c *client.Client, w *client.Workflow) (*client.Workflow, error) {
	var last string
	for {
		if line := fmt.Sprintf("%s: %s", w.State, w.Note); line != last {
			fmt.Fprintf(g.err, "%s\n", clean(line))
			if w.NeedsPerson {
				fmt.Fprintf(g.err, "it waits for a person: %s\n", choices(w.ID))
			}
			last = line
		}
		switch w.State {
		case "done":
			return w, nil
		case "failed", "aborted":
			return w, fmt.Errorf("workflow %s: %s: %s", w.ID, w.State, w.Note)
		}
		select {
		case <-time.After(watchEvery):
		case <-ctx.Done():
			return w, unwatched(ctx, w)
		}
		next, err := c.Workflow(ctx, w.ID)
		var unreachable *client.Unreachable
		var problem *client.Problem
		switch {
		case err == nil:
			w = next
		case ctx.Err() != nil:
			return w, unwatched(ctx, w)
		case errors.As(err, &unreachable) || errors.As(err, &problem) && problem.Status >= 500:
			// The group goes on without whoever watches; it comes back.
		default:
			return w, fmt.Errorf("watch workflow: %w", err)
		}
	}
}

// choices are what a person can do about a workflow that stands still.
func choices(id string) string {
	return fmt.Sprintf("'holdfast upgrade resume %s' goes on, 'holdfast upgrade abort %s' gives it up", id, id)
}

// errWatched ends the watching of a workflow when the time of --timeout is over.
var errWatched = errors.New("the time of --timeout is over")

// unwatched says how a workflow stands that is watched no more, and who has to do something about it.
func unwatched(ctx context.Context, w *client.Workflow) error {
	why := context.Cause(ctx)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		why = errWatched
	}
	switch {
	case w.NeedsPerson:
		return fmt.Errorf("workflow %s waits for a person: %s; %s; watching it ended: %w", w.ID, w.Note, choices(w.ID), why)
	case w.State == "paused":
		return fmt.Errorf("workflow %s is paused; %s; watching it ended: %w", w.ID, choices(w.ID), why)
	}
	return fmt.Errorf("workflow %s goes on by itself, 'holdfast upgrade status %s --watch' watches it again; watching it ended: %w", w.ID, w.ID, why)
}

// begin starts a workflow, and watches it when that is asked for.
func (g *globals) begin(cmd *cobra.Command, r client.WorkflowRequest, watch bool) error {
	if watch {
		g.untimed(cmd)
	}
	ctx, c, done, err := g.connect(cmd)
	if err != nil {
		return err
	}
	defer done()
	w, err := c.StartWorkflow(ctx, r)
	if err != nil {
		return fmt.Errorf("%s: %w", r.Kind, err)
	}
	g.warn(w.Warnings)
	if watch {
		fmt.Fprintf(g.err, "workflow %s\n", w.ID)
		ended, err := g.watch(ctx, c, w)
		return errors.Join(err, g.print(ended, func(out io.Writer) error {
			_, err := fmt.Fprintf(out, "workflow %s is %s\n", ended.ID, ended.State)
			return err
		}))
	}
	return g.print(w, func(out io.Writer) error {
		_, err := fmt.Fprintf(out, "workflow %s has begun; 'holdfast upgrade status %s' shows how far it is\n", w.ID, w.ID)
		return err
	})
}
