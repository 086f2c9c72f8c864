package failpoint

import (
	"slices"
	"strings"
	"testing"
)

func TestOneProcessTakesThePoint(t *testing.T) {
	dir, p := t.TempDir(), Points()[0]
	if take(dir, p) || Reached(dir, p) {
		t.Fatal("taken without having been armed")
	}
	for range 2 {
		if err := Arm(dir, p); err != nil {
			t.Fatal(err)
		}
		if Reached(dir, p) {
			t.Error("reached before anybody was there")
		}
		if !take(dir, p) || take(dir, p) || !Reached(dir, p) {
			t.Error("not taken once")
		}
	}
	if err := Arm(dir, p); err != nil {
		t.Fatal(err)
	}
	if err := Disarm(dir, p); err != nil {
		t.Fatal(err)
	}
	if take(dir, p) || Reached(dir, p) {
		t.Error("taken after it was disarmed")
	}
}

func TestNames(t *testing.T) {
	all := Points()
	if len(all) < 40 {
		t.Errorf("only %d points", len(all))
	}
	for i, p := range all {
		if slices.Index(all, p) != i {
			t.Errorf("%s is there twice", p)
		}
		if p == "" || strings.ContainsAny(string(p), "/. ") || !strings.Contains(string(p), "-") {
			t.Errorf("%q is no name of a file", p)
		}
	}
}
