//go:build !race

package lb

import (
	"io"
	"maps"
	"slices"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// Under the race detector a sync.Pool forgets at random.
func TestCookieOpenAllocatesNothing(t *testing.T) {
	k, scope := testKeyring(t, "secret"), scopeOf("c1", "", "/")
	value := k.seal(Cookie{}, scope)
	if n := testing.AllocsPerRun(100, func() { k.open(value, scope) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	k.sessionKey(scope, "warm up")
	if n := testing.AllocsPerRun(100, func() { k.sessionKey(scope, "ABCDEF0123456789ABCDEF0123456789") }); n > 0 {
		t.Errorf("session key: %v allocations", n)
	}
}

// TestLoggedRequestsAllocateNothing: neither does a whole assigned request on the loops, whatever the access log says of it.
func TestLoggedRequestsAllocateNothing(t *testing.T) {
	if netOnly {
		return // of the loops
	}
	every := slices.Sorted(maps.Keys(logFields))
	for _, log := range []config.AccessLog{{Format: "json"}, {Format: "json", Fields: every}, {Format: "combined"}, {Format: "off"}} {
		ask := assignedAsker(t, Options{AccessLog: io.Discard}, log)
		for range 50 {
			ask()
		}
		if n := testing.AllocsPerRun(400, ask); n > 0 {
			t.Errorf("%s, %d fields: %v allocations", log.Format, len(log.Fields), n)
		}
	}
}
