package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// nowFlag is --now of the commands that change the whole configuration.
func nowFlag(cmd *cobra.Command, now *string) {
	cmd.Flags().StringVar(now, "now", "", "what is stopped at once instead of quiescing: all that is disabled by it, or `WHAT` as in cluster1/instance1,cluster1:/fortune")
	cmd.Flags().Lookup("now").NoOptDefVal = "all"
}

// applying is what config apply is told.
type applying struct {
	changeFlags
	file string
	now  string
	wait time.Duration
}

func newConfigApplyCommand(g *globals) *cobra.Command {
	var ch applying
	cmd := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Make a file the group's configuration",
		Long: `Make a file (YAML or JSON) the group's whole configuration. It is checked first, and every fault is reported with its line and column. The change
is compare-and-swap: when somebody else has changed the configuration since the expected revision, nothing happens and the exit status is 3.

What was enabled and is not any more quiesces, unless --now names it. What the change does to what runs is printed; 'config plan' says it before.
With --at the change waits for its time; when the configuration is another one by then, nothing is applied.`,
		Example: `  holdfast config apply -f shop.yaml
  holdfast config apply -f shop.yaml --expect 3 --wait --message "third instance"
  holdfast config apply -f shop.yaml --at 2026-12-01T02:00:00Z
  generate-config | holdfast config apply -f -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if ch.file == "" {
				return usagef(cmd, "-f is missing: name the configuration file, or - for standard input")
			}
			if err := errors.Join(ch.check(cmd, time.Now()), g.checkApplied(cmd, &ch.wait)); err != nil {
				return err
			}
			if ch.wait > 0 && ch.at != "" {
				return usagef(cmd, "--wait and --at exclude each other: nothing is applied before its time")
			}
			return g.applyConfig(cmd, ch)
		},
	}
	cmd.Flags().StringVarP(&ch.file, "file", "f", "", "the configuration `FILE`; -: standard input")
	ch.add(cmd)
	cmd.Flags().Lookup("expect").Usage = "the `REVISION` that the change was made from (default: the current one)"
	nowFlag(cmd, &ch.now)
	appliedFlag(cmd, &ch.wait)
	return cmd
}

func (g *globals) applyConfig(cmd *cobra.Command, ch applying) error {
	data, err := g.readConfig(ch.file)
	if err != nil {
		return err
	}
	ctx, c, done, err := g.connect(cmd)
	if err != nil {
		return err
	}
	defer done()
	o, err := ch.options(cmd)
	if err != nil {
		return err
	}
	if !o.Pinned {
		current, err := c.Config(ctx, client.JSON)
		if err != nil {
			return fmt.Errorf("read the current revision: %w", err)
		}
		o.Expect = current.Revision
	}
	put := client.PutConfig{Data: data, Expect: o.Expect, Message: ch.message, Wait: ch.wait, Now: ch.now, At: o.At, Owner: o.Owner}
	if put.Lock, err = ch.lockID(ctx, cmd, c); err != nil {
		return err
	}
	res, err := c.PutConfig(ctx, put)
	if err != nil {
		return fmt.Errorf("apply configuration: %w", err)
	}
	g.warn(res.Warnings)
	if err := g.print(res, func(w io.Writer) error { return writeResult(w, res) }); err != nil {
		return err
	}
	return behind(res, ch.wait)
}

// readConfig reads a configuration file and checks it, with line and column.
func (g *globals) readConfig(file string) ([]byte, error) {
	data, err := g.readInput(file, maxConfigFile)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if _, err := config.Parse(fileName(file), data); err != nil {
		return nil, err
	}
	return data, nil
}
