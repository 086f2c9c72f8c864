package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// maxConfigFile is what the admin API takes, in bytes.
const maxConfigFile = 4 << 20

func newConfigCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "The group's configuration and its revisions",
		Example: `  holdfast config show > shop.yaml
  holdfast config validate shop.yaml
  holdfast config apply -f shop.yaml --wait`,
		Args: cobra.ArbitraryArgs,
		RunE: groupOnly,
	}
	cmd.AddCommand(newConfigApplyCommand(g), newConfigShowCommand(g), newConfigValidateCommand(g), newConfigHistoryCommand(g))
	return g.operator(cmd)
}

// change is what config apply is told.
type change struct {
	file    string
	expect  int64
	message string
	wait    time.Duration
}

func newConfigApplyCommand(g *globals) *cobra.Command {
	var ch change
	cmd := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Make a file the group's configuration",
		Long: `Make a file (YAML or JSON) the group's whole configuration. It is checked first, and every fault is reported with its line and column. The change
is compare-and-swap: when somebody else has changed the configuration since the expected revision, nothing happens and the exit status is 3.`,
		Example: `  holdfast config apply -f shop.yaml
  holdfast config apply -f shop.yaml --expect 3 --wait --message "third instance"
  generate-config | holdfast config apply -f -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case ch.file == "":
				return usagef(cmd, "-f is missing: name the configuration file, or - for standard input")
			case cmd.Flags().Changed("expect") && ch.expect < 0:
				return usagef(cmd, "--expect %d: a revision is 0 or more", ch.expect)
			case ch.wait < 0 || ch.wait > 0 && ch.wait < time.Second || ch.wait > time.Minute:
				return usagef(cmd, "--wait=%v: want 1s to 1m", ch.wait)
			}
			if !cmd.Flags().Changed("expect") {
				ch.expect = -1
			}
			return g.applyConfig(cmd, ch)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&ch.file, "file", "f", "", "the configuration `FILE`; -: standard input")
	f.Int64Var(&ch.expect, "expect", 0, "the `REVISION` that the change was made from (default: the current one)")
	f.StringVarP(&ch.message, "message", "m", "", "`TEXT` for the history: why")
	f.DurationVar(&ch.wait, "wait", 0, "wait until every node has applied it, this `TIME` at most")
	f.Lookup("wait").NoOptDefVal = "30s"
	return cmd
}

func (g *globals) applyConfig(cmd *cobra.Command, ch change) error {
	data, err := g.readInput(ch.file, maxConfigFile)
	if err != nil {
		return fmt.Errorf("apply configuration: %w", err)
	}
	if _, err := config.Parse(fileName(ch.file), data); err != nil {
		return err
	}
	g.timeout = max(g.timeout, ch.wait+defaultTimeout)
	ctx, c, done, err := g.connect(cmd)
	if err != nil {
		return err
	}
	defer done()
	if ch.expect < 0 {
		current, err := c.Config(ctx, client.JSON)
		if err != nil {
			return fmt.Errorf("read the current revision: %w", err)
		}
		ch.expect = int64(current.Revision)
	}
	res, err := c.PutConfig(ctx, client.PutConfig{Data: data, Expect: uint64(ch.expect), Message: ch.message, Wait: ch.wait})
	if err != nil {
		return fmt.Errorf("apply configuration: %w", err)
	}
	for _, w := range res.Warnings {
		fmt.Fprintf(g.err, "warning: %s\n", clean(w))
	}
	err = g.print(res, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, outcome(res))
		return err
	})
	if err == nil && ch.wait > 0 && res.AppliedBy != "all" {
		return fmt.Errorf("revision %d is the group's configuration, but not every node has applied it within %v; 'holdfast status' shows which", res.Revision, ch.wait)
	}
	return err
}

// outcome says in one line what became of a change.
func outcome(r *client.ConfigResult) string {
	by := "a majority of the nodes"
	if r.AppliedBy == "all" {
		by = "all nodes"
	}
	if r.Unchanged {
		return fmt.Sprintf("revision %d is this configuration already, applied at index %d on %s", r.Revision, r.Index, by)
	}
	return fmt.Sprintf("revision %d applied at index %d on %s", r.Revision, r.Index, by)
}

// fileName is how faults name the input.
func fileName(file string) string {
	if file == "-" {
		return "<stdin>"
	}
	return file
}

func newConfigShowCommand(g *globals) *cobra.Command {
	var revision int64
	var stale bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print the configuration with every default written out",
		Long:  `Print the configuration with every default written out, as YAML that can be edited and applied again; -o json prints JSON.`,
		Example: `  holdfast config show > shop.yaml
  holdfast config show --revision 2 -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			format := client.YAML
			if g.output == "json" {
				format = client.JSON
			}
			var opts []client.ReadOption
			if stale {
				opts = append(opts, client.Stale())
			}
			var doc *client.Config
			switch {
			case cmd.Flags().Changed("revision") && revision < 0:
				return usagef(cmd, "--revision %d: a revision is 0 or more", revision)
			case cmd.Flags().Changed("revision"):
				doc, err = c.ConfigAt(ctx, uint64(revision), format, opts...)
			default:
				doc, err = c.Config(ctx, format, opts...)
			}
			if err != nil {
				return fmt.Errorf("show configuration: %w", err)
			}
			fmt.Fprintf(g.err, "revision %d\n", doc.Revision)
			_, err = g.out.Write(append(bytes.TrimRight(doc.Data, "\n"), '\n'))
			return err
		},
	}
	cmd.Flags().Int64Var(&revision, "revision", 0, "an earlier `REVISION` (default: the current one)")
	cmd.Flags().BoolVar(&stale, "stale", false, "what the node knows by itself, without asking the leader")
	return cmd
}

