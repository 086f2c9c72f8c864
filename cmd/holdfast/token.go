package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

var roles = []string{wire.RoleApplication, wire.RoleViewer, wire.RoleOperator, wire.RoleAdmin, wire.RoleNode}

func newTokenCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Access tokens for people and programs, join tokens for nodes",
		Long: `Access tokens let people and programs use the admin API from other machines: viewer reads, operator also changes the configuration, admin also
manages tokens. A token of a user (--user) allows what the user may at each moment: 'holdfast user'. A join token (role node) lets one new node into the group, once.`,
		Example: `  holdfast token create --role viewer --ttl 720h --note "dashboard"
  holdfast token list`,
		Args: cobra.ArbitraryArgs,
		RunE: groupOnly,
	}
	cmd.AddCommand(newTokenCreateCommand(g), newTokenListCommand(g), newTokenRevokeCommand(g))
	return g.operator(cmd)
}

func newTokenCreateCommand(g *globals) *cobra.Command {
	var req client.TokenRequest
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a token and print it; it is shown only this once",
		Example: `  export HOLDFAST_TOKEN="$(holdfast token create --role operator --ttl 8h --note alice)"
  holdfast token create --user alice --ttl 720h
  HOLDFAST_JOIN_TOKEN="$(holdfast token create --role node)" holdfast serve --name n4 --join n1:7701`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case req.Role != "" && req.User != "":
				return usagef(cmd, "--role and --user: a token of a user has the roles of the user")
			case req.Role == "" && req.User == "":
				return usagef(cmd, "--role is missing: one of %s, or a role of the group; or --user", strings.Join(roles, ", "))
			case len(req.Clusters) > 0 && req.Role != wire.RoleApplication:
				return usagef(cmd, "--cluster is for --role %s only", wire.RoleApplication)
			case ttl < 0 || ttl > 0 && ttl < time.Second:
				return usagef(cmd, "--ttl %v: want 1s or more, or 0 for ever", ttl)
			}
			req.TTLSeconds = int64(ttl / time.Second)
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			t, err := c.CreateToken(ctx, req)
			if err != nil {
				return fmt.Errorf("create token: %w", err)
			}
			return g.print(t, func(w io.Writer) error {
				until := "for ever"
				if !t.Expires.IsZero() {
					until = "until " + when(t.Expires)
				}
				whose := "role " + t.Role + boundTo(t.Clusters)
				if t.User != "" {
					whose = "of user " + clean(t.User)
				}
				fmt.Fprintf(g.err, "token %s, %s, good %s; it is shown only this once\n", t.ID, whose, until)
				_, err := fmt.Fprintln(w, t.Secret)
				return err
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&req.Role, "role", "", "what it allows: `ROLE` application (the store alone), viewer, operator, admin, one of the group's own, or node (a join token)")
	f.StringVar(&req.User, "user", "", "`NAME` of the user whom it belongs to, in place of a role: it allows what the user may at each moment")
	f.StringSliceVar(&req.Clusters, "cluster", nil, "role application: the `NAME`s of the clusters that it is bound to; absent: all")
	g.completeFlag(cmd, "user", completeUsers)
	f.DurationVar(&ttl, "ttl", 0, "its `LIFE`; 0: for ever, of a join token one hour")
	f.StringVar(&req.Note, "note", "", "`TEXT` that says what it is for")
	g.completeFlag(cmd, "role", completeRoles)
	return cmd
}

// boundTo names the clusters of an application's token; without them it is good for all.
func boundTo(clusters []string) string {
	if len(clusters) == 0 {
		return ""
	}
	return " for " + clean(strings.Join(clusters, ", "))
}

func newTokenListCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the tokens, without their secrets",
		Example: `  holdfast token list
  holdfast token list -o yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			tokens, err := c.Tokens(ctx)
			if err != nil {
				return fmt.Errorf("list tokens: %w", err)
			}
			return g.print(wire.TokenList{Tokens: tokens}, func(w io.Writer) error {
				t := g.table("ID", "ROLE", "CREATED", "EXPIRES", "USED BY", "NOTE")
				for _, k := range tokens {
					expires := cell{text: "never"}
					if !k.Expires.IsZero() {
						expires.text = when(k.Expires)
					}
					role := k.Role + boundTo(k.Clusters)
					if k.User != "" {
						role = "user " + k.User
					}
					if k.Expired {
						expires.style = warning
					}
					t.row(k.ID, role, when(k.Created), expires, orDash(k.UsedBy), orDash(k.Note))
				}
				return t.write(w)
			})
		},
	}
}

func newTokenRevokeCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "revoke ID...",
		Short:   "Revoke tokens",
		Example: "  holdfast token revoke 9f3c2a1b0d4e5f67",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, ids []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			for _, id := range ids {
				if err := c.RevokeToken(ctx, id); err != nil {
					return fmt.Errorf("revoke token %s: %w", clean(id), err)
				}
				fmt.Fprintf(g.out, "token %s revoked\n", clean(id))
			}
			return nil
		},
	}
}
