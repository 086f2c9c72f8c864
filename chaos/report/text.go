package report

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/holdfast-lb/holdfast/chaos/record"
)

// Line is one event as one line, without its end.
func Line(e record.Event) string {
	return fmt.Sprintf("%9.3f s  %-8s %s", e.At.Seconds(), clean(string(e.Kind)), clean(e.Text))
}

// clean replaces what could move a terminal's cursor, colour it, or end the line.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return '·'
		}
		return r
	}, strings.ToValidUTF8(text, "·"))
}

// promises counts those of the runs: that were kept, that there was nothing to judge of, and that were broken.
func promises(runs []*record.Run) string {
	kept, nothing, broken := 0, 0, 0
	for _, r := range runs {
		k, n := r.Kept()
		kept, nothing, broken = kept+k, nothing+n, broken+len(r.Broken())
	}
	text := plural(kept, "promise") + " kept"
	if nothing > 0 {
		text += ", " + record.Number(nothing) + " had nothing to judge"
	}
	if broken > 0 {
		text += ", " + record.Number(broken) + " broken"
	}
	return text
}

// Summary is what a person wants to know at the end of a run, in a few lines. The last line of a run that did not pass is the command that plays it
// again.
func Summary(r *record.Run) string {
	var b strings.Builder
	all, failed, refused := r.Requests()
	outage, slowest := r.Worst()
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-18s %s\n", name, clean(fmt.Sprintf(format, args...)))
	}
	fmt.Fprintf(&b, "%s, seed %d: %s\n", clean(r.Scenario), r.Seed, r.Verdict)
	line("took", "%s", record.Short(r.Took))
	line("sessions", "%s", record.Number(r.Sessions))
	line("requests", "%s, %s failed, %s refused", record.Number(all), record.Number(failed), record.Number(refused))
	played := len(r.Played())
	line("faults", "%d, longest outage %s, slowest request %s", played, record.Short(outage), record.Short(slowest))
	if void := len(r.Faults) - played; void > 0 {
		line("not played", "%s of the plan", plural(void, "fault"))
	}
	line("checks", "%s", promises([]*record.Run{r}))
	for _, c := range r.Broken() {
		line("  "+clean(c.Name), "%s", c.Saw)
		for i, v := range c.Violations {
			if i == 3 && c.Count > 4 {
				line("", "- and %s more", record.Number(c.Count-i))
				break
			}
			line("", "- %s", v)
		}
	}
	if r.Problem != "" {
		line("problem", "%s", r.Problem)
	}
	if r.Verdict != record.Passed && r.Replay != "" {
		fmt.Fprintf(&b, "%s\n", clean(r.Replay))
	}
	return b.String()
}
