package report

import (
	"cmp"
	"fmt"
	"maps"
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
		c.Median = median(outages[name])
		list = append(list, *c)
	}
	slices.SortFunc(list, func(a, b Cost) int { return cmp.Or(cmp.Compare(b.Worst, a.Worst), cmp.Compare(a.Fault, b.Fault)) })
	return list
}

// median gives the middle of sorted values, or between the middle two.
func median(sorted []time.Duration) time.Duration {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
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

// Markdown is the table of what each kind of fault cost, with what it is made of below. Only runs that somebody judged count: those that passed, and those that broke a promise.
func Markdown(runs []*record.Run) string {
	var judged []*record.Run
	for _, r := range runs {
		if r.Verdict == record.Passed || r.Verdict == record.Failed {
			judged = append(judged, r)
		}
	}
	var b strings.Builder
	b.WriteString("| fault | count | overlapped | outage, median | outage, worst | slowest request | failed | refused |\n|---|---|---|---|---|---|---|---|\n")
	total, overlapped := 0, 0
	for _, c := range Costs(judged) {
		total, overlapped = total+c.Count, overlapped+c.Count-c.Alone
		fmt.Fprintf(&b, "| %s | %d | %d | %s | %s | %s | %d | %d |\n", cell(c.Fault), c.Count, c.Count-c.Alone, record.Short(c.Median), record.Short(c.Worst), record.Short(c.Slowest), c.Failed, c.Refused)
	}
	fmt.Fprintf(&b, "\nFaults that overlap, each until %s after its end, have outage, slowest request, failed and refused in common: each row counts them whole, so rows do not add up to the sums below.\n", record.Short(record.Aftermath))
	var sessions, requests, failed, refused, passed, broken, void int
	for _, r := range judged {
		all, f, ref := r.Requests()
		sessions, requests, failed, refused = sessions+r.Sessions, requests+all, failed+f, refused+ref
		broken, void = broken+len(r.Broken()), void+len(r.Faults)-len(r.Played())
		if r.Verdict == record.Passed {
			passed++
		}
	}
	fmt.Fprintf(&b, "\n- %s: %s passed, %s broke a promise (%s)", plural(len(judged), "run"), record.Number(passed), record.Number(len(judged)-passed), plural(broken, "broken check"))
	if not := len(runs) - len(judged); not > 0 {
		fmt.Fprintf(&b, "; not counted above or below: %s that nobody judged, because they could not be played to the end or were interrupted", plural(not, "run"))
	}
	fmt.Fprintf(&b, "\n- seeds: %s\n- program: %s\n", cell(seeds(judged)), cell(programs(judged)))
	fmt.Fprintf(&b, "- %s, %s of which %s failed, and %s refused\n", plural(sessions, "session"), plural(requests, "request"), record.Number(failed), plural(refused, "answer"))
	fmt.Fprintf(&b, "- %s, of which %s overlapped another one; %s of the plans not played\n", plural(total, "fault"), record.Number(overlapped), record.Number(void))
	return b.String()
}

// seeds lists those of each scenario, with ranges: overlap 7; soak 1-20, 25 (22 runs).
func seeds(runs []*record.Run) string {
	by, count := map[string][]uint64{}, map[string]int{}
	for _, r := range runs {
		by[r.Scenario] = append(by[r.Scenario], r.Seed)
		count[r.Scenario]++
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(by)) {
		list := by[name]
		slices.Sort(list)
		list = slices.Compact(list)
		text := name
		for i := 0; i < len(list); {
			last := i
			for last+1 < len(list) && list[last+1] == list[last]+1 {
				last++
			}
			comma := ","
			if i == 0 {
				comma = ""
			}
			text += fmt.Sprintf("%s %d", comma, list[i])
			if last > i {
				text += fmt.Sprintf("-%d", list[last])
			}
			i = last + 1
		}
		if count[name] > len(list) {
			text += fmt.Sprintf(" (%d runs)", count[name])
		}
		parts = append(parts, text)
	}
	return cmp.Or(strings.Join(parts, "; "), "none")
}

// programs lists the builds by version and commit, and by their sums where these are not enough.
func programs(runs []*record.Run) string {
	var names []string
	sums := map[string][]string{}
	for _, r := range runs {
		name := cmp.Or(r.Version, "of unknown version")
		if r.Commit != "" {
			name += ", commit " + r.Commit
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		if len(r.Programs) > 0 && !slices.Contains(sums[name], r.Programs[0].SHA256) {
			sums[name] = append(sums[name], r.Programs[0].SHA256)
		}
	}
	for i, name := range names {
		if n := len(sums[name]); n > 1 {
			names[i] += fmt.Sprintf(" (%d builds)", n)
		}
	}
	return cmp.Or(strings.Join(names, "; "), "none")
}

// cell makes a text safe in a Markdown table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "`", "'", "[", `\[`, "*", `\*`, "_", `\_`).Replace(clean(text))
}
