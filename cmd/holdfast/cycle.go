package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

// newInstanceCycleCommand is 'holdfast instance cycle'.
func newInstanceCycleCommand(g *globals) *cobra.Command {
	return g.cycleCommand("cycle CLUSTER INSTANCE", "Restart an instance: disable, stop, start, enable, in this order",
		`Restart an instance, for a change that needs it. It is disabled; when its sessions have been served or have had their time, and nothing is in flight any
more, the hooks stop and start are called; when it is healthy, it is enabled. The group carries this out and goes on when nodes die; 'holdfast upgrade
status|pause|resume|abort' are for it too.`,
		`  holdfast instance cycle cluster1 instance1 --hook stop=exec:stop,start=exec:start --wait
  holdfast instance cycle cluster1 instance1 --hook stop=manual`,
		func(args []string) *wire.WorkflowSubject {
			return &wire.WorkflowSubject{Cluster: args[0], Instance: args[1]}
		})
}

// newModuleCycleCommand is 'holdfast module cycle'.
func newModuleCycleCommand(g *globals) *cobra.Command {
	return g.cycleCommand("cycle CLUSTER [HOST]ROOT", "Redeploy a module: disable, undeploy, deploy, enable, in this order",
		`Redeploy a module of a cluster. It is disabled there, so that new sessions go to other clusters that have it; when its sessions have been served or
have had their time, and nothing is in flight any more, the hooks stop and start are called; then it is enabled. The group carries this out and goes on when
nodes die; 'holdfast upgrade status|pause|resume|abort' are for it too.`,
		`  holdfast module cycle cluster1 /fortune --hook stop=exec:undeploy,start=exec:deploy --wait
  holdfast module cycle cluster1 shop.example/fortune --hook start=manual`,
		func(args []string) *wire.WorkflowSubject {
			host, root := splitModule(args[1])
			return &wire.WorkflowSubject{Cluster: args[0], Host: host, ContextRoot: root}
		})
}

// splitModule takes a module's name apart: its host, if it has one, ends at the first slash.
func splitModule(name string) (host, contextRoot string) {
	if at := strings.IndexByte(name, '/'); at >= 0 {
		return name[:at], name[at:]
	}
	return "", name
}

func (g *globals) cycleCommand(use, short, long, example string, subject func(args []string) *wire.WorkflowSubject) *cobra.Command {
	var w workflowFlags
	var wait bool
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example, Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := client.WorkflowRequest{Kind: "cycle", Subject: subject(args)}
			if err := w.fill(cmd.Flags(), &r); err != nil {
				return usageOf(cmd, err)
			}
			if r.Hooks == (wire.WorkflowHooks{}) {
				return usagef(cmd, "--hook is missing: name what stops and starts it, or --hook stop=manual when you do it yourself")
			}
			return g.begin(cmd, r, wait)
		},
	}
	w.add(cmd.Flags(), "stop, start")
	cmd.Flags().BoolVar(&wait, "wait", false, "print every step, return at the end")
	return cmd
}
