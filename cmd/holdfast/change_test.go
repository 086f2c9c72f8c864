package main

import (
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

// TestSessionsOfAModuleAreThoseOfItsInstances: where both go their sessions stand in two lines, and it is said.
func TestSessionsOfAModuleAreThoseOfItsInstances(t *testing.T) {
	gone := func(cluster, instance, root string) wire.Displaced {
		return wire.Displaced{Subject: wire.Subject{Cluster: cluster, Instance: instance, ContextRoot: root}, Why: "removed", Sessions: 2, Goes: wire.GoesNowhere}
	}
	for _, c := range []struct {
		list []wire.Displaced
		want bool
	}{
		{[]wire.Displaced{gone("a", "", "/"), gone("a", "i1", "")}, true},
		{[]wire.Displaced{gone("a", "i1", ""), gone("a", "i2", "")}, false},
		{[]wire.Displaced{gone("a", "", "/"), gone("b", "i1", "")}, false},
	} {
		var b strings.Builder
		if err := writeEffect(&b, &wire.Effect{Stopped: c.list}, true); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(b.String(), "a session is counted with its module and with its instance\n"); got != c.want {
			t.Errorf("said %v, want %v:\n%s", got, c.want, &b)
		}
	}
}
