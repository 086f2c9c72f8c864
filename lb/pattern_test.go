package lb

import (
	"testing"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

func TestPatternsByServletRules(t *testing.T) { // SUN: idempotent-url-pattern
	p := newPatterns([]config.Pattern{{Pattern: "/foo/bar/*", Retries: 1}, {Pattern: "/baz/*", Retries: 2}, {Pattern: "/catalog", Retries: 3},
		{Pattern: "*.bop", Retries: 4}, {Pattern: "/foo/bar/deep/*", Retries: 5}, {Pattern: "/foo/bar/exact.bop", Retries: 6}})
	for path, want := range map[string]int{
		"/foo/bar/index.html": 1, "/foo/bar/index.bop": 1, "/foo/bar": 1, "/foo/bar/": 1, "/foo/bar/deep": 5, "/foo/bar/deep/x": 5, "/foo/bar/deeper": 1,
		"/foo/bar/exact.bop": 6, "/baz": 2, "/baz/index.html": 2, "/catalog": 3, "/catalog/racecar.bop": 4, "/index.bop": 4, "/a/b/c.bop": 4,
	} {
		if got, ok := p.match(path); !ok || got != want {
			t.Errorf("%s: %d %v, want %d", path, got, ok, want)
		}
	}
	for _, path := range []string{"", "/", "/catalog/index.html", "/foo/barn", "/index.BOP", "/x.bop/y", "/bop", "/foo"} {
		if got, ok := p.match(path); ok {
			t.Errorf("%s matches: %d", path, got)
		}
	}
	all := newPatterns([]config.Pattern{{Pattern: "/", Retries: -1}, {Pattern: "/pay/*", Retries: 0}})
	for path, want := range map[string]int{"": -1, "/": -1, "/x/y.z": -1, "/pay": 0, "/pay/now": 0} {
		if got, ok := all.match(path); !ok || got != want {
			t.Errorf("%q: %d %v, want %d", path, got, ok, want)
		}
	}
	none := newPatterns(nil)
	if _, ok := none.match("/"); ok {
		t.Error("no pattern matches")
	}
	every := newPatterns([]config.Pattern{{Pattern: "/*", Retries: 2}})
	if got, ok := every.match("/a/b"); !ok || got != 2 {
		t.Error("/* does not match all")
	}
}
