package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
)

// stopped is what the commands print that wait until it is safe to stop.
type stopped struct {
	Result     *client.ConfigResult `json:"result,omitempty"`
	SafeToStop bool                 `json:"safeToStop"`
	Silent     []string             `json:"silent,omitempty"`
}

// progressEvery is how often a line comes while nothing but time passes.
const progressEvery = 10 * time.Second

// progress prints what is left: when it has become something else, and every ten seconds.
type progress struct {
	w     io.Writer
	now   func() time.Time
	last  string
	shown time.Time
}

func (p *progress) show(w client.Waited) {
	var lines []string
	for _, r := range w.Left {
		lines = append(lines, clean(r.String()))
	}
	if w.Err != nil {
		lines = append(lines, "no node can say right now, looking on: "+clean(w.Err.Error()))
	} else if len(w.Silent) > 0 {
		lines = append(lines, "no answer from node "+clean(strings.Join(w.Silent, ", ")))
	}
	const most = 5
	if len(lines) > most {
		lines = append(lines[:most], fmt.Sprintf("and %d more", len(lines)-most))
	}
	p.line(stateOf(w), lines...)
}

// line prints lines, when there are some and the state is another one than before or ten seconds are over.
func (p *progress) line(state string, lines ...string) {
	if now := p.now(); len(lines) > 0 && (state != p.last || now.Sub(p.shown) >= progressEvery) {
		p.last, p.shown = state, now
		fmt.Fprintln(p.w, strings.Join(lines, "\n"))
	}
}

// stateOf is what makes a new line worth while: not the seconds, not each request.
func stateOf(w client.Waited) string {
	var b strings.Builder
	for _, r := range w.Left {
		fmt.Fprintf(&b, "%s %s %t %t;", r.Subject, r.Admin, r.InFlight > 0, r.Sessions > 0)
	}
	fmt.Fprintf(&b, "%t %v", w.Err != nil, w.Silent)
	return b.String()
}

// waitStopped waits until all subjects are safe to stop, limit at most, and prints that. ctx is that of the command's other calls.
func (g *globals) waitStopped(ctx context.Context, cmd *cobra.Command, c *client.Client, subjects []client.Subject, limit time.Duration, res *client.ConfigResult) error {
	waited, err := g.untilStopped(ctx, cmd, c, subjects, limit)
	if err != nil {
		return err
	}
	return g.print(stopped{Result: res, SafeToStop: true, Silent: waited.Silent}, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, "safe to stop")
		return err
	})
}

// untilStopped waits for longer than ctx lets a call take, unless the user has bounded the whole command.
func (g *globals) untilStopped(ctx context.Context, cmd *cobra.Command, c *client.Client, subjects []client.Subject, limit time.Duration) (client.Waited, error) {
	over := time.Now().Add(limit)
	if at, bounded := ctx.Deadline(); bounded && g.timed(cmd) && at.Before(over) {
		over, limit = at, g.timeout
	}
	ctx, cancel := context.WithDeadlineCause(cmd.Context(), over, errWaited)
	defer cancel()
	p := progress{w: g.err, now: time.Now}
	waited, err := c.WaitStopped(ctx, subjects, client.WaitOptions{Progress: p.show})
	if err != nil {
		return waited, notStopped(waited, limit, err)
	}
	if len(waited.Silent) > 0 {
		fmt.Fprintf(g.err, "warning: no answer from node %s; that nothing is in flight is true of the nodes that answer, so make sure that it is down\n", clean(strings.Join(waited.Silent, ", ")))
	}
	return waited, nil
}

var errWaited = errors.New("the time is over")

// notStopped says what is left when a wait ends early.
func notStopped(w client.Waited, limit time.Duration, err error) error {
	switch {
	case errors.Is(err, client.ErrEnabled):
		return &stateError{"not safe to stop: " + err.Error()}
	case !errors.Is(err, errWaited):
		return fmt.Errorf("wait: %w", err)
	}
	text := fmt.Sprintf("not safe to stop after %v; the quiesce goes on, 'holdfast quiesce wait' waits again", limit)
	for _, r := range w.Left {
		text += "\n" + r.String()
	}
	if len(w.Silent) > 0 {
		text += "\nno answer from node " + strings.Join(w.Silent, ", ") + ": what it has in flight is not known"
	}
	if w.Err != nil {
		text += "\n" + w.Err.Error()
	}
	return errors.New(text)
}
