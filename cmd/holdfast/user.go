package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
)

func newUserCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Users: whom access tokens belong to",
		Long: `A token of a user may do what the user may at that moment: by roles of its own, and by those of its groups. A change counts at once, on every node. The
events and the history name the user, whichever token was used.`,
		Example: `  holdfast user set alice --group ops
  holdfast token create --user alice --ttl 720h
  holdfast user disable alice`,
		Args: cobra.ArbitraryArgs,
		RunE: groupOnly,
	}
	cmd.AddCommand(newUserSetCommand(g), newUserListCommand(g), newUserShowCommand(g),
		newUserSwitchCommand(g, "disable", "Have the tokens of users open nothing, until they are enabled again", true), newUserSwitchCommand(g, "enable", "Enable users that were disabled", false),
		newRemoveCommand(g, "user", "Remove users, and revoke their tokens", (*client.Client).RemoveUser, completeUsers))
	return g.operator(cmd)
}

// changeTries is how often a change is made anew when somebody else was faster.
const changeTries = 5

// changeUser makes a user of what is there and what change makes of it; nobody else's change is lost.
func changeUser(ctx context.Context, c *client.Client, name string, create bool, change func(*client.UserRequest)) (*client.User, error) {
	for try := 1; ; try++ {
		is, err := c.User(ctx, name)
		if create {
			is, err = found(is, err)
		}
		if err != nil {
			return nil, err
		}
		req := client.UserRequest{Version: new(uint64)}
		if is != nil {
			req = client.UserRequest{Groups: is.Groups, Roles: is.Roles, Disabled: is.Disabled, Note: is.Note, Version: &is.Version}
		}
		change(&req)
		u, err := c.SetUser(ctx, name, req)
		if try < changeTries && conflicts(err) {
			now, err := found(c.User(ctx, name))
			if err == nil && ((now == nil) != (is == nil) || now != nil && is != nil && now.Version != is.Version) {
				continue
			}
		}
		return u, err
	}
}

func newUserSetCommand(g *globals) *cobra.Command {
	var groups, roles []string
	var note string
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Make a user, or change one",
		Long:  `Make a user, or change one: --group and --role each give the whole list, what is not given stays as it is. An empty one (--group "") takes all away.`,
		Example: `  holdfast user set alice --group ops
  holdfast user set ci --role deployer --note "pipeline of the shop"
  holdfast user set alice --group ""`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f := cmd.Flags()
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			u, err := changeUser(ctx, c, args[0], true, func(req *client.UserRequest) {
				if f.Changed("group") {
					req.Groups = named(groups)
				}
				if f.Changed("role") {
					req.Roles = named(roles)
				}
				if f.Changed("note") {
					req.Note = note
				}
			})
			if err != nil {
				return fmt.Errorf("set user %s: %w", clean(args[0]), err)
			}
			return g.print(u, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "user %s has %s\n", clean(u.Name), rolesInWords(u.AllRoles, u.Disabled))
				return err
			})
		},
		ValidArgsFunction: g.completing(completeUsers),
	}
	f := cmd.Flags()
	f.StringArrayVar(&groups, "group", nil, "a `GROUP` of users that the user is in (repeatable)")
	f.StringArrayVar(&roles, "role", nil, "a `ROLE` that the user has beside those of its groups (repeatable)")
	f.StringVar(&note, "note", "", "`TEXT` that says who it is")
	g.completeFlag(cmd, "group", completeUserGroups)
	g.completeFlag(cmd, "role", completeRoles)
	return cmd
}

// completeFlag completes the value of a flag with names that the group knows.
func (g *globals) completeFlag(cmd *cobra.Command, flag string, names completing) {
	complete := g.completing(names)
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, text string) ([]string, cobra.ShellCompDirective) {
		return complete(cmd, nil, text)
	}))
}

// named are the names of a list; an empty one stands for none.
func named(list []string) []string {
	out := []string{}
	for _, name := range list {
		if name != "" {
			out = append(out, name)
		}
	}
	return out
}

