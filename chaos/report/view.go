package report

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/record"
)

// pageView is what the template shows: nothing is computed there.
type pageView struct {
	Title, Headline, Sub string
	Verdict              record.Verdict
	Tiles                []tile
	Runs                 []*runView
	Costs                []costView
	CSS                  template.CSS
	JS                   template.JS
}

// tile is one figure that is read first.
type tile struct {
	Name, Value, Note string
	Bad               bool
}

// costView is a row of the table of outages; the bars are shares of the longest, in percent.
type costView struct {
	Cost
	MedianBar, WorstBar float64
}

type runView struct {
	*record.Run
	ID      string
	Facts   []fact
	Broken  []record.Result
	Checks  []checkGroup
	Judging int // checks that had something to judge
	Line    timeline
	Faults  []faultRow
	Events  []eventRow
}

// fact is a word and what it stands for.
type fact struct{ Name, Value string }

type checkGroup struct {
	Name    string
	Results []checkRow
}

// checkRow is a result whose violations are shown in two parts: the first of them, and the rest when it is asked for.
type checkRow struct {
	record.Result
	First, Rest []string
}

// shownAtOnce is how many violations of a check are seen without asking.
const shownAtOnce = 5

type faultRow struct {
	record.Fault
	At, Lasted string
	Bar        float64 // of the outage, in percent of the longest
}

type eventRow struct {
	At, Kind, Subject, Text string
}

func newPage(runs []*record.Run) *pageView {
	p := &pageView{Title: "Chaos report", Verdict: record.Passed}
	passed := 0
	for i, r := range runs {
		switch r.Verdict {
		case record.Passed:
			passed++
		case record.Failed:
			p.Verdict = record.Failed
		default:
			if p.Verdict == record.Passed {
				p.Verdict = record.Errored
			}
		}
		p.Runs = append(p.Runs, newRun(r, i))
	}
	broken := 0
	for _, r := range runs {
		broken += len(r.Broken())
	}
	switch {
	case len(runs) == 0:
		p.Verdict, p.Headline = record.Errored, "Nothing was run"
	case p.Verdict == record.Passed:
		p.Headline = promises(runs)
	case p.Verdict == record.Failed:
		p.Headline = plural(broken, "promise") + " broken"
	default:
		p.Headline = "Could not be played"
	}
	p.Sub = plural(len(runs), "run")
	if len(runs) == 1 {
		p.Sub = runs[0].About
		p.Title = "Chaos report: " + runs[0].Scenario
	} else if len(runs) > 1 {
		p.Sub = fmt.Sprintf("%d of %d runs passed", passed, len(runs))
	}
	p.Tiles = tiles(runs)
	p.Costs = costs(runs)
	return p
}

func plural(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return record.Number(n) + " " + noun
}

func tiles(runs []*record.Run) []tile {
	var requests, failed, refused, sessions, faults, void int
	var outage, slowest, took time.Duration
	for _, r := range runs {
		all, f, ref := r.Requests()
		requests, failed, refused, sessions, faults, took = requests+all, failed+f, refused+ref, sessions+r.Sessions, faults+len(r.Played()), took+r.Took
		void += len(r.Faults) - len(r.Played())
		o, s := r.Worst()
		outage, slowest = max(outage, o), max(slowest, s)
	}
	note := "none failed"
	if failed > 0 || refused > 0 {
		note = fmt.Sprintf("%s failed, %s refused", record.Number(failed), record.Number(refused))
	}
	during := "in " + record.Short(took)
	if void > 0 {
		during += fmt.Sprintf(", %s not played", record.Number(void))
	}
	return []tile{
		{Name: "Sessions", Value: record.Number(sessions), Note: "told to clients"},
		{Name: "Requests", Value: record.Number(requests), Note: note, Bad: failed > 0},
		{Name: "Faults", Value: record.Number(faults), Note: during},
		{Name: "Longest outage", Value: record.Short(outage), Note: "without any answer"},
		{Name: "Slowest request", Value: record.Short(slowest), Note: "from when it was due"},
	}
}

func costs(runs []*record.Run) (list []costView) {
	all := Costs(runs)
	longest := time.Duration(1)
	for _, c := range all {
		longest = max(longest, c.Worst)
	}
	for _, c := range all {
		list = append(list, costView{c, share(c.Median, longest), share(c.Worst, longest)})
	}
	return list
}

// share gives a part of a whole in percent, from 0 to 100.
func share(part, whole time.Duration) float64 {
	if whole <= 0 {
		return 0
	}
	return min(100, max(0, 100*float64(part)/float64(whole)))
}

func newRun(r *record.Run, position int) *runView {
	v := &runView{Run: r, ID: fmt.Sprintf("run-%d", position+1), Broken: r.Broken(), Line: newTimeline(r)}
	kept, _ := r.Kept()
	v.Judging = kept + len(v.Broken)
	for _, f := range []fact{
		{"Scenario", r.Scenario}, {"Seed", fmt.Sprint(r.Seed)}, {"Profile", r.Profile}, {"Substrate", r.Substrate}, {"Began", r.Began.UTC().Format("2006-01-02 15:04:05 UTC")},
		{"Took", record.Short(r.Took)}, {"Version", r.Version}, {"Commit", r.Commit}, {"Nodes", strings.Join(r.Nodes, ", ")}, {"Instances", strings.Join(r.Instances, ", ")},
		{"Budget", budgetWords(r.Budget)},
	} {
		if f.Value != "" {
			v.Facts = append(v.Facts, f)
		}
	}
	for _, g := range []struct {
		when record.When
		name string
	}{{record.Always, "At every moment"}, {record.Eventually, "After the last fault"}, {record.AtEnd, "At the end, of all that was seen"}} {
		group := checkGroup{Name: g.name}
		for _, c := range r.Checks {
			if c.When == g.when {
				n := len(c.Violations)
				if n > shownAtOnce+1 {
					n = shownAtOnce
				}
				group.Results = append(group.Results, checkRow{c, c.Violations[:n], c.Violations[n:]})
			}
		}
		if len(group.Results) > 0 {
			slices.SortStableFunc(group.Results, func(a, b checkRow) int { return cmp.Compare(order(a), order(b)) })
			v.Checks = append(v.Checks, group)
		}
	}
	longest := time.Duration(1)
	for _, f := range r.Faults {
		longest = max(longest, f.Outage)
	}
	for _, f := range r.Faults {
		v.Faults = append(v.Faults, faultRow{f, clock(f.From), record.Short(f.To - f.From), share(f.Outage, longest)})
	}
	for _, e := range r.Events {
		v.Events = append(v.Events, eventRow{clock(e.At), string(e.Kind), e.Subject, e.Text})
	}
	return v
}

// order puts broken checks first, and those that had nothing to judge last.
func order(c checkRow) int {
	switch {
	case !c.OK:
		return 0
	case c.Nothing:
		return 2
	}
	return 1
}

func budgetWords(b record.Budget) string {
	text := fmt.Sprintf("%s failed, %s refused", record.Number(b.Failed), record.Number(b.Refused))
	if b.Outage > 0 {
		text += ", outage up to " + record.Short(b.Outage)
	}
	if b.Slowest > 0 {
		text += ", waits up to " + record.Short(b.Slowest)
	}
	return text
}

// clock gives a time of the run as minutes, seconds and hundredths.
func clock(d time.Duration) string {
	hundredths := d / (10 * time.Millisecond)
	return fmt.Sprintf("%d:%02d.%02d", hundredths/6000, hundredths/100%60, hundredths%100)
}