// checked is the outcome of config validate for one file.
type checked struct {
	File     string         `json:"file"`
	Valid    bool           `json:"valid"`
	Errors   []config.Error `json:"errors"`
	Warnings []string       `json:"warnings"`
}

func newConfigValidateCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "validate FILE...",
		Short: "Check configuration files, without a running group",
		Example: `  holdfast config validate shop.yaml
  holdfast config validate -o json shop.yaml test.yaml
  generate-config | holdfast config validate -`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			if err := g.checkOutput(cmd); err != nil {
				return err
			}
			var results []checked
			var faults config.Errors
			for _, file := range files {
				data, err := g.readInput(file, maxConfigFile)
				if err != nil {
					return fmt.Errorf("validate configuration: %w", err)
				}
				r := check(fileName(file), data)
				faults = append(faults, r.Errors...)
				results = append(results, r)
			}
			err := g.print(results, func(w io.Writer) error {
				for _, r := range results {
					for _, text := range r.Warnings {
						fmt.Fprintf(g.err, "warning: %s: %s\n", clean(r.File), clean(text))
					}
					if r.Valid {
						fmt.Fprintf(w, "%s is valid\n", clean(r.File))
					}
				}
				return nil
			})
			if err == nil && len(faults) > 0 {
				return faults
			}
			return err
		},
	}
}

func check(name string, data []byte) checked {
	r := checked{File: name, Errors: []config.Error{}, Warnings: []string{}}
	c, err := config.Parse(name, data)
	var faults config.Errors
	switch {
	case err == nil:
		r.Valid = true
		r.Warnings = append(r.Warnings, c.Warnings()...)
	case errors.As(err, &faults):
		r.Errors = faults
	default:
		r.Errors = append(r.Errors, config.Error{File: name, Message: err.Error()})
	}
	return r
}

func newConfigHistoryCommand(g *globals) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "history",
		Short: "List the revisions, the newest first",
		Example: `  holdfast config history
  holdfast config history --limit 5 -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > 1000 {
				return usagef(cmd, "--limit %d: want 1 to 1000", limit)
			}
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			list, err := c.History(ctx, limit)
			if err != nil {
				return fmt.Errorf("list revisions: %w", err)
			}
			return g.print(wire.History{Revisions: list}, func(w io.Writer) error {
				t := g.table("REVISION>", "INDEX>", "TIME", "BY", "MESSAGE")
				for _, r := range list {
					t.row(r.Number, r.Index, when(r.Time), orDash(r.Actor), orDash(r.Message))
				}
				return t.write(w)
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 20, "at most `N` revisions")
	return cmd
}
