package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
)

func newAuditCommand(g *globals) *cobra.Command {
	var user, kind string
	var limit int
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Who changed what, and when",
		Long: `Print those of the group's events that somebody has caused: changes of the configuration, quiesces, locks, workflows, certificates, nodes, tokens, users and
roles. A token of a user shows as "user NAME (token ID)", a call on a node's own machine as local. The list is that of 'holdfast events': replicated, the last 1000 are kept.`,
		Example: `  holdfast audit
  holdfast audit --user alice
  holdfast audit --kind access -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 0 || limit > 1000 {
				return usagef(cmd, "--limit %d: want 1 to 1000, or 0 for all that are kept", limit)
			}
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			l, err := c.Events(ctx, 0, 1000)
			if err != nil {
				return fmt.Errorf("list events: %w", err)
			}
			list := audited(l.Events, user, kind)
			if limit > 0 && len(list) > limit {
				list = list[len(list)-limit:]
			}
			return g.print(client.EventList{Events: list, Last: l.Last}, func(w io.Writer) error {
				for _, e := range list {
					head := fmt.Sprintf("%s  %-16s  %s  ", when(e.Time), clean(e.Kind), clean(e.Actor))
					if _, err := io.WriteString(w, g.wrap(e.Text, head, strings.Repeat(" ", 22))); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&user, "user", "", "only what this user did, by whichever token: `NAME`")
	f.StringVar(&kind, "kind", "", "only events of this `KIND`, as in config or access")
	f.IntVar(&limit, "limit", 100, "at most `N`, the newest; 0: all that are kept")
	return g.operator(cmd)
}

// audited keeps the events that somebody has caused: user, or anybody when that is empty.
func audited(events []client.Event, user, kind string) []client.Event {
	list := []client.Event{}
	for _, e := range events {
		byUser := user == "" || e.Actor == "user "+user || strings.HasPrefix(e.Actor, "user "+user+" (token ") || e.Actor == "oidc user "+user
		if e.Actor != "" && byUser && (kind == "" || e.Kind == kind) {
			list = append(list, e)
		}
	}
	return list
}
