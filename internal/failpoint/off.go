//go:build !failpoints

package failpoint

// Built says whether this binary has the points at all.
const Built = false

// Hit ends the process when the point is armed: never, in this build.
func Hit(Point) {}
