package house

import (
	"regexp"
	"strings"
	"testing"
)

// TestEventsAndDutiesAreDocumented: the kinds of events stand in docs/OPERATING.md, the duties of the leader in docs/OPERATIONS.md.
func TestEventsAndDutiesAreDocumented(t *testing.T) {
	event, duty := regexp.MustCompile(`\bEvent[A-Z]\w* += "([a-z-]+)"`), regexp.MustCompile(`\) name\(\) string { return "([a-z-]+)" }`)
	_, events, _ := strings.Cut(readText(t, "../../docs/OPERATING.md"), "\n## Events\n")
	events, _, _ = strings.Cut(events, "\n## ")
	_, duties, _ := strings.Cut(readText(t, "../../docs/OPERATIONS.md"), "\n## What the leader does\n")
	duties, _, _ = strings.Cut(duties, "\n## ")
	found := 0
	for _, f := range sources(t) {
		if f.test() || strings.HasPrefix(f.src, "//go:build nextschema") {
			continue
		}
		for _, m := range event.FindAllStringSubmatch(f.src, -1) {
			found++
			if !strings.Contains(events, "`"+m[1]+"`") {
				t.Errorf("docs/OPERATING.md does not list the event %s", m[1])
			}
		}
		for _, m := range duty.FindAllStringSubmatch(f.src, -1) {
			found++
			if !strings.Contains(duties, "\n| `"+m[1]+"` |") {
				t.Errorf("docs/OPERATIONS.md does not list the duty %s", m[1])
			}
		}
	}
	if found < 50 {
		t.Fatalf("only %d events and duties found in the source: the search is broken", found)
	}
}
