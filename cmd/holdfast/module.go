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

func newModuleCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "module",
		Short: "The modules (web applications) of clusters: add, change, enable, disable and remove them",
		Long: `The modules of clusters: a context root, and a host when the module has one. To disable one on a cluster starts its quiesce there: new sessions go to
other clusters that have it, assigned requests go on until the deadline.`,
		Example: `  holdfast module add cluster1 /fortune --quiesce-timeout 10m
  holdfast module disable cluster1 /fortune --wait`,
		Args: cobra.ArbitraryArgs,
		RunE: groupOnly,
	}
	cmd.AddCommand(newModuleCycleCommand(g), newModuleListCommand(g), newModuleShowCommand(g), newModuleAddCommand(g), newModuleSetCommand(g), newModuleEnableCommand(g),
		newModuleDisableCommand(g), newModuleRemoveCommand(g))
	return g.operator(cmd)
}

// hostFlag says which host's module is meant.
func hostFlag(cmd *cobra.Command, host *string) {
	cmd.Flags().StringVar(host, "host", "", "the `HOST` of the module, when it has one")
}

// moduleFields are the flags for the values of a module.
func moduleFields(cmd *cobra.Command, idempotent *[]string) *fieldFlags {
	f := &fieldFlags{}
	f.duration(cmd, "quiesce-timeout", "quiesceTimeout", "how long it quiesces at most, as in 31m; default: the cluster's `TIME`")
	f.boolean(cmd, "replicated", "replicated", "whether the application's sessions survive the end of their instance")
	f.number(cmd, "retries", "retries", "`N` other instances are tried when one does not accept a request; -1: all")
	f.text(cmd, "on-session-lost", "onSessionLost", "with --replicated=false, when an instance is gone: `WHAT` becomes of its sessions, reassign or refuse")
	f.text(cmd, "when-disabled", "whenDisabled", "`WHAT` requests get when no cluster has it enabled: unavailable (503) or not-found (404)")
	cmd.Flags().StringArrayVar(idempotent, "idempotent", nil, "`PATTERN[=N]` of requests that may be sent again, to N other instances (default: all), as in /status/*=2")
	f.any(cmd)
	return f
}

// moduleValues are the given values.
func moduleValues(cmd *cobra.Command, f *fieldFlags, idempotent []string) (map[string]any, error) {
	values, err := f.given(cmd)
	if err != nil || !cmd.Flags().Changed("idempotent") {
		return values, err
	}
	list, err := patterns(cmd, idempotent)
	values["idempotent"] = list
	return values, err
}

// moduleChange is what the commands for modules have in common that make one edit of each.
type moduleChange struct {
	changeFlags
	host string
	wait time.Duration
}

func (m *moduleChange) flags(cmd *cobra.Command, g *globals, names namesOf) {
	m.add(cmd)
	hostFlag(cmd, &m.host)
	appliedFlag(cmd, &m.wait)
	cmd.ValidArgsFunction = g.completeNames(names, &m.host)
}

// run makes the edit op of each module; stopped guards it.
func (m *moduleChange) run(g *globals, cmd *cobra.Command, op string, args []string, values map[string]any, stopped bool) error {
	if err := errors.Join(m.check(cmd, time.Now()), g.checkApplied(cmd, &m.wait)); err != nil {
		return err
	}
	ctx, c, done, err := g.connect(cmd)
	if err != nil {
		return err
	}
	defer done()
	var e client.Edits
	for _, root := range args[1:] {
		e.Edits = append(e.Edits, moduleEdit(op, args[0], m.host, root, values))
		if stopped {
			e.Stopped = append(e.Stopped, client.Subject{Cluster: args[0], Host: m.host, ContextRoot: root})
		}
	}
	return g.apply(ctx, cmd, c, &m.changeFlags, m.wait, fmt.Sprintf("%s module %s", op, clean(listOf(args[1:]))), e)
}

