package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/record"
)

// Cost is what one kind of fault cost over all runs.
type Cost struct {
	Fault string
	Count int
	// Median and Worst are of the outages of these faults; Slowest is the longest wait of one request in any.
	Median, Worst, Slowest time.Duration
	Failed, Refused        int
	// Alone counts those during which no other fault was there: their outage is theirs alone.
	Alone int
}

// Costs sums up the faults of all runs, the one with the worst outage first.
func Costs(runs []*record.Run) []Cost {
	by := map[string]*Cost{}
	outages := map[string][]time.Duration{}
	for _, r := range runs {
		played := r.Played()
		for i, f := range played {
			c := by[f.Name]
			if c == nil {
				c = &Cost{Fault: f.Name}
				by[f.Name] = c
			}
			c.Count++
			c.Worst, c.Slowest = max(c.Worst, f.Outage), max(c.Slowest, f.Slowest)
			c.Failed += f.Failed
			c.Refused += f.Refused
			if alone(played, i) {
				c.Alone++
			}
			outages[f.Name] = append(outages[f.Name], f.Outage)
		}
	}
	var list []Cost
	for name, c := range by {
		slices.Sort(outages[name])
		c.Median = outages[name][(len(outages[name])-1)/2]
		list = append(list, *c)
	}
	slices.SortFunc(list, func(a, b Cost) int { return cmp.Or(cmp.Compare(b.Worst, a.Worst), cmp.Compare(a.Fault, b.Fault)) })
	return list
}

// alone says that no other fault answers for the same time.
func alone(faults []record.Fault, i int) bool {
	for j, other := range faults {
		if j != i && other.From <= faults[i].To+record.Aftermath && faults[i].From <= other.To+record.Aftermath {
			return false
		}
	}
	return true
}

// Markdown is the table of what each kind of fault cost, with the runs that it is from below.
func Markdown(runs []*record.Run) string {
	var b strings.Builder
	b.WriteString("| fault | count | outage, median | outage, worst | slowest request | failed | refused |\n|---|---|---|---|---|---|---|\n")
	total := 0
	for _, c := range Costs(runs) {
		total += c.Count
		fmt.Fprintf(&b, "| %s | %d | %s | %s | %s | %d | %d |\n", cell(c.Fault), c.Count, record.Short(c.Median), record.Short(c.Worst), record.Short(c.Slowest), c.Failed, c.Refused)
	}
	sessions, requests, broken := 0, 0, 0
	var commits []string
	for _, r := range runs {
		all, _, _ := r.Requests()
		sessions, requests, broken = sessions+r.Sessions, requests+all, broken+len(r.Broken())
		if r.Commit != "" && !slices.Contains(commits, r.Commit) {
			commits = append(commits, r.Commit)
		}
	}
	fmt.Fprintf(&b, "\n%s runs, %s faults, %s sessions, %s requests, %s broken checks; commit %s.\n", record.Number(len(runs)), record.Number(total), record.Number(sessions),
		record.Number(requests), record.Number(broken), cell(strings.Join(commits, ", ")))
	return b.String()
}

// cell makes a text safe in a Markdown table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "`", "'", "[", `\[`, "*", `\*`, "_", `\_`).Replace(clean(text))
}
