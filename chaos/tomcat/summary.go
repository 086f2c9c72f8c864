package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

type row struct {
	mode, phase                   string
	requests, retried, violations int
	longest, took                 time.Duration
}

// summary is the table at the end.
type summary struct {
	rows       []row
	violations int
}

// print writes the table; the error says that a promise was broken.
func (s *summary) print(w io.Writer, took time.Duration) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(table, "\nsession ids\tphase\trequests\tfailed\tretried by the client\tchanged or lost\tlongest wait\tseconds\t")
	for _, r := range s.rows {
		longest := "-"
		if r.longest > 0 {
			longest = fmt.Sprintf("%d ms", r.longest.Milliseconds())
		}
		// A failed request ends the run, so a table that is printed has none.
		_, _ = fmt.Fprintf(table, "%s\t%s\t%d\t0\t%d\t%d\t%s\t%.1f\t\n", r.mode, r.phase, r.requests, r.retried, r.violations, longest, r.took.Seconds())
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if s.violations > 0 {
		return fmt.Errorf("%d promises broken in %.1f s", s.violations, took.Seconds())
	}
	_, err := fmt.Fprintf(w, "\n0 sessions changed their instance, 0 attributes lost, %.1f s\n", took.Seconds())
	return err
}
