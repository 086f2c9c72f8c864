package main

import (
	"github.com/spf13/cobra"
)

// maxConfigFile is what the admin API takes, in bytes.
const maxConfigFile = 4 << 20

func newConfigCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "The group's configuration and its revisions",
		Example: `  holdfast config show > shop.yaml
  holdfast config validate shop.yaml
  holdfast config plan -f shop.yaml
  holdfast config apply -f shop.yaml --wait
  holdfast config rollback 3`,
		Args: cobra.ArbitraryArgs,
		RunE: groupOnly,
	}
	cmd.AddCommand(newConfigApplyCommand(g), newConfigPlanCommand(g), newConfigShowCommand(g), newConfigValidateCommand(g), newConfigHistoryCommand(g),
		newConfigRollbackCommand(g), newConfigSchedulesCommand(g))
	return g.operator(cmd)
}

// fileName is how faults name the input.
func fileName(file string) string {
	if file == "-" {
		return "<stdin>"
	}
	return file
}
