package main

import (
	"fmt"
	"io"

	entries "github.com/holdfast-lb/holdfast/migrate/report"
)

// show prints the report; more goes behind the table.
func (j *importJob) show(v imported, more func(w io.Writer) error) error {
	for _, e := range v.Entries {
		if e.Status == entries.Error {
			fmt.Fprintln(j.g.err, clean(e.String()))
		}
	}
	for _, note := range v.Notes {
		fmt.Fprintf(j.g.err, "note: %s\n", clean(note))
	}
	return j.g.print(v, func(w io.Writer) error {
		if err := reportTable(j.g, v.Report, w); err != nil || more == nil {
			return err
		}
		return more(w)
	})
}

// reportTable prints a report for people: where everything went, then why it is not the same.
func reportTable(g *globals, r *entries.Report, w io.Writer) error {
	styles := map[entries.Status]style{entries.Mapped: good, entries.Approximated: warning, entries.Error: bad}
	t := g.table("PLACE>", "STATUS", "WHAT", "BECOMES")
	for _, e := range r.Entries {
		t.row(placeOf(r, e), cell{string(e.Status), styles[e.Status]}, e.What, orDash(e.Key))
	}
	if err := t.write(w); err != nil {
		return err
	}
	for _, status := range []entries.Status{entries.Approximated, entries.Ignored} {
		if r.Count(status) > 0 {
			fmt.Fprintf(w, "\n%s:\n", status)
		}
		for _, e := range r.Entries {
			if e.Status == status {
				fmt.Fprint(w, wrap(fmt.Sprintf("%s %s: %s", placeOf(r, e), e.What, e.Why), "  ", "    "))
			}
		}
	}
	_, err := fmt.Fprintf(w, "\n%s\n", r.Summary())
	return err
}

// placeOf gives line:column, with the file when there are several.
func placeOf(r *entries.Report, e entries.Entry) string {
	if e.File != r.Entries[0].File || e.File != r.Entries[len(r.Entries)-1].File {
		return fmt.Sprintf("%s:%d:%d", e.File, e.Line, e.Column)
	}
	return fmt.Sprintf("%d:%d", e.Line, e.Column)
}
