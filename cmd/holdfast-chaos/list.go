package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/chaos/fault"
	"github.com/holdfast-lb/holdfast/chaos/scenario"
)

func newListCommand(out io.Writer) *cobra.Command {
	var faults bool
	var format string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the built-in scenarios, or the faults",
		Long:  "List the built-in scenarios with the profiles that they belong to, or the faults that a scenario may name, with what keeps one from being done on this machine.",
		Example: `  holdfast-chaos list
  holdfast-chaos list --faults -o json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if faults {
				return listFaults(out, format)
			}
			return listScenarios(out, format)
		},
	}
	cmd.Flags().BoolVar(&faults, "faults", false, "the faults instead of the scenarios")
	cmd.Flags().StringVarP(&format, "output", "o", "table", "`FORMAT`: table, json or yaml")
	return cmd
}

// listedScenario and listedFault are rows of the lists.
type listedScenario struct {
	Name     string   `json:"name"`
	Profiles []string `json:"profiles"`
	Seconds  float64  `json:"seconds"`
	Nodes    int      `json:"nodes"`
	About    string   `json:"about"`
}

type listedFault struct {
	Name string `json:"name"`
	On   string `json:"on"`
	// Amount says in what it is measured, empty where it is not.
	Amount string `json:"amount,omitempty"`
	About  string `json:"about"`
	// Missing is why it cannot be done here.
	Missing string `json:"missing,omitempty"`
}

func listScenarios(out io.Writer, format string) error {
	all, err := scenario.Builtin()
	if err != nil {
		return err
	}
	list := []listedScenario{}
	var rows [][]string
	for _, s := range all {
		list = append(list, listedScenario{s.Name, append([]string{}, s.Profiles...), s.Length.Seconds(), s.Group.Nodes, s.About})
		rows = append(rows, []string{s.Name, strings.Join(s.Profiles, " "), s.Length.String(), s.About})
	}
	return show(out, format, list, "SCENARIO\tPROFILES\tLENGTH\tWHAT", rows)
}

func listFaults(out io.Writer, format string) error {
	list := []listedFault{}
	var rows [][]string
	for _, f := range fault.All() {
		row := listedFault{Name: f.Name, On: string(f.Kind), Amount: string(f.Measure), About: f.About}
		// As large a group as any scenario's: what only a small one lacks is no fault of the machine.
		if err := f.Available(fault.Place{Substrate: cmp.Or(f.Only, fault.Loopback), Nodes: 7, Disks: true}); err != nil {
			row.Missing = err.Error()
		}
		list = append(list, row)
		about := f.About
		if f.Measure != fault.None {
			about += " (" + string(f.Measure) + ")"
		}
		if row.Missing != "" {
			about = "NOT HERE: " + row.Missing
		}
		rows = append(rows, []string{f.Name, string(f.Kind), about})
	}
	return show(out, format, list, "FAULT\tON\tWHAT", rows)
}

// show prints a list as a table, JSON or YAML.
func show(out io.Writer, format string, list any, head string, rows [][]string) error {
	switch format {
	case "table":
		w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
		_, _ = fmt.Fprintln(w, head)
		for _, r := range rows {
			_, _ = fmt.Fprintln(w, strings.Join(r, "\t"))
		}
		return w.Flush()
	case "json", "yaml":
		data, err := json.MarshalIndent(list, "", "  ")
		if err == nil && format == "yaml" {
			data, err = yaml.JSONToYAML(data)
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(out, strings.TrimRight(string(data), "\n"))
		return err
	}
	return usagef("-o %s: want one of table, json, yaml", format)
}
