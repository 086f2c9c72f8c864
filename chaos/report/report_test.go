package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/holdfast-lb/holdfast/chaos/record"
)

// nasty is what a name or a text may be at worst.
const nasty = "\"'></script><script>alert(1)</script><img src=x onerror=alert(2)>&lt;`{{.}}\x1b[31m\x00\u202e\xff]]>|*_["

// hostileRun has it everywhere.
func hostileRun() *record.Run {
	r := sampleRun(3, true)
	for _, field := range []*string{&r.Scenario, &r.About, &r.Profile, &r.Substrate, &r.Commit, &r.Version, &r.Problem, &r.Replay} {
		*field = nasty
	}
	r.Nodes, r.Instances, r.Artefacts = []string{nasty, "n2"}, []string{nasty}, []string{nasty}
	for i := range r.Events {
		r.Events[i].Kind, r.Events[i].Subject, r.Events[i].Text = record.Kind(nasty), nasty, nasty
	}
	r.Events[0].Kind, r.Events[2].Kind = record.LeaderIs, record.Configured
	for i := range r.Faults {
		r.Faults[i].Name, r.Faults[i].Target, r.Faults[i].Text = nasty, nasty, nasty
	}
	for i := range r.Checks {
		c := &r.Checks[i]
		c.Name, c.About, c.Saw, c.OK, c.Nothing, c.Violations, c.Count = nasty, nasty, nasty, false, false, []string{nasty}, 1
	}
	for i := range r.Series {
		r.Series[i].Leader, r.Series[i].Holder = nasty, nasty
	}
	r.Verdict = record.Errored
	return r
}

// judgedHostile is one that counts.
func judgedHostile() *record.Run {
	r := hostileRun()
	r.Verdict = record.Failed
	return r
}

func page(t *testing.T, runs ...*record.Run) string {
	t.Helper()
	var b strings.Builder
	if err := Page(&b, runs); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// walk visits each element of a page.
func walk(t *testing.T, text string, visit func(n *html.Node)) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for n := range root.Descendants() {
		visit(n)
	}
}

// TestThePageIsAlone: nothing in it is fetched from elsewhere, whatever names and texts a run has, and these make no element and no script.
func TestThePageIsAlone(t *testing.T) {
	elements := func(text string) map[string]int {
		count := map[string]int{}
		walk(t, text, func(n *html.Node) {
			if n.Type != html.ElementNode {
				return
			}
			count[n.Data]++
			for _, a := range n.Attr {
				switch {
				case strings.HasPrefix(a.Key, "on"):
					t.Errorf("<%s %s=%q>", n.Data, a.Key, a.Val)
				case a.Key == "src" || a.Key == "srcset" || a.Key == "action":
					t.Errorf("<%s %s=%q> is fetched", n.Data, a.Key, a.Val)
				case a.Key == "href" && !strings.HasPrefix(a.Val, "#") && a.Val != "data:,":
					t.Errorf("<%s href=%q>", n.Data, a.Val)
				}
			}
		})
		return count
	}
	hostile := page(t, hostileRun(), sampleRun(1, false))
	plain := page(t, sampleRun(3, true), sampleRun(1, false))
	a, b := elements(hostile), elements(plain)
	if a["script"] != 3 || b["script"] != 3 || a["img"] != 0 || a["style"] != 1 {
		t.Errorf("%v, %v", a, b)
	}
	for _, text := range []string{hostile, plain} {
		if m := regexp.MustCompile(`(?i)https?://|@import|url\(`).FindString(text); m != "" {
			t.Errorf("the page has %q", m)
		}
		if strings.Contains(text, "ZgotmplZ") || strings.Contains(text, "%!") {
			t.Error("a value was refused by the template, or badly formatted")
		}
	}
}