func newModuleAddCommand(g *globals) *cobra.Command {
	var m moduleChange
	var idempotent []string
	var disabled bool
	cmd := &cobra.Command{
		Use:   "add CLUSTER CONTEXTROOT",
		Short: "Add a module to a cluster",
		Example: `  holdfast module add cluster1 /fortune
  holdfast module add cluster1 /api --host api.example.com --retries -1 --idempotent '/search/*=2'`,
		Args: cobra.ExactArgs(2),
	}
	fields := moduleFields(cmd, &idempotent)
	cmd.Flags().BoolVar(&disabled, "disabled", false, "it gets no requests until 'holdfast module enable'")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		values, err := moduleValues(cmd, fields, idempotent)
		if err != nil {
			return err
		}
		if disabled {
			values["enabled"] = false
		}
		return m.run(g, cmd, "add", args, values, false)
	}
	m.flags(cmd, g, nil)
	return cmd
}

func newModuleSetCommand(g *globals) *cobra.Command {
	var m moduleChange
	var idempotent []string
	cmd := &cobra.Command{
		Use:   "set CLUSTER CONTEXTROOT...",
		Short: "Change values of modules; those that are not given stay as they are",
		Example: `  holdfast module set cluster1 /fortune --quiesce-timeout 5m
  holdfast module set cluster1 /fortune --replicated=false --on-session-lost refuse`,
		Args: cobra.MinimumNArgs(2),
	}
	fields := moduleFields(cmd, &idempotent)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		values, err := moduleValues(cmd, fields, idempotent)
		if err != nil {
			return err
		}
		if len(values) == 0 {
			return nothingToSet(cmd)
		}
		return m.run(g, cmd, "set", args, values, false)
	}
	m.flags(cmd, g, moduleNames)
	return cmd
}

func newModuleEnableCommand(g *globals) *cobra.Command {
	var m moduleChange
	cmd := &cobra.Command{
		Use:     "enable CLUSTER CONTEXTROOT...",
		Short:   "Enable modules: they get unassigned requests again; a quiesce that runs is cancelled",
		Example: "  holdfast module enable cluster1 /fortune",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return m.run(g, cmd, "enable", args, nil, false)
		},
	}
	m.flags(cmd, g, moduleNames)
	return cmd
}

func newModuleRemoveCommand(g *globals) *cobra.Command {
	var m moduleChange
	var force bool
	cmd := &cobra.Command{
		Use:   "remove CLUSTER CONTEXTROOT...",
		Short: "Remove modules that are disabled and quiesced",
		Example: `  holdfast module disable cluster1 /fortune --wait && holdfast module remove cluster1 /fortune
  holdfast module remove cluster1 /fortune --force`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return stillRuns(m.run(g, cmd, "remove", args, nil, !force), force)
		},
	}
	m.flags(cmd, g, moduleNames)
	cmd.Flags().BoolVar(&force, "force", false, "also while they are enabled or quiescing")
	return cmd
}

func newModuleDisableCommand(g *globals) *cobra.Command {
	var s stopping
	var host string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:     "disable CLUSTER CONTEXTROOT...",
		Aliases: []string{"drain"},
		Short:   "Disable modules on a cluster: they quiesce there until their sessions are gone or the time is over",
		Long: `Disable modules on a cluster. Unassigned requests go to the other clusters that have them; assigned ones go on until the deadline, quiesceTimeout after
now. --timeout sets quiesceTimeout along with it, and stays. With --wait the command returns when the module can be undeployed.`,
		Example: `  holdfast module disable cluster1 /fortune --wait && undeploy fortune
  holdfast module disable cluster1 /fortune --host www.example.com --timeout 5m`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			values, err := checkTimeout(cmd, timeout)
			if err != nil {
				return err
			}
			var e client.Edits
			var subjects []client.Subject
			for _, root := range args[1:] {
				if values != nil {
					e.Edits = append(e.Edits, moduleEdit("set", args[0], host, root, values))
				}
				e.Edits = append(e.Edits, moduleEdit("disable", args[0], host, root, nil))
				subjects = append(subjects, client.Subject{Cluster: args[0], Host: host, ContextRoot: root})
			}
			return g.runStopping(cmd, &s, "disable module "+clean(listOf(args[1:])), e, subjects)
		},
	}
	s.flags(cmd)
	hostFlag(cmd, &host)
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "how long they quiesce at most: sets quiesceTimeout to `TIME`")
	cmd.ValidArgsFunction = g.completeNames(moduleNames, &host)
	return cmd
}

