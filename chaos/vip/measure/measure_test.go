package measure

import (
	"testing"
	"time"
)

var zero = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func ms(n float64) time.Time { return zero.Add(time.Duration(n * float64(time.Millisecond))) }

// every gives good requests of 1 ms, one each 5 ms, that begin from a to before b.
func every(a, b float64) (r Requests) {
	for at := a; at < b; at += 5 {
		r = append(r, Request{Start: ms(at), End: ms(at + 1), By: "n1"})
	}
	return r
}

func bad(a, b float64) (r Requests) {
	for at := a; at < b; at += 5 {
		r = append(r, Request{Start: ms(at), End: ms(at + 100), Err: "refused"})
	}
	return r
}

func TestOutage(t *testing.T) {
	for _, c := range []struct {
		name     string
		requests Requests
		from, to float64
		want     float64 // milliseconds
		over     bool
	}{
		{"no fault", every(0, 1000), 100, 1000, 6, true},
		{"from the last good start to the first good end", append(every(0, 200), every(240, 1000)...), 100, 1000, 46, true},
		{"failed requests are no service", append(append(every(0, 200), bad(200, 240)...), every(240, 1000)...), 100, 1000, 46, true},
		{"a gap that began before the fault", append(every(0, 95), every(150, 1000)...), 100, 1000, 61, true},
		{"a gap that ended before the fault is not its", append(every(0, 20), every(90, 1000)...), 100, 1000, 6, true},
		{"the longest of two", append(append(every(0, 200), every(240, 500)...), every(560, 1000)...), 100, 1000, 66, true},
		{"never back", every(0, 200), 100, 1000, 805, false},
		{"never there", nil, 100, 1000, 900, false},
		{"back at the end only", append(every(0, 200), every(950, 1000)...), 100, 1000, 756, true},
		{"a late answer does not close a gap that another closed", append(append(every(0, 200), every(240, 1000)...), Request{Start: ms(198), End: ms(900)}), 100, 1000, 46, true},
	} {
		got, over := c.requests.Outage(ms(c.from), ms(c.to))
		if want := time.Duration(c.want * float64(time.Millisecond)); got != want || over != c.over {
			t.Errorf("%s: %v over %v, want %v over %v", c.name, got, over, want, c.over)
		}
	}
}

func TestFailed(t *testing.T) {
	r := append(append(bad(300, 310), every(0, 200)...), bad(200, 210)...)
	if got := r.Between(ms(150), ms(320), time.Hour).Failed(); len(got) != 4 || !got[0].Start.Equal(ms(200)) {
		t.Errorf("failed: %v", got)
	}
	if got := r.Between(ms(0), ms(190), time.Hour).Failed(); len(got) != 0 {
		t.Errorf("failed before the fault: %v", got)
	}
	// One that was under way when the time began belongs to it.
	if got := r.Between(ms(306), ms(320), time.Hour).Causes(); len(got) != 1 || got["refused"] != 2 {
		t.Errorf("causes: %v", got)
	}
	// One that had hung for long before does not.
	if got := r.Between(ms(290), ms(320), 85*time.Millisecond).Failed(); len(got) != 3 || !got[0].Start.Equal(ms(205)) {
		t.Errorf("failed after a long time: %v", got)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []time.Duration
		want   time.Duration
	}{{nil, 0}, {[]time.Duration{3}, 3}, {[]time.Duration{9, 1, 5}, 5}, {[]time.Duration{9, 1, 5, 7}, 6}} {
		if got := Median(c.values); got != c.want {
			t.Errorf("median of %v: %v", c.values, got)
		}
	}
}

func TestBoth(t *testing.T) {
	c := Changes{
		{ms(0), 0, true}, {ms(0), 1, false}, {ms(0), 2, false},
		{ms(100), 1, true}, {ms(100), 1, true}, // told twice
		{ms(150), 0, false}, {ms(150), 0, false},
		{ms(300), 1, false}, {ms(320), 2, true},
	}
	for _, w := range []struct{ from, to, both, none float64 }{
		{0, 1000, 50, 20}, {0, 120, 20, 0}, {120, 140, 20, 0}, {140, 1000, 10, 20}, {151, 290, 0, 0}, {310, 315, 0, 5}, {500, 600, 0, 0},
	} {
		if got := c.Both(ms(w.from), ms(w.to)); got != ms(w.both).Sub(zero) {
			t.Errorf("both from %v to %v: %v, want %v ms", w.from, w.to, got, w.both)
		}
		if got := c.None(ms(w.from), ms(w.to)); got != ms(w.none).Sub(zero) {
			t.Errorf("none from %v to %v: %v, want %v ms", w.from, w.to, got, w.none)
		}
	}
	if h := c.Holders(ms(120)); len(h) != 2 || h[0] != 0 || h[1] != 1 {
		t.Errorf("holders: %v", h)
	}
	if h := c.Holders(ms(310)); len(h) != 0 {
		t.Errorf("holders: %v", h)
	}
	if n := c.Taken(ms(50), ms(1000)); n != 2 {
		t.Errorf("taken %d times", n)
	}
}

func TestContested(t *testing.T) {
	claims := func(list ...float64) (c Claims) { // node, time, node, time, ...
		for i := 0; i < len(list); i += 2 {
			c = append(c, Claim{Node: int(list[i]), At: ms(list[i+1])})
		}
		return c
	}
	for _, c := range []struct {
		name   string
		claims Claims
		want   float64
	}{
		{"one owner", claims(0, 10, 0, 20, 0, 30), 0},
		{"one after the other", claims(0, 10, 0, 20, 1, 30, 1, 40), 0},
		{"the old one comes back once", claims(0, 10, 1, 30, 0, 45, 0, 55), 15},
		{"both all the time", claims(0, 10, 1, 11, 0, 20, 1, 21, 0, 30, 1, 31), 20},
		{"there and back again, in good order", claims(0, 10, 1, 30, 1, 130, 0, 150, 0, 160), 0},
		{"three in turn", claims(0, 10, 1, 20, 2, 30), 0},
	} {
		if got := c.claims.Contested(ms(0), ms(1000)); got != ms(c.want).Sub(zero) {
			t.Errorf("%s: %v, want %v ms", c.name, got, c.want)
		}
	}
	if n := claims(0, 10, 1, 20, 0, 30).By(0, ms(10), ms(1000)); n != 1 {
		t.Errorf("claims of 0: %d", n)
	}
}
