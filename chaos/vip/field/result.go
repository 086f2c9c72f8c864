package field

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/vip/measure"
)

// Service is what one kind of clients got in a part of a round.
type Service struct {
	Outage       time.Duration
	Over         bool // false: it was not over at the end
	Sent, Failed int
	Causes       map[string]int
	// First and Last are when the first and the last of those began that failed, seen from the beginning of the part.
	First, Last time.Duration
}

func (s Service) String() string {
	open := ""
	if !s.Over {
		open = " and longer"
	}
	return fmt.Sprintf("%.1f ms%s, %s", Milliseconds(s.Outage), open, s.Failures())
}

// Moved counts the requests that another instance answered than that of their session.
func (s Service) Moved() (n int) {
	for cause, times := range s.Causes {
		if strings.HasPrefix(cause, "wrong instance") {
			n += times
		}
	}
	return n
}

// Failures says how many requests failed, how, and when they began.
func (s Service) Failures() string {
	if s.Failed == 0 {
		return fmt.Sprintf("0 of %d failed", s.Sent)
	}
	return fmt.Sprintf("%d of %d failed, begun from %.0f to %.0f ms, %v", s.Failed, s.Sent, Milliseconds(s.First), Milliseconds(s.Last), s.Causes)
}

// Milliseconds is a duration for people.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// patience is how long a request may have been under way when a part of a round begins, to be one of that part.
const patience = 300 * time.Millisecond

func service(r measure.Requests, from, to time.Time) Service {
	here := r.Between(from, to, patience)
	failed := here.Failed()
	s := Service{Sent: len(here), Failed: len(failed), Causes: here.Causes(), Over: true}
	if len(failed) > 0 {
		s.First, s.Last = failed[0].Start.Sub(from), failed[len(failed)-1].Start.Sub(from)
	}
	if len(r) > 0 {
		s.Outage, s.Over = r.Outage(from, to)
	}
	return s
}

// Part is what was seen while the fault lasted, or from its heal on.
type Part struct {
	Probe, Fresh, Six, Slow, Lasting Service
	// Both is how long two kernels had the IPv4 address, Both6 the IPv6 one; None how long nobody had it.
	Both, Both6, None time.Duration
	// Two of Samples samples found two kernels with the address.
	Two, Samples int
	// Contested is how long two nodes said on the link, in turn, that the address is theirs.
	Contested time.Duration
	// Taken is how often a node got the address.
	Taken int
	// Old is how often the node that the fault happened to said on the link that the address is its own, after another had said so (or, from the heal on, at all).
	Old int
}

// Result is what became of a round.
type Result struct {
	System, Fault string
	Holder        int // when the fault began
	Next          int // when the heal began; -1: nobody, or several
	Last          int // at the end; -1: nobody, or several
	Hurt, Heal    Part
	// Before are the requests that failed before the fault: none, or the figures mean nothing.
	Before Service
	// Right of Sessions sessions went to their instances right after the take-over.
	Sessions, Right int
	SessionErr      error
	// Stall is the longest time during the round that the machine did not let a thread run that wanted to.
	Stall time.Duration
	// Strangers are claims of the address by machines that are no node.
	Strangers int
}

// ended are the requests that were over at a time: those under way when a fault begins are its own.
func ended(r measure.Requests, at time.Time) measure.Requests {
	return slices.DeleteFunc(slices.Clone(r), func(q measure.Request) bool { return q.End.After(at) })
}

// span are the moments of a round.
type span struct{ begin, fault, heal, end time.Time }

func judge(at span, system string, f Fault, holder int, w *watchers, a answers) *Result {
	changes, six := w.four.SoFar(), w.six.SoFar()
	claims, strangers := w.link.SoFar()
	r := &Result{
		System: system, Fault: f.Name, Holder: holder, Next: only(changes.Holders(at.heal)), Last: only(changes.Holders(at.end)), Strangers: strangers,
		Stall:  w.stalls.Worst(at.begin, at.end),
		Before: service(ended(a.probe, at.fault), at.begin.Add(lead/2), at.fault.Add(-time.Millisecond)),
	}
	part := func(from, to time.Time) Part {
		p := Part{
			Probe: service(a.probe, from, to), Fresh: service(a.fresh, from, to), Six: service(a.six, from, to), Slow: service(a.slow, from, to),
			Lasting: service(a.lasting, from, to), Both: changes.Both(from, to), Both6: six.Both(from, to), None: changes.None(from, to),
			Contested: claims.Contested(from, to), Taken: changes.Taken(from, to),
		}
		p.Two, p.Samples = w.samples.Two(from, to)
		return p
	}
	r.Hurt, r.Heal = part(at.fault, at.heal), part(at.heal, at.end)
	if taken, ok := claims.FirstByOther(holder, at.fault, at.heal); ok {
		r.Hurt.Old = claims.By(holder, taken, at.heal)
	}
	if r.Last != holder {
		r.Heal.Old = claims.By(holder, at.heal, at.end)
	}
	return r
}

// only is the one of a list of one, else -1.
func only(nodes []int) int {
	if len(nodes) == 1 {
		return nodes[0]
	}
	return -1
}

// Moved says whether any session was found at another instance than its own.
func (r *Result) Moved() bool {
	return r.Sessions > 0 && r.Right < r.Sessions || r.Hurt.Probe.Moved()+r.Hurt.Six.Moved()+r.Heal.Probe.Moved()+r.Heal.Six.Moved() > 0
}

// String is one line for a log.
func (r *Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s: n%d -> n%d -> n%d: idle %.1f ms, machine's worst stall %.1f ms; outage %s; both %.1f ms (%d of %d samples), IPv6 %.1f ms, contested %.1f ms; heal %s, both %.1f ms, old holder's claims %d",
		r.System, r.Fault, r.Holder+1, r.Next+1, r.Last+1, Milliseconds(r.Before.Outage), Milliseconds(r.Stall), r.Hurt.Probe, Milliseconds(r.Hurt.Both), r.Hurt.Two, r.Hurt.Samples, Milliseconds(r.Hurt.Both6), Milliseconds(r.Hurt.Contested),
		r.Heal.Probe, Milliseconds(r.Heal.Both), r.Heal.Old)
	for _, s := range []struct {
		name    string
		service Service
	}{{"new sessions", r.Hurt.Fresh}, {"IPv6", r.Hurt.Six}} {
		if s.service.Sent > 0 {
			fmt.Fprintf(&b, "; %s %s", s.name, s.service)
		}
	}
	if slow, lasting := r.Hurt.Slow, r.Hurt.Lasting; slow.Sent > 0 {
		fmt.Fprintf(&b, "; requests of a second: %s; over kept connections: %s", slow.Failures(), lasting.Failures())
	}
	if r.Sessions > 0 {
		fmt.Fprintf(&b, "; sessions %d of %d right", r.Right, r.Sessions)
	}
	return b.String()
}
