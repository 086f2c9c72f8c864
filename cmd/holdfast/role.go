package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

// maxRoleFile bounds the file of role set --from, in bytes.
const maxRoleFile = 256 << 10

func newRoleCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "role",
		Short: "Roles: what users and tokens may do",
		Long: `A role is a set of permissions. application, viewer, operator, admin and node are built in and cannot be changed; a group makes others of the
permissions that 'holdfast role list' shows. A changed role counts at once, on every node, for whoever has it.`,
		Example: `  holdfast role list
  holdfast role set deployer --allow status:read --allow instances:write@cluster=shop
  holdfast user set ci --role deployer`,
		Args: cobra.ArbitraryArgs,
		RunE: groupOnly,
	}
	cmd.AddCommand(newRoleSetCommand(g), newRoleListCommand(g), newRoleShowCommand(g),
		newRemoveCommand(g, "role", "Remove roles that nobody has", (*client.Client).RemoveRole, completeRoles))
	return g.operator(cmd)
}

// newRemoveCommand is the sub-command that removes things of access by name.
func newRemoveCommand(g *globals, what, short string, remove func(*client.Client, context.Context, string) error, names completing) *cobra.Command {
	return &cobra.Command{
		Use:     "remove NAME...",
		Short:   short,
		Example: fmt.Sprintf("  holdfast %s remove %s", what, map[string]string{"role": "deployer", "group": "ops", "user": "alice"}[what]),
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			for _, name := range args {
				if err := remove(c, ctx, name); err != nil {
					return fmt.Errorf("remove %s %s: %w", what, clean(name), err)
				}
				fmt.Fprintf(g.out, "%s %s removed\n", what, clean(name))
			}
			return nil
		},
		ValidArgsFunction: g.completing(names),
	}
}

