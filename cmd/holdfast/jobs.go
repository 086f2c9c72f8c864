package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

// jobList is what 'holdfast jobs -o json' prints; its key is that of the status.
type jobList struct {
	Duties []wire.Duty `json:"duties"`
}

func newJobsCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "jobs",
		Short: "The duties that the leader does for the group: who does them, when they last ran, and why one fails",
		Long: `The duties that one node must do for the whole group: the leader does them, bound to its term, and the next leader goes on with what the replicated state
says. LAST RUN is when it last looked whether something is due. A duty that fails is tried again; LAST ERROR is that of its last failure, and STATE is
"failing" only while the last run is that one. 'holdfast status' has all of it under the key duties, and names those that fail.`,
		Example: `  holdfast jobs
  holdfast jobs -o json | jq '.duties[] | select(.error)'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			s, err := c.Status(ctx)
			if err != nil {
				return fmt.Errorf("jobs: %w", err)
			}
			return g.print(jobList{s.Duties}, func(w io.Writer) error {
				if len(s.Duties) == 0 {
					_, err := fmt.Fprintln(w, "no leader answers, so nobody does the duties; 'holdfast status' says more")
					return err
				}
				return g.dutyTable(s.Duties).write(w)
			})
		},
	}
	return g.operator(cmd)
}

func (g *globals) dutyTable(list []client.Duty) *table {
	t := g.table("DUTY", "NODE", "STATE", "SINCE", "LAST RUN", "RUNS>", "LAST ERROR")
	for _, d := range list {
		state := cell{"well", good}
		switch {
		case d.Failing():
			state = cell{"failing", bad}
		case d.Runs == 0:
			state = cell{"starting", warning}
		}
		failure := "-"
		if d.Error != "" {
			failure = clockTime(d.Failed) + " " + d.Error
		}
		t.row(d.Duty, d.Node, state, when(d.Since), clockTime(d.Last), d.Runs, failure)
	}
	return t
}

// clockTime shows when something was that is mostly seconds ago; -o json has the day too.
func clockTime(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("15:04:05Z")
}

// dutyLine sums up the duties for the status, in one line; those that fail are among its problems. Empty for none.
func dutyLine(list []client.Duty) string {
	if len(list) == 0 {
		return ""
	}
	var nodes []string
	failing := 0
	for _, d := range list {
		if name := clean(d.Node); !slices.Contains(nodes, name) {
			nodes = append(nodes, name)
		}
		if d.Failing() {
			failing++
		}
	}
	state := "all well"
	if failing > 0 {
		state = fmt.Sprintf("%d failing", failing)
	}
	return fmt.Sprintf("leader's jobs: %d on %s, %s", len(list), strings.Join(nodes, ", "), state)
}
