package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
)

func newUserGroupCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "group",
		Short: "Groups of users: roles for many at once",
		Long: `Everybody in a group of users has its roles. 'holdfast user set NAME --group GROUP' puts a user into it. (The group of nodes is another thing: 'holdfast node
list' shows it.)`,
		Example: `  holdfast group set ops --role operator
  holdfast group list`,
		Args: cobra.ArbitraryArgs,
		RunE: groupOnly,
	}
	cmd.AddCommand(newUserGroupSetCommand(g), newUserGroupListCommand(g), newUserGroupShowCommand(g),
		newRemoveCommand(g, "group", "Remove groups that no user is in", (*client.Client).RemoveUserGroup, completeUserGroups))
	return g.operator(cmd)
}

func newUserGroupSetCommand(g *globals) *cobra.Command {
	var roles []string
	var note string
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Make a group of users, or change its roles",
		Long:  `Make a group of users, or change one: --role gives the whole list; what is not given stays as it is. An empty one (--role "") takes all away.`,
		Example: `  holdfast group set ops --role operator
  holdfast group set ops --role operator --role auditor --note "on call"`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f := cmd.Flags()
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			u, err := changeUserGroup(ctx, c, args[0], func(req *client.UserGroupRequest) {
				if f.Changed("role") {
					req.Roles = named(roles)
				}
				if f.Changed("note") {
					req.Note = note
				}
			})
			if err != nil {
				return fmt.Errorf("set group %s: %w", clean(args[0]), err)
			}
			return g.print(u, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "group %s has %s, and %s\n", clean(u.Name), rolesInWords(u.Roles, false), count(len(u.Users), "user"))
				return err
			})
		},
		ValidArgsFunction: g.completing(completeUserGroups),
	}
	f := cmd.Flags()
	f.StringArrayVar(&roles, "role", nil, "a `ROLE` that everybody in it has (repeatable)")
	f.StringVar(&note, "note", "", "`TEXT` that says who they are")
	g.completeFlag(cmd, "role", completeRoles)
	return cmd
}

// changeUserGroup is changeUser for a group of users.
func changeUserGroup(ctx context.Context, c *client.Client, name string, change func(*client.UserGroupRequest)) (*client.UserGroup, error) {
	for try := 1; ; try++ {
		is, err := found(c.UserGroup(ctx, name))
		if err != nil {
			return nil, err
		}
		req := client.UserGroupRequest{Version: new(uint64)}
		if is != nil {
			req = client.UserGroupRequest{Roles: is.Roles, Note: is.Note, Version: &is.Version}
		}
		change(&req)
		u, err := c.SetUserGroup(ctx, name, req)
		if try < changeTries && conflicts(err) {
			now, err := found(c.UserGroup(ctx, name))
			if err == nil && ((now == nil) != (is == nil) || now != nil && is != nil && now.Version != is.Version) {
				continue
			}
		}
		return u, err
	}
}

func newUserGroupListCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the groups of users with their roles and who is in them",
		Example: "  holdfast group list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			groups, err := c.UserGroups(ctx)
			if err != nil {
				return fmt.Errorf("list groups: %w", err)
			}
			return g.print(map[string]any{"groups": groups}, func(w io.Writer) error {
				t := g.table("GROUP", "ROLES", "USERS", "NOTE")
				for _, x := range groups {
					t.row(x.Name, orDash(strings.Join(x.Roles, " ")), orDash(strings.Join(x.Users, " ")), orDash(x.Note))
				}
				return t.write(w)
			})
		},
	}
}

func newUserGroupShowCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "show NAME",
		Short:   "Show a group of users",
		Example: "  holdfast group show ops",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			x, err := c.UserGroup(ctx, args[0])
			if err != nil {
				return fmt.Errorf("show group %s: %w", clean(args[0]), err)
			}
			return g.print(x, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "group %s has %s\n\n  users    %s\n  changed  %s by %s\n  note     %s\n", clean(x.Name), rolesInWords(x.Roles, false), clean(orDash(strings.Join(x.Users, " "))),
					when(x.Changed.Changed), clean(orDash(x.Actor)), clean(orDash(x.Note)))
				return err
			})
		},
		ValidArgsFunction: g.completing(completeUserGroups),
	}
}

func completeUserGroups(ctx context.Context, c *client.Client) (names []string, err error) {
	list, err := c.UserGroups(ctx, client.Stale())
	for _, x := range list {
		names = append(names, x.Name)
	}
	return names, err
}
