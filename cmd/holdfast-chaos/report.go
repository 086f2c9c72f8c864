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

With --table, print the table of faults as docs/RELIABILITY.md has it: how often each happened, and the outage, median and worst.`,
		Example: `  holdfast-chaos report chaos-out
  holdfast-chaos report --table soak-1 soak-2`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			runs, err := readRuns(args)
			if err != nil {
				return err
			}
			if table {
				_, err := io.WriteString(out, faultTable(runs))
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
	return runs, nil
}

// faultTable is the table of faults in Markdown, and what it is made of.
func faultTable(runs []*record.Run) string {
	s := summarise(runs)
	return report.Markdown(runs) + fmt.Sprintf("\n%d runs, %d sessions, %d requests of which %d failed, %d faults.\n", s.Runs, s.Sessions, s.Requests, s.Failed, s.Faults)
}
