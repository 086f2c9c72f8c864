package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/fsm"
)

func newSessionCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "session",
		Short: "The assignments of sessions to instances",
		Long: `The assignments of sessions to instances. A session is named by its key, a keyed hash: the group never stores the session ids of your
applications. 'session show' finds the key of an id that you have.`,
		Example: `  holdfast session list --cluster cluster1
  holdfast session show 3f0c1d2e4b5a69788796a5b4c3d2e1f0`,
		Args: cobra.ArbitraryArgs,
		RunE: groupOnly,
	}
	cmd.AddCommand(newSessionListCommand(g), newSessionShowCommand(g), newSessionExplainCommand(g), newSessionMoveCommand(g), newSessionDropCommand(g), newSessionDataCommand(g))
	return g.operator(cmd)
}

func newSessionListCommand(g *globals) *cobra.Command {
	var filter client.SessionFilter
	var limit int
	var stale bool
	var module string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List assignments",
		Example: `  holdfast session list
  holdfast session list --cluster cluster1 --instance instance2 --limit 0 -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 0 {
				return usagef(cmd, "--limit %d: want 0 (all) or more", limit)
			}
			if module != "" {
				if filter.Host != "" || filter.ContextRoot != "" {
					return usagef(cmd, "either --module, or --context-root with --host")
				}
				filter.Host, filter.ContextRoot = splitModule(module)
			}
			if filter.Host != "" && filter.ContextRoot == "" {
				return usagef(cmd, "--host means a module only together with --context-root")
			}
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			var opts []client.ReadOption
			if stale {
				opts = append(opts, client.Stale())
			}
			if limit > 0 {
				filter.Limit = min(limit+1, 1000)
			}
			list := client.SessionPage{Sessions: []client.Session{}}
			more := false
			for s, err := range c.AllSessions(ctx, filter, opts...) {
				if err != nil {
					return fmt.Errorf("list sessions: %w", err)
				}
				if limit > 0 && len(list.Sessions) == limit {
					more = true
					break
				}
				list.Sessions = append(list.Sessions, s)
			}
			if more {
				fmt.Fprintf(g.err, "only the first %d; --limit 0 lists all\n", limit)
			}
			return g.print(list, func(w io.Writer) error {
				t := g.table("KEY", "CLUSTER", "INSTANCE", "LAST SEEN", "EXPIRES")
				for _, s := range list.Sessions {
					t.row(s.Key, s.Cluster, s.Instance, when(s.Seen), when(s.Expires))
				}
				return t.write(w)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&filter.Cluster, "cluster", "", "only sessions of the cluster `NAME`")
	f.StringVar(&filter.Instance, "instance", "", "only sessions of the instance `NAME`")
	f.StringVar(&module, "module", "", "only sessions that were recorded in the module `[HOST]ROOT`, as in /fortune or shop.example/fortune")
	f.StringVar(&filter.Host, "host", "", "the `HOST` of the module of --context-root")
	f.StringVar(&filter.ContextRoot, "context-root", "", "only sessions that were recorded in the module of this context `ROOT`")
	f.IntVar(&limit, "limit", 100, "at most `N` sessions; 0: all")
	f.BoolVar(&stale, "stale", false, "what the node knows by itself, without asking the leader")
	return cmd
}

func newSessionShowCommand(g *globals) *cobra.Command {
	var l client.Lookup
	var sessionFile, cookieFile string
	cmd := &cobra.Command{
		Use:   "show [KEY]",
		Short: "Show the assignment of a key, of an application's session id, or of an insert cookie",
		Long: `Show where the requests of a session go. Name the session by its key, or give the application's session id or the insert cookie in a file or on
standard input (-): on the command line other users of this machine could read them.`,
		Example: `  holdfast session show 3f0c1d2e4b5a69788796a5b4c3d2e1f0
  holdfast session show --cluster cluster1 --context-root /fortune --session-file - < id.txt
  holdfast session show --cluster cluster1 --context-root /fortune --cookie-file cookie.txt`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			if len(args) == 1 {
				if sessionFile != "" || cookieFile != "" {
					return usagef(cmd, "either a key or a file, not both")
				}
				if _, err := fsm.ParseKey(strings.ToLower(args[0])); err != nil {
					return usagef(cmd, "that is not a key (32 hexadecimal digits); an application's session id goes with --session-file, a cookie with --cookie-file")
				}
				s, err := c.Session(ctx, strings.ToLower(args[0]))
				if err != nil {
					return fmt.Errorf("show session: %w", err)
				}
				return g.print(s, func(w io.Writer) error { return g.writeSession(w, s) })
			}
			if err := g.readLookup(cmd, &l, sessionFile, cookieFile); err != nil {
				return err
			}
			r, err := c.LookupSession(ctx, l)
			if err != nil {
				return fmt.Errorf("show session: %w", err)
			}
			if err := g.print(r, func(w io.Writer) error { return g.writeLookup(w, r) }); err != nil {
				return err
			}
			if !r.Found {
				return errors.New("show session: the table has no assignment with this key")
			}
			return nil
		},
	}
	sessionFlags(cmd, &l, &sessionFile, &cookieFile)
	return cmd
}

// readLookup fills l from the flags' files.
func (g *globals) readLookup(cmd *cobra.Command, l *client.Lookup, sessionFile, cookieFile string) error {
	switch {
	case sessionFile == "" && cookieFile == "":
		return usagef(cmd, "which session? Give a key, --session-file or --cookie-file")
	case sessionFile != "" && cookieFile != "":
		return usagef(cmd, "either --session-file or --cookie-file, not both")
	case l.Cluster == "" || l.ContextRoot == "":
		return usagef(cmd, "a session id means nothing without its module: give --cluster and --context-root (and --host when the module has one)")
	}
	data, err := g.readInput(sessionFile+cookieFile, 4096)
	if err != nil {
		return fmt.Errorf("show session: %w", err)
	}
	text := strings.TrimSpace(string(data))
	if text == "" {
		return errors.New("show session: the file is empty")
	}
	if sessionFile != "" {
		l.Session = text
	} else {
		if l.Cookie, err = cookieValue(text); err != nil {
			return fmt.Errorf("show session: %w", err)
		}
	}
	if sessionFile == "" && l.Cookie == "" {
		return errors.New("show session: the file has no cookie: want NAME=VALUE, or the value alone")
	}
	return nil
}

// jarCookie is the name of insert cookies, where the configuration gives no other one.
const jarCookie = "HOLDFAST"

// cookieValue takes the value out of NAME=VALUE, as browsers and headers show a cookie, perhaps with attributes behind it, or out of a jar as curl writes it. A value alone has no "=".
func cookieValue(text string) (string, error) {
	if names, values := jar(text); len(values) == 1 {
		return values[0], nil
	} else if at := slices.Index(names, jarCookie); at >= 0 {
		return values[at], nil
	} else if len(names) > 0 {
		return "", fmt.Errorf("the file is a jar with the cookies %s: give the value of one of them", strings.Join(names, ", "))
	}
	if _, value, named := strings.Cut(text, "="); named {
		value, _, _ = strings.Cut(value, ";")
		text = strings.Trim(value, `" `)
	}
	if strings.ContainsAny(text, " \t\r\n") {
		return "", errors.New("the file has no cookie, but other text: want NAME=VALUE, the value alone, or a jar of curl")
	}
	return text, nil
}