func newRoleSetCommand(g *globals) *cobra.Command {
	var allow []string
	var from, note string
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Make a role, or change what one allows",
		Long: `Make a role, or change one: what is given with --allow or --from is all that it allows then. The file is YAML or JSON, as 'holdfast role show NAME -o yaml'
prints it: allow is a list of permissions, note says what the role is for.`,
		Example: `  holdfast role set deployer --allow status:read --allow instances:write@cluster=shop --note "CI of the shop"
  holdfast role set auditor --from auditor.yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(allow) == 0) == (from == "") {
				return usagef(cmd, "want what the role allows: either --allow, or --from FILE")
			}
			req := client.RoleRequest{Allow: allow, Note: note}
			if from != "" {
				if err := g.readRole(from, &req); err != nil {
					return err
				}
			}
			for _, text := range req.Allow {
				if _, _, err := permit.Parse(text); err != nil {
					return usagef(cmd, "%v", err)
				}
			}
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			if !cmd.Flags().Changed("note") && from == "" {
				is, err := found(c.Role(ctx, args[0]))
				if err != nil {
					return fmt.Errorf("set role %s: %w", clean(args[0]), err)
				}
				if is != nil && !is.BuiltIn {
					req.Note, req.Version = is.Note, &is.Version
				}
			}
			r, err := c.SetRole(ctx, args[0], req)
			if err != nil {
				return fmt.Errorf("set role %s: %w", clean(args[0]), err)
			}
			return g.print(r, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "role %s allows %s\n", clean(r.Name), clean(strings.Join(r.Allow, ", ")))
				return err
			})
		},
		ValidArgsFunction: g.completing(completeRoles),
	}
	f := cmd.Flags()
	f.StringArrayVar(&allow, "allow", nil, "a `PERMISSION`, as in config:read; for one cluster: instances:write@cluster=NAME (repeatable)")
	f.StringVar(&from, "from", "", "`FILE` with the permissions; - is standard input")
	f.StringVar(&note, "note", "", "`TEXT` that says what it is for")
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("allow", cobra.FixedCompletions(permit.Names(), cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

// readRole reads the file of --from; a note that is given as a flag stays.
func (g *globals) readRole(name string, req *client.RoleRequest) error {
	data, err := g.readInput(name, maxRoleFile)
	if err != nil {
		return err
	}
	// The other fields are those that 'role show' prints beside these.
	var file struct {
		Name    string   `yaml:"name"`
		BuiltIn bool     `yaml:"builtIn"`
		Allow   []string `yaml:"allow"`
		Note    string   `yaml:"note"`
		Version uint64   `yaml:"version"`
		Changed string   `yaml:"changed"`
		Actor   string   `yaml:"actor"`
	}
	if err := yaml.NewDecoder(bytes.NewReader(data), yaml.DisallowUnknownField()).Decode(&file); err != nil {
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("read %s: it is empty: want allow with a list of permissions", name)
		}
		return fmt.Errorf("read %s: %w", name, err)
	}
	if len(file.Allow) == 0 {
		return fmt.Errorf("read %s: it allows nothing: want allow with a list of permissions", name)
	}
	if req.Allow = file.Allow; req.Note == "" {
		req.Note = file.Note
	}
	return nil
}

// conflicts tells whether the state of the group refused it.
func conflicts(err error) bool {
	var p *client.Problem
	return errors.As(err, &p) && p.Code == wire.CodeRefused
}

// found makes nil of what is not there.
func found[T any](v *T, err error) (*T, error) {
	var p *client.Problem
	if errors.As(err, &p) && p.Code == wire.CodeNotFound {
		return nil, nil
	}
	return v, err
}

func newRoleListCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the roles, and the permissions that they can be made of",
		Example: "  holdfast role list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			l, err := c.Roles(ctx)
			if err != nil {
				return fmt.Errorf("list roles: %w", err)
			}
			return g.print(l, func(w io.Writer) error { return g.writeRoles(w, l) })
		},
	}
}

func (g *globals) writeRoles(w io.Writer, l *client.RoleList) error {
	t := g.table("ROLE", "KIND", "PERMISSIONS", "NOTE")
	for _, r := range l.Roles {
		kind, allows := "own", strings.Join(r.Allow, " ")
		if r.BuiltIn {
			kind, allows = "built in", count(len(r.Allow), "permission")
		}
		t.row(r.Name, kind, allows, orDash(r.Note))
	}
	if err := t.write(w); err != nil {
		return err
	}
	fmt.Fprintln(w)
	t = g.table("PERMISSION", "BUILT IN ROLES", "ALLOWS")
	order := []string{wire.RoleViewer, wire.RoleApplication, wire.RoleOperator, wire.RoleAdmin}
	for _, p := range l.Permissions {
		name := p.Name
		if p.Bounded {
			name += "[@cluster=NAME]"
		}
		t.row(name, strings.Join(rolesWith(order, p.Role), " "), p.About)
	}
	return t.write(w)
}

// rolesWith are the built-in roles that have what the role least has: those behind it, but that of applications has only what is its own.
func rolesWith(order []string, least string) (out []string) {
	for _, role := range order[max(0, slices.Index(order, least)):] {
		if role != wire.RoleApplication || role == least {
			out = append(out, role)
		}
	}
	return out
}

func newRoleShowCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "show NAME",
		Short:   "Show what a role allows, one permission a line",
		Example: "  holdfast role show operator\n  holdfast role show deployer -o yaml > deployer.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			r, err := c.Role(ctx, args[0])
			if err != nil {
				return fmt.Errorf("show role %s: %w", clean(args[0]), err)
			}
			return g.print(r, func(w io.Writer) error {
				for _, p := range r.Allow {
					if _, err := fmt.Fprintln(w, clean(p)); err != nil {
						return err
					}
				}
				return nil
			})
		},
		ValidArgsFunction: g.completing(completeRoles),
	}
}

// completing lists the names that may stand for an argument.
type completing func(context.Context, *client.Client) ([]string, error)

// completing completes names that the group knows; it is silent on failure.
func (g *globals) completing(names completing) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		const nothing = cobra.ShellCompDirectiveNoFileComp
		if len(args) > 0 && cmd.Name() != "remove" {
			return nil, nothing
		}
		ctx, c, done, err := g.connect(cmd)
		if err != nil {
			return nil, nothing
		}
		defer done()
		ctx, cancel := context.WithTimeout(ctx, completeTime)
		defer cancel()
		list, err := names(ctx, c)
		if err != nil {
			return nil, nothing
		}
		return list, nothing
	}
}

func completeRoles(ctx context.Context, c *client.Client) (names []string, err error) {
	l, err := c.Roles(ctx, client.Stale())
	if err != nil {
		return nil, err
	}
	for _, r := range l.Roles {
		names = append(names, r.Name)
	}
	return names, nil
}
