// Package report says what became of each thing in an imported file.
package report

import "fmt"

// Status is what became of one element, attribute or directive.
type Status string

// What can become of it. One error means that nothing is imported.
const (
	Mapped       Status = "mapped"
	Approximated Status = "approximated"
	Ignored      Status = "ignored"
	Error        Status = "error"
)

// Entry is one element, attribute or directive of a file, or, in the report of an export, one value of the configuration.
type Entry struct {
	File string `json:"file,omitempty"`
	// Line and Column count from 1, columns in characters; 0 in the report of an export.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// What names it: an element as <instance>, an attribute as instance.enabled, a directive as worker.a.port.
	What string `json:"what"`
	// Value is what stands there; "" for elements, "***" for secrets.
	Value  string `json:"value,omitempty"`
	Status Status `json:"status"`
	// Key is where it went: a path of the configuration, as in clusters[0].instances[1].weight.
	Key string `json:"key,omitempty"`
	// Why explains every status but mapped.
	Why string `json:"why,omitempty"`
}

// String gives "file:line:column: status: what: why".
func (e Entry) String() string {
	place := ""
	if e.File != "" {
		place = e.File + ":"
	}
	if e.Line > 0 {
		place += fmt.Sprintf("%d:%d:", e.Line, e.Column)
	}
	if place != "" {
		place += " "
	}
	text := place + string(e.Status)
	if e.What != "" {
		text += ": " + e.What
	}
	if e.Why != "" {
		text += ": " + e.Why
	}
	return text
}

// Report is what became of a whole import or export, in the order of the files.
type Report struct {
	Format  string  `json:"format"`
	Entries []Entry `json:"entries"`
	// Notes say what follows from things that are not there, or from all of them together.
	Notes []string `json:"notes,omitempty"`
}

// Count tells how many entries have the status.
func (r *Report) Count(s Status) int {
	n := 0
	for i := range r.Entries {
		if r.Entries[i].Status == s {
			n++
		}
	}
	return n
}

// Failed tells whether there is an error, so that nothing must be imported.
func (r *Report) Failed() bool { return r.Count(Error) > 0 }

// Note adds a remark.
func (r *Report) Note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// Summary gives the counts in one line.
func (r *Report) Summary() string {
	return fmt.Sprintf("%d mapped, %d approximated, %d ignored, %d in error", r.Count(Mapped), r.Count(Approximated), r.Count(Ignored), r.Count(Error))
}
