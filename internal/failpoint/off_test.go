//go:build !failpoints

package failpoint

import "testing"

// TestNormalBuildHasNone: in a build without the tag an armed point ends nothing.
func TestNormalBuildHasNone(t *testing.T) {
	if Built {
		t.Fatal("Built is true in a build without the tag")
	}
	dir := t.TempDir()
	t.Setenv("HOLDFAST_FAILPOINTS", dir)
	for _, p := range Points() {
		if err := Arm(dir, p); err != nil {
			t.Fatal(err)
		}
		if Hit(p); Reached(dir, p) {
			t.Errorf("%s was reached", p)
		}
	}
}