// TestThePageSaysIt: what a person looks for is there, as text.
func TestThePageSaysIt(t *testing.T) {
	for _, c := range []struct {
		runs []*record.Run
		want []string
	}{
		{[]*record.Run{sampleRun(7, false)}, []string{"7 promises kept", "Passed", "163 ms", "kill · n1", "holdfast-chaos run --scenario leader-killed-under-load --seed 7", "none failed", "n2 leads"}},
		{[]*record.Run{sampleRun(8, true)}, []string{"2 promises broken", "Failed", "What broke", "told instance1 by node n1, now instance3 by node n2", "41 in all", "Nothing to judge. no backup was taken, so this shows nothing of it", "not healed: process 4711 has ended", "history-812.html"}},
		{[]*record.Run{sampleRun(7, false), sampleRun(8, true)}, []string{"1 of 2 runs passed", "What each kind of fault cost"}},
		{[]*record.Run{{Scenario: "s", Verdict: record.Errored, Problem: "no port is free"}}, []string{"Could not be played", "no port is free", "No check was made"}},
		{[]*record.Run{{Scenario: "s", Faults: []record.Fault{{Name: "kill"}, {Name: "resync", Void: "nobody answers"}}}}, []string{"not played: nobody answers", "1 not played"}},
		{[]*record.Run{sampleRun(7, false), {Verdict: record.Passed, Checks: []record.Result{{OK: true, When: record.AtEnd}, {OK: true, Nothing: true, When: record.AtEnd}}}}, []string{"8 promises kept, 1 had nothing to judge", "0 of 1"}},
		{nil, []string{"Nothing was run"}},
		{[]*record.Run{{Scenario: "empty"}}, []string{"Could not be played"}},
	} {
		text := page(t, c.runs...)
		var b strings.Builder
		walk(t, text, func(n *html.Node) {
			if n.Type == html.TextNode {
				b.WriteString(n.Data)
			}
		})
		for _, want := range c.want {
			if !strings.Contains(b.String(), want) {
				t.Errorf("the page does not say %q", want)
			}
		}
	}
}

// TestTheTimeLineFits: whatever the length, all positions are within the line, and a long run has no more points than can be told apart.
func TestTheTimeLineFits(t *testing.T) {
	long := sampleRun(1, true)
	for range 40 {
		for _, s := range sampleRun(2, false).Series {
			s.At = len(long.Series)
			long.Series = append(long.Series, s)
		}
	}
	long.Took = time.Duration(len(long.Series)) * time.Second
	day := &record.Run{Took: 25 * time.Hour, Faults: []record.Fault{{Name: "late", From: 24 * time.Hour, To: 30 * time.Hour}}, Events: []record.Event{{At: 30 * time.Hour, Kind: record.LeaderIs, Subject: "n1"}}}
	gap := sampleRun(1, false)
	for i := 20; i < 30; i++ {
		gap.Series[i] = record.Second{At: i} // nobody answers
	}
	for name, r := range map[string]*record.Run{"long": long, "day": day, "empty": {}, "one second": {Took: time.Second, Series: []record.Second{{Requests: 1, P50: 1, P99: 1, Max: 1}}}, "gap": gap, "hostile": hostileRun()} {
		l := newTimeline(r)
		if len(l.Seconds) > maxPoints+1 || len(l.Ticks) == 0 || len(l.Ticks) > 11 {
			t.Errorf("%s: %d points, %d ticks", name, len(l.Seconds), len(l.Ticks))
		}
		all := append(append(append([]bar{}, l.Bands...), l.Leader...), l.Changes...)
		for _, row := range l.Rows {
			all = append(all, row...)
		}
		for _, b := range append(all, l.Rate.Bars...) {
			if b.Left < 0 || b.Left > 100 || b.Width < 0 || b.Width > 100 {
				t.Errorf("%s: a bar from %v, %v wide", name, b.Left, b.Width)
			}
		}
		for _, p := range append(l.Latency.Paths, l.Rate.Paths...) {
			if strings.Contains(p.D, "NaN") || strings.Contains(p.D, "Inf") || !strings.HasPrefix(p.D, "M") {
				t.Errorf("%s: path %.80s", name, p.D)
			}
			if name == "gap" && p.Class == "p50" && strings.Count(p.D, "M") != 2 {
				t.Errorf("%s: the line goes on where nobody answered: %s", name, p.D)
			}
		}
	}
}

