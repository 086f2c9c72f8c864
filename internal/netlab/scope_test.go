//go:build linux

package netlab

import (
	"strings"
	"testing"
)

// TestScope: what would fail a test is an error; what was made is ended, the last first, also after one that could not be; and a bug stays a panic.
func TestScope(t *testing.T) {
	var s Scope
	var order []string
	s.Cleanup(func() { order = append(order, "first") })
	s.Cleanup(func() { s.Fatal("does not end") })
	s.Cleanup(func() { order = append(order, "last") })
	if err := s.Try(func() { s.Fatalf("no %s", "bridge"); order = append(order, "went on") }); err == nil || err.Error() != "no bridge" {
		t.Errorf("%v", err)
	}
	if err := s.Try(func() {}); err != nil {
		t.Error(err)
	}
	s.Errorf("noted")
	err := s.Close()
	if err == nil || !strings.Contains(err.Error(), "does not end") || !strings.Contains(err.Error(), "noted") || strings.Join(order, " ") != "last first" {
		t.Errorf("%v, %v", err, order)
	}
	defer func() {
		if recover() == nil {
			t.Error("a bug was taken for a failure")
		}
	}()
	_ = s.Try(func() { panic("BUG: x") })
}
