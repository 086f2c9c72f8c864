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

// resyncTimeout is how long a resync is waited for unless --timeout says otherwise.
const resyncTimeout = 10 * time.Minute

// resynced is what node resync prints.
type resynced struct {
	*client.Resync
	// Done: it serves again. Absent when that was not waited for.
	Done  *bool             `json:"done,omitempty"`
	State *client.Resyncing `json:"state,omitempty"`
}

func newNodeResyncCommand(g *globals) *cobra.Command {
	var wait, noWait bool
	cmd := &cobra.Command{
		Use:   "resync NODE",
		Short: "Have a node drop its state and take a new copy of it from the leader",
		Long: `Have a node drop its log and its snapshots and take a new copy of the state from the leader: when it has another state than the others, or cannot commit. It keeps its
name, its id and its keys. First it hands over what it leads and finishes its requests; it is not ready until it has caught up, and has no vote meanwhile. The
command returns when it serves again.

It is refused (exit status 3) when the nodes that are left with a vote would be no majority.`,
		Example: `  holdfast node resync n2
  holdfast node resync n2 --no-wait`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if noWait && cmd.Flags().Changed("wait") && wait {
				return usagef(cmd, "--wait and --no-wait exclude each other")
			}
			return g.resync(cmd, args[0], wait && !noWait)
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", true, "wait until it serves again")
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "return as soon as it has begun")
	cmd.ValidArgsFunction = g.completeNodes
	return cmd
}

func (g *globals) resync(cmd *cobra.Command, node string, wait bool) error {
	limit := resyncTimeout
	if cmd.Flags().Changed("timeout") {
		limit = g.timeout
	} else {
		g.timeout = memberTimeout
	}
	begun := time.Now()
	ctx, c, done, err := g.connect(cmd)
	if err != nil {
		return err
	}
	defer done()
	r, err := c.ResyncNode(ctx, node)
	if err != nil {
		return fmt.Errorf("resync node %s: %w", clean(node), err)
	}
	if !wait {
		return g.print(resynced{Resync: r}, func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "node %s takes a new copy of the state; 'holdfast status' shows when it serves again\n", clean(node))
			return err
		})
	}
	state, err := g.untilResynced(cmd, c, r, limit-time.Since(begun), limit)
	if err != nil {
		return err
	}
	yes := true
	return g.print(resynced{r, &yes, &state}, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, clean(state.String()))
		return err
	})
}

// untilResynced waits for what is left of limit, with a line for each thing that changes.
func (g *globals) untilResynced(cmd *cobra.Command, c *client.Client, r *client.Resync, left, limit time.Duration) (client.Resyncing, error) {
	ctx, cancel := context.WithTimeoutCause(cmd.Context(), left, errWaited)
	defer cancel()
	p := progress{w: g.err, now: time.Now}
	last, err := c.WaitResync(ctx, r, client.WaitOptions{}, func(s client.Resyncing) {
		switch {
		case s.Err != nil:
			p.line(s.Err.Error(), "no node can say right now, looking on: "+clean(s.Err.Error()))
		case !s.Done():
			p.line(fmt.Sprint(s.Begun, s.Applied < s.Index, s.Ready, s.Voter), clean(s.String()))
		}
	})
	switch {
	case err == nil:
		return last, nil
	case errors.Is(err, client.ErrRemoved):
		return last, &stateError{err.Error()}
	case !errors.Is(err, errWaited):
		return last, fmt.Errorf("wait: %w", err)
	}
	text := fmt.Sprintf("not over after %v; the resync goes on, 'holdfast status' shows when node %s serves again\n%s", limit, clean(r.Node), last.String())
	if last.Err != nil {
		text += "\n" + last.Err.Error()
	}
	return last, errors.New(text)
}
