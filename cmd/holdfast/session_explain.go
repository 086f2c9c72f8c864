package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/fsm"
)

func newSessionExplainCommand(g *globals) *cobra.Command {
	var l client.Lookup
	var sessionFile, cookieFile string
	cmd := &cobra.Command{
		Use:   "explain [KEY]",
		Short: "Tell every decision about a session, and what would become of its next request",
		Long: `Tell the history of a session: every decision that the group remembers about where it goes, with its reason and its log index; and what would become of
its next request now, with all that decides about it. The session is named as in 'session show'; its id is never printed.`,
		Example: `  holdfast session explain 3f0c1d2e4b5a69788796a5b4c3d2e1f0
  holdfast session explain --cluster cluster1 --context-root /fortune --session-file - < id.txt
  holdfast session explain --cluster cluster1 --context-root /fortune --cookie-file cookie.txt`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var ask client.Explain
			if len(args) == 1 {
				if sessionFile != "" || cookieFile != "" {
					return usagef(cmd, "either a key or a file, not both")
				}
				key, err := keyArgument(cmd, args[0])
				if err != nil {
					return err
				}
				ask.Key = key
			} else {
				if err := g.readLookup(cmd, &l, sessionFile, cookieFile); err != nil {
					return err
				}
				ask = client.Explain{Cluster: l.Cluster, Host: l.Host, ContextRoot: l.ContextRoot, Session: l.Session, Cookie: l.Cookie}
			}
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			e, err := c.ExplainSession(ctx, ask)
			if err != nil {
				return fmt.Errorf("explain session: %w", err)
			}
			return g.print(e, func(w io.Writer) error { return g.writeExplanation(w, e) })
		},
	}
	sessionFlags(cmd, &l, &sessionFile, &cookieFile)
	return cmd
}

// keyArgument takes a key; an application's session id does not belong on the command line, and is not repeated.
func keyArgument(cmd *cobra.Command, text string) (string, error) {
	key := strings.ToLower(text)
	if _, err := fsm.ParseKey(key); err != nil {
		return "", usagef(cmd, "that is not a key (32 hexadecimal digits); 'holdfast session show --session-file' finds the key of an application's session id")
	}
	return key, nil
}

// sessionFlags name a session by what an application or a client has of it.
func sessionFlags(cmd *cobra.Command, l *client.Lookup, sessionFile, cookieFile *string) {
	f := cmd.Flags()
	f.StringVar(&l.Cluster, "cluster", "", "the `NAME` of the cluster that the session belongs to")
	f.StringVar(&l.Host, "host", "", "the `HOST` of the module, when it has one")
	f.StringVar(&l.ContextRoot, "context-root", "", "the context `ROOT` of the module")
	f.StringVar(sessionFile, "session-file", "", "`FILE` with the application's session id; -: standard input")
	f.StringVar(cookieFile, "cookie-file", "", "`FILE` with the insert cookie, its value alone, NAME=VALUE or a jar of curl; -: standard input")
}

func (g *globals) writeExplanation(w io.Writer, e *client.Explanation) error {
	if err := g.writeLookup(w, &client.LookupResult{Key: e.Key, Found: e.Found, Session: e.Session, Cookie: e.Cookie}); err != nil {
		return err
	}
	if d := e.Data; d != nil {
		fmt.Fprintf(w, "data       %s of %s, version %s, written %s\n", bytesText(int64(d.Bytes)), clean(d.Type), strings.Trim(d.ETag, `"`), when(d.Changed))
	}
	fmt.Fprintln(w)
	t := g.table("INDEX>", "TIME", "FROM", "TO", "BECAUSE")
	for _, d := range e.Decisions {
		index := cell{text: "-"} // recorded by a version that noted none
		if d.Index > 0 {
			index.text = strconv.FormatUint(d.Index, 10)
		}
		t.row(index, when(d.Time), orDash(d.From), orDash(d.To), d.Reason)
	}
	if len(e.Decisions) > 0 {
		if err := t.write(w); err != nil {
			return err
		}
	}
	switch {
	case len(e.Decisions) == 0:
		fmt.Fprintln(w, "The group remembers no decision about it.")
	case !e.Whole:
		fmt.Fprintln(w, "Earlier decisions have been forgotten.")
	}
	outcome := map[string]string{"stays": "goes to its instance", "fail-over": "fails over", "new": "is treated as one of a new session", "refused": "is refused",
		"depends": "depends on the node that takes it"}[e.Next.Outcome]
	where := ""
	if e.Next.Instance != "" {
		where = " (" + clean(e.Next.Instance) + ")"
	}
	fmt.Fprintf(w, "\nIts next request %s%s:\n", outcome, where)
	for _, why := range e.Next.Why {
		if _, err := fmt.Fprint(w, wrap("- "+why, "", "  ")); err != nil {
			return err
		}
	}
	return nil
}

func newSessionMoveCommand(g *globals) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "move KEY INSTANCE",
		Short: "Move a session to another instance of its cluster",
		Long: `Move a session to another instance of its cluster. Sessions never go from one cluster to another. The instance must be configured, and neither be stopped
nor have failed. Whether the application knows the session there is the application's business.`,
		Example: `  holdfast session move 3f0c1d2e4b5a69788796a5b4c3d2e1f0 instance2
  holdfast session move 3f0c1d2e4b5a69788796a5b4c3d2e1f0 cluster1/instance2`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := keyArgument(cmd, args[0])
			if err != nil {
				return err
			}
			m := client.SessionMove{Instance: args[1], Force: force}
			if cluster, instance, ok := strings.Cut(args[1], "/"); ok {
				m.Cluster, m.Instance = cluster, instance
			}
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			s, err := c.MoveSession(ctx, key, m)
			if err != nil {
				return fmt.Errorf("move session: %w", err)
			}
			return g.print(s, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "session %s is assigned to instance %s of cluster %s\n", s.Key, clean(s.Instance), clean(s.Cluster))
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "also to an instance that is stopped or has failed")
	return cmd
}

func newSessionDropCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "drop KEY",
		Short: "Drop the assignment of a session",
		Long: `Drop the assignment of a session. Its next request is treated as one of a new session; with affinity insert, the client's cookie says where it was, and
brings it back there.`,
		Example: "  holdfast session drop 3f0c1d2e4b5a69788796a5b4c3d2e1f0",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := keyArgument(cmd, args[0])
			if err != nil {
				return err
			}
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			if err := c.DropSession(ctx, key); err != nil {
				return fmt.Errorf("drop session: %w", err)
			}
			return g.print(map[string]string{"dropped": key}, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "session %s is dropped\n", key)
				return err
			})
		},
	}
}
