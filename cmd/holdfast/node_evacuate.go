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

// evacuateTimeout is how long an evacuation is waited for unless --timeout says otherwise.
const evacuateTimeout = 5 * time.Minute

// evacuation is what the flags of node evacuate say.
type evacuation struct {
	reason       string
	wait, noWait bool
	undo         bool
}

// evacuated is what node evacuate prints.
type evacuated struct {
	Node       string             `json:"node"`
	Evacuated  bool               `json:"evacuated"`
	Evacuation *client.Evacuation `json:"evacuation,omitempty"`
	// Done: the node neither leads nor holds the virtual address, and has no connections to it. Absent when that was not waited for.
	Done *bool              `json:"done,omitempty"`
	Left *client.Evacuating `json:"left,omitempty"`
}

func newNodeEvacuateCommand(g *globals) *cobra.Command {
	var f evacuation
	cmd := &cobra.Command{
		Use:   "evacuate NODE",
		Short: "Have a node neither lead nor hold the virtual address, until that is undone",
		Long: `Have a node neither lead nor hold the virtual address, until that is undone (--undo). It hands both over without a failed request, and goes on serving
what still reaches it. The command returns when the node neither leads nor holds, and has no connection to the virtual address any more: then it can be stopped.
The group remembers an evacuation through restarts, and through the death of any node.`,
		Example: `  holdfast node evacuate n1 --reason "new kernel"
  holdfast node evacuate n1 --no-wait
  holdfast node evacuate n1 --undo`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			if f.undo {
				return g.endEvacuation(cmd, args[0])
			}
			return g.evacuate(cmd, args[0], &f)
		},
	}
	cmd.Flags().StringVar(&f.reason, "reason", "", "`TEXT`: why; status and events show it")
	cmd.Flags().BoolVar(&f.wait, "wait", true, "wait until it can be stopped")
	cmd.Flags().BoolVar(&f.noWait, "no-wait", false, "return at once; the hand-over goes on")
	cmd.Flags().BoolVar(&f.undo, "undo", false, "take the evacuation back: the node may lead and hold again")
	cmd.ValidArgsFunction = g.completeNodes
	return cmd
}

func (f *evacuation) check(cmd *cobra.Command) error {
	changed := cmd.Flags().Changed
	switch {
	case f.undo && (changed("reason") || changed("wait") || changed("no-wait")):
		return usagef(cmd, "--undo goes without --reason, --wait and --no-wait: there is nothing to wait for")
	case f.noWait && changed("wait") && f.wait:
		return usagef(cmd, "--wait and --no-wait exclude each other")
	}
	return nil
}

func (g *globals) evacuate(cmd *cobra.Command, node string, f *evacuation) error {
	limit := evacuateTimeout
	if cmd.Flags().Changed("timeout") {
		limit = g.timeout
	}
	begun := time.Now()
	ctx, c, done, err := g.connect(cmd)
	if err != nil {
		return err
	}
	defer done()
	e, err := c.Evacuate(ctx, node, f.reason)
	if err != nil {
		return fmt.Errorf("evacuate node %s: %w", clean(node), err)
	}
	if f.noWait || !f.wait {
		return g.print(evacuated{Node: node, Evacuated: true, Evacuation: e}, func(w io.Writer) error { return writeEvacuation(w, *e) })
	}
	if g.output == "table" {
		if err := writeEvacuation(g.out, *e); err != nil {
			return err
		}
	}
	left, err := g.untilEvacuated(cmd, c, node, limit-time.Since(begun), limit)
	if err != nil {
		return err
	}
	yes := true
	return g.print(evacuated{Node: node, Evacuated: true, Evacuation: e, Done: &yes, Left: &left}, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, clean(left.String()))
		return err
	})
}

// untilEvacuated waits for what is left of limit, with a line for each thing that changes.
func (g *globals) untilEvacuated(cmd *cobra.Command, c *client.Client, node string, left, limit time.Duration) (client.Evacuating, error) {
	ctx, cancel := context.WithTimeoutCause(cmd.Context(), left, errWaited)
	defer cancel()
	p := progress{w: g.err, now: time.Now}
	last, err := c.WaitEvacuated(ctx, node, client.WaitOptions{}, func(e client.Evacuating) {
		switch {
		case e.Err != nil:
			p.line(e.Err.Error(), "no node can say right now, looking on: "+clean(e.Err.Error()))
		case !e.Done() || e.Silent:
			p.line(fmt.Sprint(e.Leads, e.Holds, e.Connections > 0, e.Silent), clean(e.String()))
		}
	})
	switch {
	case err == nil && last.Silent:
		fmt.Fprintf(g.err, "warning: no answer from node %s; what connections it has is not known, so make sure that it is down\n", clean(node))
		return last, nil
	case err == nil:
		return last, nil
	case errors.Is(err, client.ErrNotEvacuated):
		return last, &stateError{err.Error()}
	case !errors.Is(err, errWaited):
		return last, fmt.Errorf("wait: %w", err)
	}
	text := fmt.Sprintf("not over after %v; the evacuation goes on, and the same command waits again", limit)
	if !last.Done() || last.Silent {
		text += "\n" + last.String()
	}
	if last.Err != nil {
		text += "\n" + last.Err.Error()
	}
	return last, errors.New(text)
}

func (g *globals) endEvacuation(cmd *cobra.Command, node string) error {
	ctx, c, done, err := g.connect(cmd)
	if err != nil {
		return err
	}
	defer done()
	if err := c.EndEvacuation(ctx, node); err != nil {
		return fmt.Errorf("end the evacuation of node %s: %w", clean(node), err)
	}
	return g.print(evacuated{Node: node}, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "node %s may lead and hold the virtual address again\n", clean(node))
		return err
	})
}

func writeEvacuation(w io.Writer, e client.Evacuation) error {
	member, reason := "", ""
	if !e.Member {
		member = " (no member of the group now)"
	}
	if e.Reason != "" {
		reason = ": " + clean(e.Reason)
	}
	_, err := fmt.Fprintf(w, "node %s%s is evacuated since %s by %s%s\n", clean(e.Node), member, when(e.Since), clean(orDash(e.Actor)), reason)
	return err
}
