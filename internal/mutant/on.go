//go:build mutants

package mutant

import (
	"os"
	"slices"
	"strings"
)

// Built says whether this binary carries the known bugs at all.
const Built = true

var enabled = parse(os.Getenv("HOLDFAST_MUTANT"))

// On says whether HOLDFAST_MUTANT named this bug when the process started.
func On(name string) bool { return enabled[name] }

// parse panics on an unknown name: a misspelt mutant would silently test nothing.
func parse(list string) map[string]bool {
	names := map[string]bool{}
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		if name == "" {
			continue
		}
		if !slices.Contains(Names(), name) {
			panic("BUG: HOLDFAST_MUTANT names an unknown mutant: " + name)
		}
		names[name] = true
	}
	return names
}
