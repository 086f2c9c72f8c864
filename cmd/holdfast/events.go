package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
)

func newEventsCommand(g *globals) *cobra.Command {
	var follow bool
	var after uint64
	var limit int
	cmd := &cobra.Command{
		Use:   "events",
		Short: "What happened to the group",
		Long: `Print what happened to the group: configuration changes, quiesces, verdicts on health, locks, workflows, nodes that do not answer. The list is
replicated, so every node has the same one, and it survives the death of any node; the last 1000 events are kept. With --follow it goes on as things
happen, through another node when one dies; -o json then prints one document on each line.`,
		Example: `  holdfast events
  holdfast events --follow --after 120
  holdfast events --follow -o json | jq -r .text`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 0 || limit > 1000 {
				return usagef(cmd, "--limit %d: want 1 to 1000, or 0 for all that are kept", limit)
			}
			if follow {
				g.untimed(cmd)
			}
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			from := after
			if !cmd.Flags().Changed("after") && limit > 0 { // the newest ones
				l, err := c.Events(ctx, 0, 1)
				if err != nil {
					return fmt.Errorf("list events: %w", err)
				}
				if l.Last > uint64(limit) {
					from = l.Last - uint64(limit)
				}
			}
			if !follow {
				l, err := c.Events(ctx, from, max(1, orAll(limit)))
				if err != nil {
					return fmt.Errorf("list events: %w", err)
				}
				return g.print(l, func(w io.Writer) error { return g.writeEvents(w, l.Events) })
			}
			for e, err := range c.FollowEvents(ctx, from) {
				if err != nil {
					return fmt.Errorf("follow events: %w", err)
				}
				if err := g.writeEvent(e); err != nil {
					return err
				}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&follow, "follow", "f", false, "go on as things happen")
	f.Uint64Var(&after, "after", 0, "only events after the one with this `SEQ`")
	f.IntVar(&limit, "limit", 100, "at most `N` events, the newest unless --after is given; 0: all that are kept")
	return g.operator(cmd)
}

func orAll(limit int) int {
	if limit == 0 {
		return 1000
	}
	return limit
}

// writeEvents prints each event on a line, and the rest of a long text on lines of their own when a person reads it.
func (g *globals) writeEvents(w io.Writer, list []client.Event) error {
	for _, e := range list {
		head := fmt.Sprintf("%5d  %s  %-16s  ", e.Seq, when(e.Time), clean(e.Kind))
		if _, err := io.WriteString(w, g.wrap(e.Text, head, strings.Repeat(" ", 9))); err != nil {
			return err
		}
	}
	return nil
}

// writeEvent prints one event of a stream on one line, or as a YAML document.
func (g *globals) writeEvent(e client.Event) error {
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("write event: %w", err)
	}
	switch g.output {
	case "json":
		data = append(data, '\n')
	case "yaml":
		if data, err = yaml.JSONToYAML(data); err != nil {
			return fmt.Errorf("write event: %w", err)
		}
		data = append([]byte("---\n"), data...)
	default:
		data = fmt.Appendf(nil, "%d  %s  %s  %s\n", e.Seq, when(e.Time), clean(e.Kind), clean(strings.TrimSpace(e.Text)))
	}
	_, err = g.out.Write(data)
	return err
}
