package measure

import (
	"cmp"
	"slices"
	"time"
)

// Request is one request of a client and what became of it.
type Request struct {
	Start, End time.Time
	// By is the node that answered; empty when none did.
	By string
	// Err is empty when the answer was the right one in time.
	Err string
}

// OK says whether the request was answered rightly and in time.
func (r Request) OK() bool { return r.Err == "" }

// Requests are those of one client, in any order.
type Requests []Request

// open is how long before the end of the time looked at the last good request may have begun for the service to count as back.
const open = 100 * time.Millisecond

// Outage is the longest time without service between from and to: from the start of the last request that was answered before the gap to the end of the first
// that was answered after it. So it is never shorter than what a client noticed, and without any fault it is the time between two requests plus that of one.
// Only gaps that end after from count. When nothing was answered for some time at the end, that is a gap too, and over is false.
func (r Requests) Outage(from, to time.Time) (longest time.Duration, over bool) {
	good := slices.DeleteFunc(slices.Clone(r), func(q Request) bool { return !q.OK() || q.End.After(to) })
	slices.SortFunc(good, func(a, b Request) int { return a.End.Compare(b.End) })
	last := from // with no good request before from, the gap is counted from there
	for i, q := range good {
		if q.End.After(from) {
			longest = max(longest, q.End.Sub(last))
		}
		if i == 0 || q.Start.After(last) {
			last = q.Start
		}
	}
	if rest := to.Sub(last); rest > open {
		return max(longest, rest), false
	}
	return longest, true
}

// Between are the requests that were under way at some time between from and to, but for those that had been under way for longer than patience before: what became of
// them was decided earlier.
func (r Requests) Between(from, to time.Time, patience time.Duration) Requests {
	return slices.DeleteFunc(slices.Clone(r), func(q Request) bool {
		return q.End.Before(from) || q.Start.After(to) || q.Start.Before(from.Add(-patience))
	})
}

// Failed are those that were not answered, in the order of their start.
func (r Requests) Failed() Requests {
	failed := slices.DeleteFunc(slices.Clone(r), Request.OK)
	slices.SortFunc(failed, func(a, b Request) int { return a.Start.Compare(b.Start) })
	return failed
}

// Causes counts the errors.
func (r Requests) Causes() map[string]int {
	causes := map[string]int{}
	for _, q := range r {
		if !q.OK() {
			causes[q.Err]++
		}
	}
	return causes
}

// Median of the values; of an even number the mean of the two in the middle; 0 of none.
func Median[T ~int64 | ~float64](values []T) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.SortedFunc(slices.Values(values), cmp.Compare[T])
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