func rolesInWords(roles []string, disabled bool) string {
	switch {
	case disabled:
		return "no access: it is disabled"
	case len(roles) == 0:
		return "no role"
	case len(roles) == 1:
		return "the role " + clean(roles[0])
	}
	return "the roles " + clean(strings.Join(roles, ", "))
}

func newUserSwitchCommand(g *globals, verb, short string, disabled bool) *cobra.Command {
	return &cobra.Command{
		Use:     verb + " NAME...",
		Short:   short,
		Example: fmt.Sprintf("  holdfast user %s alice", verb),
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			for _, name := range names {
				u, err := changeUser(ctx, c, name, false, func(req *client.UserRequest) { req.Disabled = disabled })
				if err != nil {
					return fmt.Errorf("%s user %s: %w", verb, clean(name), err)
				}
				fmt.Fprintf(g.out, "user %s has %s\n", clean(u.Name), rolesInWords(u.AllRoles, u.Disabled))
			}
			return nil
		},
		ValidArgsFunction: g.completing(completeUsers),
	}
}

func newUserListCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the users with their groups and all their roles",
		Example: "  holdfast user list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			users, err := c.Users(ctx)
			if err != nil {
				return fmt.Errorf("list users: %w", err)
			}
			return g.print(map[string]any{"users": users}, func(w io.Writer) error {
				t := g.table("USER", "STATE", "GROUPS", "ROLES", "TOKENS", "NOTE")
				for _, u := range users {
					state := cell{text: "enabled"}
					if u.Disabled {
						state = cell{text: "disabled", style: warning}
					}
					t.row(u.Name, state, orDash(strings.Join(u.Groups, " ")), orDash(strings.Join(u.AllRoles, " ")), fmt.Sprint(len(u.Tokens)), orDash(u.Note))
				}
				return t.write(w)
			})
		},
	}
}

func newUserShowCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "show NAME",
		Short:   "Show a user with all that it may do now, and its tokens",
		Example: "  holdfast user show alice",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			u, err := c.User(ctx, args[0])
			if err != nil {
				return fmt.Errorf("show user %s: %w", clean(args[0]), err)
			}
			return g.print(u, func(w io.Writer) error {
				list := func(s []string) string { return clean(orDash(strings.Join(s, " "))) }
				_, err := fmt.Fprintf(w, "user %s has %s\n\n  groups       %s\n  own roles    %s\n  permissions  %s\n  tokens       %s\n  changed      %s by %s\n  note         %s\n", clean(u.Name), rolesInWords(u.AllRoles, u.Disabled),
					list(u.Groups), list(u.Roles), list(u.Permissions), list(u.Tokens), when(u.Changed.Changed), clean(orDash(u.Actor)), clean(orDash(u.Note)))
				return err
			})
		},
		ValidArgsFunction: g.completing(completeUsers),
	}
}

func completeUsers(ctx context.Context, c *client.Client) (names []string, err error) {
	list, err := c.Users(ctx, client.Stale())
	for _, u := range list {
		names = append(names, u.Name)
	}
	return names, err
}

func newWhoamiCommand(g *globals) *cobra.Command {
	return g.operator(&cobra.Command{
		Use:     "whoami",
		Short:   "Say who you are for the group, and what you may do",
		Example: "  holdfast whoami\n  holdfast whoami --token-file ci.token -o json | jq -r '.permissions[]'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			who, err := c.Whoami(ctx)
			if err != nil {
				return fmt.Errorf("whoami: %w", err)
			}
			return g.print(who, func(w io.Writer) error {
				until := "for ever"
				if !who.Expires.IsZero() {
					until = "until " + when(who.Expires)
				}
				list := func(s []string) string { return clean(orDash(strings.Join(s, " "))) }
				_, err := fmt.Fprintf(w, "%s, good %s\n\n  groups       %s\n  roles        %s\n  permissions  %s\n", clean(who.Actor), until, list(who.Groups), list(who.Roles), list(who.Permissions))
				return err
			})
		},
	})
}