// stillRuns says what to do when the group refuses to remove what is not stopped.
func stillRuns(err error, forced bool) error {
	var p *client.Problem
	if !forced && errors.As(err, &p) && p.Code == "refused" {
		return fmt.Errorf("%w Disable it and wait ('disable --wait'), or remove it with --force", err)
	}
	return err
}

// listedModule is a module with the cluster that it is on, as list prints it.
type listedModule struct {
	Cluster string `json:"cluster"`
	client.Module
}

func newModuleListCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "list [CLUSTER]",
		Short: "List the modules with their state, sessions and requests in flight",
		Example: `  holdfast module list
  holdfast module list cluster1 -o json`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: g.completeNames(nil, nil),
		RunE: func(cmd *cobra.Command, args []string) error {
			clusters, err := g.clusters(cmd, args)
			if err != nil {
				return err
			}
			list := []listedModule{}
			for _, cl := range clusters {
				for _, m := range cl.Modules {
					list = append(list, listedModule{cl.Name, m})
				}
			}
			return g.print(list, func(w io.Writer) error {
				t := g.table("CLUSTER", "HOST", "CONTEXT ROOT", "ADMIN", "SESSIONS>", "IN FLIGHT>")
				for _, m := range list {
					t.row(m.Cluster, orDash(m.Host), m.ContextRoot, adminCell(m.Admin), m.Sessions, m.InFlight)
				}
				return t.write(w)
			})
		},
	}
}

func newModuleShowCommand(g *globals) *cobra.Command {
	var host string
	cmd := &cobra.Command{
		Use:     "show CLUSTER CONTEXTROOT",
		Short:   "Show one module: its values and its quiesce",
		Example: "  holdfast module show cluster1 /fortune -o yaml",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, conf, cl, err := g.showCluster(cmd, args[0])
			if err != nil {
				return err
			}
			out := shown[*config.Module, *client.Module]{}
			for i := range cl.Modules {
				if m := &cl.Modules[i]; m.Host == host && m.ContextRoot == args[1] {
					out.Status = m
				}
			}
			if out.Status == nil {
				return fmt.Errorf("cluster %s has no module %s; 'holdfast module list %s' lists them", clean(args[0]), clean(host+args[1]), clean(args[0]))
			}
			for i := range conf.Clusters {
				for j := range conf.Clusters[i].Modules {
					if m := &conf.Clusters[i].Modules[j]; conf.Clusters[i].Name == args[0] && m.Host == host && m.ContextRoot == args[1] {
						out.Config = m
					}
				}
			}
			return g.print(out, func(w io.Writer) error { return writeModule(w, s, args[0], &out) })
		},
	}
	hostFlag(cmd, &host)
	cmd.ValidArgsFunction = g.completeNames(moduleNames, &host)
	return cmd
}

func writeModule(w io.Writer, s *client.Status, cluster string, out *shown[*config.Module, *client.Module]) error {
	m := out.Status
	t := pairs{w: w}
	t.line("module", m.Host+m.ContextRoot+" of cluster "+cluster)
	t.line("state", m.Admin)
	for _, q := range s.Quiesces {
		if q.Cluster == cluster && q.Instance == "" && q.Host == m.Host && q.ContextRoot == m.ContextRoot {
			t.line("quiesce", quiesceLine(&q))
		}
	}
	t.line("sessions", m.Sessions)
	t.line("in flight", m.InFlight)
	if c := out.Config; c != nil {
		t.line("quiesce time-out", c.QuiesceTimeout)
		t.line("replicated", c.Replicated)
		t.line("retries", c.Retries)
		t.line("session lost", c.OnSessionLost)
		t.line("when disabled", c.WhenDisabled)
		for _, p := range c.Idempotent {
			t.line("idempotent", fmt.Sprintf("%s, %d retries", p.Pattern, p.Retries))
		}
	}
	return t.err
}
