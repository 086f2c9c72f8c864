package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/record"
)

// timeline is the picture of a run. All positions along the time are in percent of its length, so that it fits any width; charts are drawn in a
// box of 1000 by 100.
type timeline struct {
	Ticks   []tick
	Rows    [][]bar // faults, in as many rows as overlap
	Bands   []bar   // the times with some fault, behind the charts
	Leader  []bar
	Holder  []bar
	Changes []bar // of the configuration, quiesces
	Rate    chart
	Latency chart
	Legend  []legend // the nodes
	Step    int      // seconds that one point of the charts stands for
	Seconds []point  // for the pointer
	Faults  []span
}

type tick struct {
	At    float64
	Label string
	Minor bool
}

// bar is something from one time until another.
type bar struct {
	Left, Width float64
	Class       string
	Label, Hint string
}

type legend struct{ Class, Name string }

// chart is one curve or several over the time.
type chart struct {
	Top   string // the value at the upper edge
	Lines []rule
	Paths []path
	Bars  []bar // of what failed
}

// rule is a horizontal line with its value.
type rule struct {
	Y     float64 // percent from the top
	Label string
}

type path struct{ Class, D string }

// point is what the pointer shows; the names are short because there is one for each second.
type point struct {
	T int     `json:"t"`
	N int     `json:"n"`
	F int     `json:"f"`
	R int     `json:"r"`
	A float64 `json:"a"`
	B float64 `json:"b"`
	C float64 `json:"c"`
	M float64 `json:"m"`
	L string  `json:"l"`
	H string  `json:"h"`
}

// span is a fault for the pointer, in seconds.
type span struct {
	From float64 `json:"from"`
	To   float64 `json:"to"`
	Text string  `json:"text"`
}

// maxPoints bounds how many points a chart has: more cannot be told apart.
const maxPoints = 600

func newTimeline(r *record.Run) timeline {
	length := max(r.Took, time.Second)
	t := timeline{Step: 1 + len(r.Series)/maxPoints}
	at := func(d time.Duration) float64 { return round(share(d, length)) }
	t.Ticks = ticks(length)
	t.faults(r, length, at)
	classes := nodeClasses(r)
	t.Leader = lanes(r, length, at, classes, record.LeaderIs, func(s record.Second) string { return s.Leader })
	t.Holder = lanes(r, length, at, classes, record.HolderIs, func(s record.Second) string { return s.Holder })
	for _, name := range classes.names {
		t.Legend = append(t.Legend, legend{classes.of(name), name})
	}
	for _, e := range r.Events {
		if e.Kind == record.Configured || e.Kind == record.Quiesced {
			t.Changes = append(t.Changes, bar{Left: at(e.At), Class: string(e.Kind), Hint: clock(e.At) + " " + e.Text})
		}
	}
	t.Seconds = points(whole(r), t.Step)
	t.rate(length)
	t.latency(length)
	return t
}

func round(x float64) float64 { return math.Round(x*1000) / 1000 }

// ticks are at round times, ten at most; on a narrow page every second one is left out.
func ticks(length time.Duration) (list []tick) {
	step := time.Second
	for _, s := range []time.Duration{1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400, 7 * 86400, 30 * 86400} {
		if step = s * time.Second; length/step <= 9 {
			break
		}
	}
	for at := time.Duration(0); at <= length-step/4; at += step {
		label := fmt.Sprintf("%d s", int(at.Seconds()))
		switch {
		case at >= time.Hour:
			label = fmt.Sprintf("%d:%02d h", int(at.Hours()), int(at.Minutes())%60)
		case at >= time.Minute:
			label = fmt.Sprintf("%d:%02d", int(at.Minutes()), int(at.Seconds())%60)
		}
		list = append(list, tick{At: round(share(at, length)), Label: label, Minor: len(list)%2 == 1})
	}
	return list
}

