//go:build failpoints

package failpoint

import (
	"os"
	"slices"
	"syscall"
)

// Built says whether this binary has the points at all.
const Built = true

// dir is where the points are armed, empty: nowhere.
var dir = os.Getenv("HOLDFAST_FAILPOINTS")

// Hit ends the process with SIGKILL when the point is armed. It panics for a point that is not in the list: no test would know of it.
func Hit(p Point) {
	if dir == "" {
		return
	}
	if !slices.Contains(Points(), p) {
		panic("BUG: a failpoint that is not in the list: " + string(p))
	}
	if !take(dir, p) {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // nothing more is done until the signal is there
}