// jar reads the cookies of a file as curl -c writes it: host, subdomains, path, secure, end, name and value, with tabs between them. Nothing else has such lines.
func jar(text string) (names, values []string) {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "#HttpOnly_") {
			continue
		}
		if f := strings.Split(line, "\t"); len(f) == 7 {
			names, values = append(names, f[5]), append(values, f[6])
		}
	}
	return names, values
}

func (g *globals) writeSession(w io.Writer, s *client.Session) error {
	_, err := fmt.Fprintf(w, "key        %s\ncluster    %s\ninstance   %s\nlast seen  %s\nexpires    %s, when it is not used again\n",
		s.Key, clean(s.Cluster), clean(s.Instance), when(s.Seen), when(s.Expires))
	return err
}

func (g *globals) writeLookup(w io.Writer, r *client.LookupResult) error {
	if r.Found {
		if err := g.writeSession(w, r.Session); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(w, "key        %s\n", r.Key)
	}
	if c := r.Cookie; c != nil {
		provisional := ""
		if c.Provisional {
			provisional = ", provisional"
		}
		_, err := fmt.Fprintf(w, "cookie     %s of %s, epoch %d, recorded at index %d%s\n", clean(c.Instance), clean(c.Cluster), c.Epoch, c.Index, provisional)
		return err
	}
	return nil
}
