//go:build !mutants

package mutant

import "testing"

func TestNormalBuildHasNoMutants(t *testing.T) {
	if Built {
		t.Fatal("Built is true in a build without the tag")
	}
	for _, name := range Names() {
		t.Setenv("HOLDFAST_MUTANT", name)
		if On(name) {
			t.Errorf("%s is on in a build without the tag", name)
		}
	}
}
