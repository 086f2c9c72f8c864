//go:build mutants

package sim

import (
	"os"
	"os/exec"
	"regexp"
	"testing"

	"github.com/holdfast-lb/holdfast/internal/mutant"
)

// TestKnownBugsAreFound: each of the bugs that a mutants build carries, switched on alone, breaks a promise in some world, and it is the promise that one would expect.
func TestKnownBugsAreFound(t *testing.T) {
	for name, promise := range map[string]string{
		mutant.AckBeforeCommit:  `does not find session|finds session|was told that session|moved session`,
		mutant.BarrierSkipped:   `does not find session|finds session|was told revision`,
		mutant.BatchDropped:     `does not find session|finds session|was told that session|moved session`,
		mutant.ClockLocal:       `before its time|should have ended`,
		mutant.LeaseUnconfirmed: `hold the virtual address at once`,
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSeeds$", "-test.v", "-stop", "-seeds=60")
			cmd.Env = append(os.Environ(), "HOLDFAST_MUTANT="+name)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatal("60 worlds, and no promise is broken")
			}
			broken := regexp.MustCompile(`(?m)at .*(` + promise + `).*$`).Find(out)
			if broken == nil {
				t.Fatalf("%v, and not by what one would expect:\n%s", err, out)
			}
			t.Logf("%s", broken)
		})
	}
}