func TestFaultsThatOverlapHaveRowsOfTheirOwn(t *testing.T) {
	l := newTimeline(sampleRun(1, false))
	for i, row := range l.Rows {
		for j := 1; j < len(row); j++ {
			if row[j].Left < row[j-1].Left+row[j-1].Width {
				t.Errorf("row %d: %+v overlaps %+v", i, row[j], row[j-1])
			}
		}
	}
	if len(l.Rows) != 3 || len(l.Bands) != 3 || l.Bands[1].Left != 39.583 || l.Bands[1].Width != 29.167 { // from 38 s until 66 s of 96
		t.Errorf("%d rows, bands %+v", len(l.Rows), l.Bands)
	}
}

// TestLines: one event is one line, and cannot do anything to a terminal.
func TestLines(t *testing.T) {
	if got, want := Line(record.Event{At: 12345 * time.Millisecond, Kind: record.FaultBegins, Text: "kill on n1"}), "   12.345 s  fault    kill on n1"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, text := range []string{Line(record.Event{Kind: record.Kind(nasty), Text: nasty + "\r\nforged line"}), Summary(hostileRun()), Markdown([]*record.Run{judgedHostile()})} {
		if strings.ContainsAny(text, "\x1b\x00\r\u202e") || !strings.Contains(text, "·[31m") && !strings.Contains(text, `·\[31m`) {
			t.Errorf("%q", text)
		}
	}
	if n := strings.Count(Line(record.Event{Text: "a\nb\u0085c\u2028"}), "\n"); n != 0 {
		t.Errorf("%d ends of line", n)
	}
}

// TestTheLastLineIsTheWayBack for a run that did not pass.
func TestTheLastLineIsTheWayBack(t *testing.T) {
	bad := sampleRun(8, true)
	lines := strings.Split(strings.TrimSpace(Summary(bad)), "\n")
	if lines[len(lines)-1] != bad.Replay {
		t.Errorf("the last line is %q", lines[len(lines)-1])
	}
	if text := Summary(sampleRun(7, false)); strings.Contains(text, "holdfast-chaos run") || !strings.Contains(text, "passed") || !strings.Contains(text, "29,0") {
		t.Errorf("%s", text)
	}
	if text := Summary(bad); !strings.Contains(text, "5 promises kept, 1 had nothing to judge, 2 broken") || !strings.Contains(text, "session 812") || !strings.Contains(text, "30 failed, 31 refused") {
		t.Errorf("%s", text)
	}
}

