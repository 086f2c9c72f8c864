package lan

import (
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/vip/measure"
)

var zero = time.Unix(1000, 0)

func at(ms int) time.Time { return zero.Add(time.Duration(ms) * time.Millisecond) }

func TestLongestBoth(t *testing.T) {
	for name, c := range map[string]struct {
		changes measure.Changes
		want    int // ms, when it is 10 s
	}{
		"nobody":              {nil, 0},
		"one after the other": {measure.Changes{{At: at(0), Node: 0, Held: true}, {At: at(10), Node: 0}, {At: at(10), Node: 1, Held: true}}, 0},
		"twice together":      {measure.Changes{{At: at(0), Node: 0, Held: true}, {At: at(10), Node: 1, Held: true}, {At: at(40), Node: 0}, {At: at(50), Node: 2, Held: true}, {At: at(70), Node: 2}}, 30},
		"said again":          {measure.Changes{{At: at(0), Node: 0, Held: true}, {At: at(10), Node: 1, Held: true}, {At: at(20), Node: 1, Held: true}, {At: at(20), Node: 2}, {At: at(40), Node: 0}}, 30},
		"still":               {measure.Changes{{At: at(0), Node: 0, Held: true}, {At: at(9000), Node: 1, Held: true}}, 1000},
		"three, and then two": {measure.Changes{{At: at(0), Node: 0, Held: true}, {At: at(10), Node: 1, Held: true}, {At: at(20), Node: 2, Held: true}, {At: at(30), Node: 0}, {At: at(50), Node: 1}}, 40},
	} {
		if got := longestBoth(c.changes, at(10_000), func(time.Time) bool { return false }); got != time.Duration(c.want)*time.Millisecond {
			t.Errorf("%s: %v, want %d ms", name, got, c.want)
		}
	}
}

// TestPlannedHandOver: what begins in a planned hand-over is left out, and nothing else.
func TestPlannedHandOver(t *testing.T) {
	changes := measure.Changes{
		{At: at(0), Node: 0, Held: true}, {At: at(10), Node: 1, Held: true}, {At: at(50), Node: 0},
		{At: at(100), Node: 0, Held: true}, {At: at(120), Node: 1},
	}
	for until, want := range map[int]time.Duration{0: 40 * time.Millisecond, 60: 20 * time.Millisecond, 200: 0} {
		if got := longestBoth(changes, at(10_000), func(since time.Time) bool { return since.Before(at(until)) }); got != want {
			t.Errorf("planned until %d ms: %v, want %v", until, got, want)
		}
	}
}

func TestLongestContested(t *testing.T) {
	turns := func(from, to int, nodes ...int) (list measure.Claims) {
		for ms, i := from, 0; ms <= to; ms, i = ms+10, i+1 {
			list = append(list, measure.Claim{At: at(ms), Node: nodes[i%len(nodes)]})
		}
		return list
	}
	for name, c := range map[string]struct {
		claims measure.Claims
		want   int
	}{
		"nobody":       {nil, 0},
		"one":          {turns(0, 500, 1), 0},
		"good order":   {append(turns(0, 500, 1), turns(510, 900, 2)...), 0},
		"in turns":     {append(append(turns(0, 500, 1), turns(510, 800, 2, 1)...), turns(810, 1500, 2)...), 290},
		"back at once": {append(append(turns(0, 500, 1), turns(510, 700, 2)...), turns(1000, 1200, 1)...), 0},
	} {
		got := longestContested(c.claims)
		if want := time.Duration(c.want) * time.Millisecond; (got - want).Abs() > 20*time.Millisecond {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
