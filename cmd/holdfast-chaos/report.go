package main

import (
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/chaos/record"
	"github.com/holdfast-lb/holdfast/chaos/report"
)

func newReportCommand(out io.Writer) *cobra.Command {
	var table bool
	cmd := &cobra.Command{
		Use:   "report DIR|run.json...",
		Short: "Make the reports again from the records of runs",
		Long: `Make report.html, junit.xml and summary.json from the run.json files in and below DIR, which a run does by itself at its end. Several parts of one soak run become one report.

A run that is there several times, in copies of a folder, counts once.

With --table, print a table of the faults in Markdown: how often each happened, how often another one was there meanwhile, and the outage, median and worst; below it runs, seeds, programs
and sums. Runs that could not be played to the end or were interrupted are not in it.`,
		Example: `  holdfast-chaos report chaos-out
  holdfast-chaos report --table soak-1 soak-2`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			runs, err := readRuns(args)
			if err != nil {
				return err
			}
			if table {
				_, err := io.WriteString(out, report.Markdown(runs))
				return err
			}
			dir := args[0]
			if isFile(dir) {
				dir = filepath.Dir(dir)
			}
			if err := writeReports(dir, runs); err != nil {
				return err
			}
			_, err = fmt.Fprintf(out, "%s: report.html, junit.xml, summary.json of %d runs\n", dir, len(runs))
			return err
		},
	}
	cmd.Flags().BoolVar(&table, "table", false, "print the table of faults instead")
	return cmd
}

// readRuns reads all records in and below the folders, in the order in which they began.
func readRuns(args []string) ([]*record.Run, error) {
	var runs []*record.Run
	for _, arg := range args {
		err := filepath.WalkDir(arg, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && d.Name() == "stage" { // data directories of nodes
				return filepath.SkipDir
			}
			if d.IsDir() || d.Name() != "run.json" && path != arg {
				return nil
			}
			r, err := record.Read(path)
			if err == nil {
				runs = append(runs, r)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if len(runs) == 0 {
		return nil, fmt.Errorf("no run.json in or below %s", strings.Join(args, ", "))
	}
	slices.SortStableFunc(runs, func(a, b *record.Run) int { return a.Began.Compare(b.Began) })
	return once(runs), nil
}

// once leaves out copies: a run is told by its scenario, its seed and the nanosecond in which it began.
func once(runs []*record.Run) (list []*record.Run) {
	type key struct {
		scenario string
		seed     uint64
		began    int64
	}
	seen := map[key]bool{}
	for _, r := range runs {
		k := key{r.Scenario, r.Seed, r.Began.UnixNano()}
		if !r.Began.IsZero() && seen[k] {
			continue
		}
		seen[k] = true
		list = append(list, r)
	}
	return list
}