func TestCosts(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	runs := []*record.Run{
		{Scenario: "soak", Seed: 3, Version: "v1", Commit: "abc", Sessions: 5, Verdict: record.Passed, Faults: []record.Fault{
			{Name: "kill", From: 0, To: time.Second, Outage: ms(30), Slowest: ms(50), Failed: 1}, {Name: "cut", From: 2 * time.Second, To: 4 * time.Second, Outage: ms(90)},
			{Name: "kill", From: time.Minute, To: time.Minute, Outage: ms(10)},
		}},
		{Scenario: "soak", Seed: 4, Version: "v1", Commit: "abc", Verdict: record.Failed, Faults: []record.Fault{{Name: "kill", Outage: ms(20), Refused: 2}}},
	}
	want := []Cost{
		{Fault: "cut", Count: 1, Median: ms(90), Worst: ms(90)},
		{Fault: "kill", Count: 3, Median: ms(20), Worst: ms(30), Slowest: ms(50), Failed: 1, Refused: 2, Alone: 2},
	}
	if got := Costs(runs); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	runs[1].Faults = append(runs[1].Faults, record.Fault{Name: "kill", Outage: ms(1), Void: "another fault has hold of it"}, record.Fault{Name: "resync", Void: "nobody answers"})
	if got := Costs(runs); !reflect.DeepEqual(got, want) {
		t.Errorf("what did not happen is counted: %+v", got)
	}
	unjudged := &record.Run{Scenario: "other", Seed: 9, Version: "v9", Sessions: 1000, Verdict: record.Errored, Faults: []record.Fault{{Name: "kill", Outage: time.Hour}}}
	text := Markdown(append(slices.Clone(runs), unjudged, &record.Run{Seed: 8}))
	for _, part := range []string{
		"| kill | 3 | 1 | 20 ms | 30 ms | 50 ms | 1 | 2 |\n", "have outage, slowest request, failed and refused in common",
		"- 2 runs: 1 passed, 1 broke a promise (0 broken checks); not counted above or below: 2 runs that nobody judged", "- seeds: soak 3-4\n", "- program: v1, commit abc\n",
		"- 5 sessions, 0 requests of which 0 failed", "- 4 faults, of which 2 overlapped another one; 2 of the plans not played",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in\n%s", part, text)
		}
	}
	if text := Markdown([]*record.Run{unjudged}); !strings.Contains(text, "- 0 runs: 0 passed") || !strings.Contains(text, "- seeds: none\n- program: none\n") {
		t.Errorf("%s", text)
	}
	for line := range strings.SplitSeq(Markdown([]*record.Run{judgedHostile()}), "\n") {
		if strings.HasPrefix(line, "|") && strings.Count(strings.ReplaceAll(line, `\|`, ""), "|") != 9 {
			t.Errorf("a row with other cells: %s", line)
		}
	}
}

// TestMedian: of an even number of values it is between the middle two.
func TestMedian(t *testing.T) {
	for want, values := range map[time.Duration][]time.Duration{5: {5}, 6: {5, 7}, 7: {1, 7, 100}, 8: {1, 7, 9, 100}} {
		if got := median(values); got != want {
			t.Errorf("of %v: %d, want %d", values, got, want)
		}
	}
}

