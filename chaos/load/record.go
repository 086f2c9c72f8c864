package load

import (
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Record counts what a load did. Its fields may be read while the load runs.
type Record struct {
	Requests atomic.Int64 // requests that users made
	Failed   atomic.Int64 // of these, those that never got an answer
	Retried  atomic.Int64 // attempts that a client had to repeat at another node
	Forged   atomic.Int64 // requests with a forged cookie
	Uploads  atomic.Int64 // POSTs that were answered
	Bytes    atomic.Int64 // that they brought
	Sockets  atomic.Int64 // WebSockets that were opened
	Broken   atomic.Int64 // of these, those that ended before their client wanted
	Fresh    Latencies    // requests that made a session, retries included
	Assigned Latencies    // requests of a known session, retries included

	mu     sync.Mutex
	causes map[string]int
}

// maxCauses bounds how many different causes of retries are told apart.
const maxCauses = 50

// because notes why an attempt failed.
func (r *Record) because(err error) {
	cause := err.Error()
	var system syscall.Errno // "connection refused", without the ports that make each one different
	switch {
	case errors.As(err, &system):
		cause = system.Error()
	case errors.Is(err, os.ErrDeadlineExceeded):
		cause = "no answer in time"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.causes == nil {
		r.causes = map[string]int{}
	}
	if _, known := r.causes[cause]; !known && len(r.causes) >= maxCauses {
		cause = "something else"
	}
	r.causes[cause]++
}

// Causes says why attempts had to be repeated, and how often.
func (r *Record) Causes() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, cause := range slices.Sorted(maps.Keys(r.causes)) {
		all = append(all, fmt.Sprintf("%d times %s", r.causes[cause], cause))
	}
	return strings.Join(all, ", ")
}

func (r *Record) String() string {
	return fmt.Sprintf("%d requests, %d failed, %d retried (%s), %d forged; new sessions %s; known ones %s",
		r.Requests.Load(), r.Failed.Load(), r.Retried.Load(), r.Causes(), r.Forged.Load(), &r.Fresh, &r.Assigned)
}

// Latencies is a histogram whose buckets are at most an eighth wide, from 1 microsecond to hours. The zero value is empty.
type Latencies struct {
	count   atomic.Int64
	longest atomic.Int64 // nanoseconds
	buckets [64 * 8]atomic.Int64
}

// Add counts one latency.
func (l *Latencies) Add(d time.Duration) {
	l.count.Add(1)
	l.buckets[bucket(d)].Add(1)
	for {
		longest := l.longest.Load()
		if int64(d) <= longest || l.longest.CompareAndSwap(longest, int64(d)) {
			return
		}
	}
}

// bucket: the position of the highest bit, and the three bits below it.
func bucket(d time.Duration) int {
	us := uint64(max(d.Microseconds(), 8)) // below 8 there are no three bits
	high := bits.Len64(us) - 1
	return high*8 + int(us>>(high-3)&7)
}

// upper is the end of a bucket.
func upper(bucket int) time.Duration {
	return time.Duration(uint64(bucket%8+9)<<(bucket/8-3)) * time.Microsecond
}

// Count is the number of latencies.
func (l *Latencies) Count() int64 { return l.count.Load() }

// Longest is the longest latency, exactly.
func (l *Latencies) Longest() time.Duration { return time.Duration(l.longest.Load()) }

// Quantile gives the latency that the share q (0 to 1) did not exceed, an eighth too long at most; 0 when there are none.
func (l *Latencies) Quantile(q float64) time.Duration {
	left := int64(q * float64(l.count.Load()))
	for i := range l.buckets {
		n := l.buckets[i].Load()
		if n > 0 && left < n {
			return min(upper(i), l.Longest())
		}
		left -= n
	}
	return l.Longest()
}

func (l *Latencies) String() string {
	round := func(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
	return fmt.Sprintf("n=%d p50=%s p99=%s max=%s", l.Count(), round(l.Quantile(0.5)), round(l.Quantile(0.99)), round(l.Longest()))
}
