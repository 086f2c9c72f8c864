package main

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
)

// nodeCommands run nodes and what goes with them; they take no --admin and no --token.
func nodeCommands() []*cobra.Command {
	return []*cobra.Command{
		newServeCommand(), newVIPGuardCommand(), newVIPHookCommand(),
		newDemoCommand(),
		newSampleCommand(), newSampleSessionsCommand(),
	}
}

// operatorCommands talk to a running group, or need none.
func operatorCommands(g *globals) []*cobra.Command {
	return []*cobra.Command{
		newQuickstartCommand(g),
		newInitCommand(g),
		newStatusCommand(g),
		newConfigCommand(g),
		newClusterCommand(g),
		newInstanceCommand(g),
		newModuleCommand(g),
		newQuiesceCommand(g),
		newMaintenanceCommand(g),
		newImportCommand(g),
		newExportCommand(g),
		newSessionCommand(g),
		newUpgradeCommand(g), newUpgradeBinaryCommand(g),
		newEventsCommand(g),
		newTokenCommand(g), newUserCommand(g), newUserGroupCommand(g), newRoleCommand(g), newIssuerCommand(g), newWhoamiCommand(g), newAuditCommand(g),
		newCertCommand(g),
		newFileCommand(g),
		newKVCommand(g),
		newNodeCommand(g),
		newBackupCommand(g),
		newStandbyCommand(g),
		newPromoteCommand(g),
		newRecoverCommand(g),
		newDoctorCommand(g),
		newJobsCommand(g),
		newVersionCommand(g),
	}
}

// newVersionCommand prints what --version prints: people try both.
func newVersionCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this program",
		Example: "  holdfast version",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(g.out, "holdfast %s\n", cmd.Root().Version)
			return err
		},
	}
}

func newRootCommand(g *globals) *cobra.Command {
	root := &cobra.Command{
		Use:   "holdfast",
		Short: "A highly available load balancer whose sticky sessions survive everything",
		Long: `Holdfast is a highly available load balancer whose sticky sessions survive everything. Three or five nodes form one group that replicates the
assignment of every session; any node serves any request, and losing one loses nothing.

Exit status: 0 done, 1 failed, 2 wrong usage, 3 refused by the state of the group (somebody was faster, the maintenance lock, no quorum),
of serve also 4 the node's disk is in doubt.`,
		Example: `  holdfast init --group shop                    # the string that the first nodes are started with
  holdfast serve --name n1 --bootstrap          # run a node
  holdfast config apply -f shop.yaml --wait     # give the group its configuration
  holdfast status                               # everything on one screen`,
		Version:          fmt.Sprintf("%s %s %s/%s", version, runtime.Version(), runtime.GOOS, runtime.GOARCH),
		Args:             cobra.ArbitraryArgs,
		RunE:             groupOnly,
		SilenceErrors:    true,
		SilenceUsage:     true,
		TraverseChildren: true, // 'holdfast -o json status' is the same as 'holdfast status -o json'
	}
	root.SetVersionTemplate("holdfast {{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usageOf(cmd, err) })
	g.clientFlags(root.Flags())
	g.outputFlag(root.Flags())
	root.AddCommand(nodeCommands()...)
	root.AddCommand(operatorCommands(g)...)
	usageExit(root)
	help := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		if wanted := cmd.Flags().Args(); cmd.HasSubCommands() && len(wanted) > 0 { // 'holdfast node replace --help'
			g.noHelp = groupOnly(cmd, wanted)
			return
		}
		help(cmd, args)
	})
	return root
}

// otherWays says how to do what people look for under another name.
var otherWays = map[string]string{
	"holdfast node replace": "let the new node join ('holdfast token create --role node', then 'holdfast serve --join'), and then 'holdfast node remove' the old one; a node that has lost its disk joins under its old name and takes its own place",
	"holdfast node add":     "start it with 'holdfast serve --join' and a token of 'holdfast token create --role node'",
	"holdfast node join":    "start it with 'holdfast serve --join' and a token of 'holdfast token create --role node'",
}

// usageExit makes every wrong argument of cmd and its sub-commands an error of usage, exit status 2.
func usageExit(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			err := check(cmd, args)
			switch {
			case err == nil:
				return nil
			case len(args) > 0 && !cmd.HasSubCommands() && check(cmd, nil) == nil:
				return usageOf(cmd, surplus(cmd, args))
			}
			return usageOf(cmd, argumentsOf(cmd, len(args), err))
		}
	}
	for _, sub := range cmd.Commands() {
		usageExit(sub)
	}
}

// argumentsOf says which arguments a command wants, where cobra only counts them.
func argumentsOf(cmd *cobra.Command, given int, err error) error {
	_, names, _ := strings.Cut(cmd.Use, " ")
	names, _, _ = strings.Cut(names, " -") // flags that must be given are no arguments
	if !strings.Contains(err.Error(), "arg(s)") || names == "" || names[0] == '-' {
		return err
	}
	return fmt.Errorf("want %s, got %s", names, count(given, "argument"))
}

// surplus says what an argument too many was probably meant as.
func surplus(cmd *cobra.Command, args []string) error {
	text := fmt.Sprintf("%q is an argument too many", args[len(args)-1])
	if file := cmd.Flags().Lookup("file"); file != nil && !file.Changed {
		text += "; name the file with -f"
	}
	if wait := cmd.Flags().Lookup("wait"); wait != nil && wait.Changed {
		text += "; a time goes with an equals sign, as in --wait=5s"
	}
	return fmt.Errorf("%s", text)
}

// groupOnly is what a command that only holds sub-commands does: alone it shows its help; anything else is a typing error.
func groupOnly(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		if err := cmd.Help(); err != nil || !cmd.HasParent() {
			return err
		}
		return usageOf(cmd, fmt.Errorf("which of them? Name a sub-command"))
	}
	text := fmt.Sprintf("there is no command %q", args[0])
	if way := otherWays[cmd.CommandPath()+" "+args[0]]; way != "" {
		return usageOf(cmd, fmt.Errorf("%s: %s", text, way))
	}
	if cmd.SuggestionsMinimumDistance <= 0 {
		cmd.SuggestionsMinimumDistance = 2
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return usageOf(cmd, fmt.Errorf("%s", text))
}
