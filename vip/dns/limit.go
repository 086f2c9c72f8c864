package dns

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

// limiter bounds how many answers one network of clients gets by UDP (response rate limiting): whoever forges the address of a victim cannot have it
// flooded. Of the queries beyond the limit every second one gets an empty answer with TC, which is no longer than the query, so that a client that is really
// there comes again by TCP; the others get nothing.
//
// A network's bucket is found by a hash with a secret seed, and networks whose hashes are equal share it. So forged sources, however many, take no memory and
// drive nobody's count out; sharing can only make the limit stricter, and then TCP is there.
type limiter struct {
	interval int64 // nanoseconds for one answer; 0: no limit
	burst    int64 // nanoseconds that a network may be ahead: one second's answers at once
	seed     maphash.Seed
	start    time.Time
	buckets  []bucket
}

// bucket is a leaky bucket by the time at which it will be empty (GCRA), in nanoseconds since the limiter's start.
type bucket struct {
	empty atomic.Int64
	over  atomic.Uint32 // queries beyond the limit
}

// limitBuckets take half a MiB. A flood from random sources is spread over them: it needs the rate of one network times their number to limit everybody.
const limitBuckets = 1 << 15

type verdict int

const (
	pass verdict = iota
	slip         // an empty answer with TC
	drop
)

// newLimiter allows perSecond answers a second; not positive: any number.
func newLimiter(perSecond int, now time.Time) *limiter {
	l := &limiter{start: now, seed: maphash.MakeSeed()}
	if perSecond > 0 {
		l.interval = int64(time.Second) / int64(perSecond)
		l.burst = int64(time.Second)
		l.buckets = make([]bucket, limitBuckets)
	}
	return l
}

// network is what is limited as one: a /24 of IPv4, a /56 of IPv6.
func network(from netip.Addr) netip.Addr {
	from = from.Unmap().WithZone("")
	bits := 56
	if from.Is4() {
		bits = 24
	}
	p, err := from.Prefix(bits)
	if err != nil {
		return from // no address at all
	}
	return p.Addr()
}

func (l *limiter) judge(from netip.Addr, now time.Time) verdict {
	if l.interval == 0 {
		return pass
	}
	ip := network(from).As16()
	b := &l.buckets[maphash.Bytes(l.seed, ip[:])%limitBuckets]
	at := int64(now.Sub(l.start))
	for {
		empty := b.empty.Load()
		next := max(empty, at) + l.interval
		if next-at > l.burst {
			if b.over.Add(1)%2 == 1 {
				return slip
			}
			return drop
		}
		if b.empty.CompareAndSwap(empty, next) {
			return pass
		}
	}
}