// faults puts each fault in the first row that is free.
func (t *timeline) faults(r *record.Run, length time.Duration, at func(time.Duration) float64) {
	var free []time.Duration
	for _, f := range r.Played() {
		to := max(f.To, f.From)
		b := bar{Left: at(f.From), Width: round(at(to) - at(f.From)), Class: "fault", Label: f.Name, Hint: faultHint(f)}
		if f.Target != "" {
			b.Label += " · " + f.Target
		}
		if !f.Healed {
			b.Class += " unhealed"
		}
		row := slices.IndexFunc(free, func(until time.Duration) bool { return until <= f.From })
		if row < 0 {
			row = len(free)
			free, t.Rows = append(free, 0), append(t.Rows, nil)
		}
		// A label needs room, also where the bar is short.
		free[row] = max(to, f.From+length/8)
		t.Rows[row] = append(t.Rows[row], b)
		t.band(b.Left, max(b.Width, 0.1))
		t.Faults = append(t.Faults, span{f.From.Seconds(), to.Seconds(), b.Label})
	}
}

// band marks a time with some fault. Faults are in the order in which they begin, so what overlaps overlaps the last band.
func (t *timeline) band(left, width float64) {
	if n := len(t.Bands); n > 0 {
		if last := &t.Bands[n-1]; left <= last.Left+last.Width {
			last.Width = round(max(last.Width, left+width-last.Left))
			return
		}
	}
	t.Bands = append(t.Bands, bar{Left: left, Width: width, Class: "band"})
}

func faultHint(f record.Fault) string {
	text := fmt.Sprintf("%s %s, %s until %s. Outage %s, slowest request %s, %d failed, %d refused.", f.Name, f.Target, clock(f.From), clock(f.To), record.Short(f.Outage),
		record.Short(f.Slowest), f.Failed, f.Refused)
	if f.Text != "" {
		text += " " + f.Text
	}
	return text
}

// classes gives each node a colour, in the order of their names.
type classes struct{ names []string }

// colours is how many there are; more nodes share them.
const colours = 5

func nodeClasses(r *record.Run) *classes {
	c := &classes{names: slices.Clone(r.Nodes)}
	for _, e := range r.Events {
		if (e.Kind == record.LeaderIs || e.Kind == record.HolderIs) && e.Subject != "" && !slices.Contains(c.names, e.Subject) {
			c.names = append(c.names, e.Subject)
		}
	}
	return c
}

func (c *classes) of(name string) string {
	if name == "" {
		return "none"
	}
	return fmt.Sprintf("c%d", max(0, slices.Index(c.names, name))%colours)
}

// lanes turns the events of a kind into bars, from each to the next. A run without such events has what its seconds say.
func lanes(r *record.Run, length time.Duration, at func(time.Duration) float64, c *classes, kind record.Kind, of func(record.Second) string) (list []bar) {
	type turn struct {
		at   time.Duration
		name string
	}
	var turns []turn
	for _, e := range r.Events {
		if e.Kind == kind {
			turns = append(turns, turn{e.At, e.Subject})
		}
	}
	if len(turns) == 0 {
		for i, s := range r.Series {
			if name := of(s); i == 0 && name != "" || i > 0 && name != of(r.Series[i-1]) {
				turns = append(turns, turn{time.Duration(s.At) * time.Second, name})
			}
		}
	}
	for i, u := range turns {
		until := length
		if i+1 < len(turns) {
			until = turns[i+1].at
		}
		b := bar{Left: at(u.at), Width: round(at(until) - at(u.at)), Class: c.of(u.name), Label: u.name}
		b.Hint = fmt.Sprintf("%s from %s for %s", u.name, clock(u.at), record.Short(until-u.at))
		if u.name == "" {
			b.Label, b.Hint = "nobody", fmt.Sprintf("nobody from %s for %s", clock(u.at), record.Short(until-u.at))
			b.Width = max(b.Width, 0.15)
		}
		list = append(list, b)
	}
	return list
}

// whole leaves out the last second when it was cut short: it would look like an outage.
func whole(r *record.Run) []record.Second {
	n := len(r.Series)
	if n > 1 && time.Duration(n)*time.Second > r.Took {
		n--
	}
	return r.Series[:n]
}

