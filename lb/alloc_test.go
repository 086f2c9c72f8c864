//go:build !race

package lb

import "testing"

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