// TestSeedsAndProgramsOfATable: whoever has the table can play the same.
func TestSeedsAndProgramsOfATable(t *testing.T) {
	var runs []*record.Run
	for _, seed := range []uint64{9, 3, 1, 2, 3, 18446744073709551615} {
		runs = append(runs, &record.Run{Scenario: "soak", Seed: seed, Version: "v1-dirty", Commit: "abc", Programs: []record.Program{{SHA256: fmt.Sprint(seed == 9)}}})
	}
	runs = append(runs, &record.Run{Scenario: "overlap", Seed: 7})
	if got, want := seeds(runs), "overlap 7; soak 1-3, 9, 18446744073709551615 (6 runs)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := programs(runs), "v1-dirty, commit abc (2 builds); of unknown version"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestJUnit: the form that GitLab, GitHub's actions and Jenkins read, with counts that are those of its parts.
func TestJUnit(t *testing.T) {
	runs := []*record.Run{sampleRun(7, false), sampleRun(8, true), hostileRun(), {Scenario: "empty"}}
	var b bytes.Buffer
	if err := JUnit(&b, runs); err != nil {
		t.Fatal(err)
	}
	if err := junitShape(b.Bytes()); err != nil {
		t.Error(err)
	}
	var back junitSuites
	if err := xml.Unmarshal(b.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if back.Tests != 24 || back.Failures != 10 || back.Errors != 1 || len(back.Suites) != 4 {
		t.Errorf("%d tests, %d failures, %d errors", back.Tests, back.Failures, back.Errors)
	}
	failure := back.Suites[1].Cases[0].Failure
	if failure == nil || !strings.Contains(failure.Text, "session 812") || !strings.Contains(failure.Text, "and 39 more") || !strings.Contains(failure.Text, runs[1].Replay) {
		t.Errorf("%+v", failure)
	}
	if c := back.Suites[1].Cases[7]; back.Suites[1].Skipped != 1 || back.Suites[0].Skipped != 0 || c.Skipped == nil || c.Skipped.Message != "no backup was taken, so this shows nothing of it" || c.Failure != nil {
		t.Errorf("nothing to judge: %+v", c)
	}
	if got := back.Suites[2].Cases[0].Name; !strings.Contains(got, "<script>") || strings.ContainsAny(got, "\x1b\x00") {
		t.Errorf("a hostile name came back as %q", got)
	}
}

// junitShape holds a text against the rules of the format: which elements are where, which attributes they must have, and of which form.
func junitShape(text []byte) error {
	children := map[string]string{"": "testsuites", "testsuites": "testsuite", "testsuite": "properties testcase", "properties": "property", "testcase": "skipped failure error system-out", "skipped": "", "property": "", "failure": "", "error": "", "system-out": ""}
	attributes := map[string]map[string]string{
		"testsuites": {"name": `.+`, "tests": `\d+`, "failures": `\d+`, "errors": `\d+`, "time": `\d+\.\d{3}`},
		"testsuite":  {"name": `.+`, "tests": `\d+`, "failures": `\d+`, "errors": `\d+`, "skipped": `\d+`, "time": `\d+\.\d{3}`, "timestamp": `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d`},
		"testcase":   {"classname": `.+`, "name": `.+`, "time": `\d+\.\d{3}`},
		"property":   {"name": `.+`, "value": `.+`}, "failure": {"message": `.*`, "type": `.+`}, "skipped": {"message": `.+`}, "error": {"message": `.*`, "type": `.+`},
	}
	var open []string
	count, want := map[string]int{}, map[string]int{}
	decoder := xml.NewDecoder(bytes.NewReader(text))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		switch e := token.(type) {
		case xml.StartElement:
			parent, name := "", e.Name.Local
			if len(open) > 0 {
				parent = open[len(open)-1]
			}
			if !strings.Contains(" "+children[parent]+" ", " "+name+" ") {
				return fmt.Errorf("<%s> in <%s>", name, parent)
			}
			for _, a := range e.Attr {
				form, known := attributes[name][a.Name.Local]
				if !known || !regexp.MustCompile(`(?s)^`+form+`$`).MatchString(a.Value) {
					return fmt.Errorf("<%s %s=%q>", name, a.Name.Local, a.Value)
				}
				if n, err := strconv.Atoi(a.Value); err == nil && name == "testsuite" {
					want[a.Name.Local] += n
				}
			}
			if len(e.Attr) != len(attributes[name]) {
				return fmt.Errorf("<%s> has %d attributes, not %d", name, len(e.Attr), len(attributes[name]))
			}
			count[name]++
			open = append(open, name)
		case xml.EndElement:
			open = open[:len(open)-1]
		}
	}
	if count["testcase"] != want["tests"] || count["failure"] != want["failures"] || count["error"] != want["errors"] || count["skipped"] != want["skipped"] {
		return fmt.Errorf("the suites say %v, there are %v", want, count)
	}
	return nil
}

// TestTheShapeIsLookedAt: a check of the form that accepts everything proves nothing.
func TestTheShapeIsLookedAt(t *testing.T) {
	var b bytes.Buffer
	if err := JUnit(&b, []*record.Run{sampleRun(8, true)}); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{
		{`tests="8"`, `tests="9"`}, {`skipped="1"`, `skipped="0"`}, {`failures="2"`, `failures="x"`}, {"<failure ", "<fault "}, {` classname="chaos.leader-killed-under-load"`, ""}, {"time=\"96.000\"", "time=\"96s\""},
	} {
		text := strings.ReplaceAll(b.String(), c[0], c[1])
		if text == b.String() || junitShape([]byte(text)) == nil {
			t.Errorf("%q for %q was not seen", c[1], c[0])
		}
	}
}
