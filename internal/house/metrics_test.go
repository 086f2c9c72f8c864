package house

import (
	"regexp"
	"testing"
)

// TestMetricsAreDocumented: every metric whose name is in the source stands in docs/OPERATIONS.md, and every one that stands there exists.
func TestMetricsAreDocumented(t *testing.T) {
	inSource := regexp.MustCompile(`"(holdfast_[a-z0-9_]+)"`)
	names := map[string]bool{}
	for _, f := range sources(t) {
		if f.test() {
			continue
		}
		for _, m := range inSource.FindAllStringSubmatch(f.src, -1) {
			names[m[1]] = true
		}
	}
	if len(names) < 30 {
		t.Fatalf("only %d metrics found in the source: the search is broken", len(names))
	}
	text := readText(t, "../../docs/OPERATIONS.md")
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("`(holdfast_[a-z0-9_]+)").FindAllStringSubmatch(text, -1) {
		documented[m[1]] = true
		if !names[m[1]] {
			t.Errorf("docs/OPERATIONS.md has %s, which is nowhere in the source", m[1])
		}
	}
	for name := range names {
		if !documented[name] {
			t.Errorf("docs/OPERATIONS.md does not list %s", name)
		}
	}
}