// points joins seconds: counts are per second, latencies the worst of them.
func points(series []record.Second, step int) (list []point) {
	for group := range slices.Chunk(series, step) {
		p := point{T: group[0].At, L: group[len(group)-1].Leader, H: group[len(group)-1].Holder}
		n := 0
		for _, s := range group {
			n += s.Requests
			p.F, p.R = p.F+s.Failed, p.R+s.Refused
			p.A, p.B, p.C, p.M = max(p.A, s.P50), max(p.B, s.P90), max(p.C, s.P99), max(p.M, s.Max)
			if s.Leaderless {
				p.L = ""
			}
		}
		p.N = n / len(group)
		list = append(list, p)
	}
	return list
}

// rate draws the requests of each second, and those that failed.
func (t *timeline) rate(length time.Duration) {
	most := 1
	for _, p := range t.Seconds {
		most = max(most, p.N)
	}
	top := niceAbove(float64(most))
	t.Rate.Lines = []rule{{0, record.Number(int(top))}, {50, record.Number(int(top / 2))}}
	var values []float64
	for _, p := range t.Seconds {
		values = append(values, 100-100*float64(p.N)/top)
	}
	line := t.curve(values, length)
	if line != "" {
		t.Rate.Paths = []path{{"area", line + fmt.Sprintf("V100H%sZ", t.x(0, length))}, {"rate", line}}
	}
	for i, p := range t.Seconds {
		if p.F > 0 {
			left := round(share(time.Duration(i*t.Step)*time.Second, length))
			t.Rate.Bars = append(t.Rate.Bars, bar{
				Left: left, Width: max(0.25, round(share(time.Duration(t.Step)*time.Second, length))), Hint: fmt.Sprintf("%s: %d failed", clock(time.Duration(p.T)*time.Second), p.F),
			})
		}
	}
}

// niceAbove is the next of 1, 2, 5, 10, 20, … that is not below x.
func niceAbove(x float64) float64 {
	for scale := 1.0; ; scale *= 10 {
		for _, n := range []float64{1, 2, 4, 5} {
			if n*scale >= x {
				return n * scale
			}
		}
	}
}

// latency draws percentiles on a logarithmic scale.
func (t *timeline) latency(length time.Duration) {
	low, high := 1.0, 10.0
	for _, p := range t.Seconds {
		for high < p.M && high < 1e7 {
			high *= 10
		}
		if p.A > 0 && p.A < low {
			low = 0.1
		}
	}
	y := func(ms float64) float64 {
		return 100 - 100*math.Log10(min(max(ms, low), high)/low)/math.Log10(high/low)
	}
	for ms := high; ms > low; ms /= 10 {
		t.Latency.Lines = append(t.Latency.Lines, rule{round(y(ms)), milliseconds(ms)})
	}
	for _, line := range []struct {
		class string
		of    func(point) float64
	}{{"max", func(p point) float64 { return p.M }}, {"p99", func(p point) float64 { return p.C }}, {"p90", func(p point) float64 { return p.B }}, {"p50", func(p point) float64 { return p.A }}} {
		var values []float64
		for _, p := range t.Seconds {
			if p.M == 0 {
				values = append(values, math.NaN()) // no answer: no line
				continue
			}
			values = append(values, y(line.of(p)))
		}
		if d := t.curve(values, length); d != "" {
			t.Latency.Paths = append(t.Latency.Paths, path{line.class, d})
		}
	}
}

// milliseconds gives a round time at the edge of a chart.
func milliseconds(ms float64) string {
	if ms >= 1000 {
		return record.Number(int(ms/1000)) + " s"
	}
	return fmt.Sprintf("%g ms", ms)
}

// x is where the middle of a point is, of 1000.
func (t *timeline) x(i int, length time.Duration) string {
	middle := time.Duration(float64(t.Step) * (float64(i) + 0.5) * float64(time.Second))
	return fmt.Sprintf("%.2f", 10*share(middle, length))
}

// curve joins values, in percent from the top, with lines; where one is not a number there is a gap.
func (t *timeline) curve(values []float64, length time.Duration) string {
	var b strings.Builder
	pen := byte('M')
	for i, v := range values {
		if math.IsNaN(v) {
			pen = 'M'
			continue
		}
		fmt.Fprintf(&b, "%c%s %.2f", pen, t.x(i, length), v)
		if pen == 'M' && (i+1 == len(values) || math.IsNaN(values[i+1])) {
			b.WriteString("h2") // a single point would not be seen
		}
		pen = 'L'
	}
	return b.String()
}
