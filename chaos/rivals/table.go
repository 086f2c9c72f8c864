package rivals

import (
	"fmt"
	"slices"
	"strings"
)

// Base is whom the others are compared with, where it takes part; else they are with the first.
const Base = "haproxy-st"

// Table gathers figures and gives medians and ratios.
type Table struct {
	names []string
	base  string
	rows  []string
	cells map[string]map[string][]float64 // by row, by name
}

// NewTable makes one with a column for each name.
func NewTable(names []string) *Table {
	base := Base
	if len(names) > 0 && !slices.Contains(names, Base) {
		base = names[0]
	}
	return &Table{names: names, base: base, cells: map[string]map[string][]float64{}}
}

// Add notes a figure of one round.
func (t *Table) Add(row, name string, figure float64) {
	if t.cells[row] == nil {
		t.cells[row] = map[string][]float64{}
		t.rows = append(t.rows, row)
	}
	t.cells[row][name] = append(t.cells[row][name], figure)
}

// Median of all rounds, and whether there is one.
func (t *Table) Median(row, name string) (float64, bool) {
	list := slices.Sorted(slices.Values(t.cells[row][name]))
	if len(list) == 0 {
		return 0, false
	}
	if len(list)%2 == 1 {
		return list[len(list)/2], true
	}
	return (list[len(list)/2-1] + list[len(list)/2]) / 2, true
}

// String is the table in Markdown: medians, and in parentheses the ratio to the base.
func (t *Table) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "| | %s |\n|---|%s\n", strings.Join(t.names, " | "), strings.Repeat("---|", len(t.names)))
	for _, row := range t.rows {
		fmt.Fprintf(&b, "| %s |", row)
		base, _ := t.Median(row, t.base)
		for _, name := range t.names {
			switch figure, ok := t.Median(row, name); {
			case !ok:
				b.WriteString(" - |")
			case name == t.base || base == 0:
				fmt.Fprintf(&b, " %.1f |", figure)
			default:
				fmt.Fprintf(&b, " %.1f (%.2f) |", figure, figure/base)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}
