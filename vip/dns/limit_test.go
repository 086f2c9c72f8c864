package dns

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	wire "github.com/miekg/dns"
)

func count(c prometheus.Metric) float64 {
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		return -1
	}
	return m.GetCounter().GetValue() + m.GetGauge().GetValue()
}

// judged gives how many of n queries from one address get which verdict.
func judged(l *limiter, from string, at time.Time, n int) (got [3]int) {
	for range n {
		got[l.judge(netip.MustParseAddr(from), at)]++
	}
	return got
}

// TestLimit: a second's worth at once, then the rate; beyond it every second one is told to come by TCP. Networks are limited, not addresses.
func TestLimit(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	l := newLimiter(100, now)
	for _, tc := range []struct {
		from string
		at   time.Duration
		n    int
		want [3]int
	}{
		{"192.0.2.1", 0, 120, [3]int{100, 10, 10}},
		{"192.0.2.250", 0, 10, [3]int{0, 5, 5}}, // the same /24
		{"192.0.3.1", 0, 100, [3]int{100}},      // another one
		{"192.0.2.1", 100 * time.Millisecond, 20, [3]int{10, 5, 5}},
		{"::ffff:192.0.2.1", 200 * time.Millisecond, 20, [3]int{10, 5, 5}},
		{"192.0.2.1", time.Hour, 120, [3]int{100, 10, 10}}, // no more than a second's worth is saved up
		{"2001:db8:0:100::1", 0, 100, [3]int{100}},
		{"2001:db8:0:1ff::2", 0, 2, [3]int{0, 1, 1}}, // the same /56
		{"2001:db8:0:200::1", 0, 100, [3]int{100}},
	} {
		if got := judged(l, tc.from, now.Add(tc.at), tc.n); got != tc.want {
			t.Errorf("%d from %s at %s: %v, not %v", tc.n, tc.from, tc.at, got, tc.want)
		}
	}
	if got := judged(newLimiter(-1, now), "192.0.2.1", now, 10_000); got[pass] != 10_000 {
		t.Errorf("without a limit: %v", got)
	}
}

// TestForgedSourcesTakeNoMemory: a million addresses leave the limiter as large as it was, do not make it forget who is over the limit, and leave a
// network that asks in moderation alone.
func TestForgedSourcesTakeNoMemory(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	l := newLimiter(200, now)
	judged(l, "198.51.100.1", now, 300)
	var ip [4]byte
	if n := testing.AllocsPerRun(1_000_000, func() {
		binary.BigEndian.PutUint32(ip[:], binary.BigEndian.Uint32(ip[:])+0x10_01) // a step of a bit more than 16 addresses
		l.judge(netip.AddrFrom4(ip), now)
	}); n != 0 {
		t.Errorf("%v allocations a query", n)
	}
	if got := judged(l, "198.51.100.1", now, 10); got[pass] != 0 {
		t.Errorf("forgotten: %v", got)
	}
	if len(l.buckets) != limitBuckets {
		t.Errorf("%d buckets", len(l.buckets))
	}
	if got := judged(l, "203.0.113.1", now.Add(time.Second), 20); got[pass] != 20 {
		t.Errorf("a network in moderation: %v", got)
	}
}

// TestLimitUnderConcurrency: many goroutines together get no more than the rate.
func TestLimitUnderConcurrency(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	l := newLimiter(1000, now)
	var mu sync.Mutex
	var all [3]int
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			got := judged(l, "192.0.2.1", now, 1000)
			mu.Lock()
			defer mu.Unlock()
			for i, n := range got {
				all[i] += n
			}
		})
	}
	wg.Wait()
	if all != [3]int{1000, 3500, 3500} {
		t.Errorf("%v", all)
	}
}

// TestNoAmplifier: a flood in a victim's name gets it a second's worth and then the rate, where each second query gets an empty answer; malformed ones get
// nothing more. A client that is there goes on by TCP, or by its cookie.
func TestNoAmplifier(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s := serve(t, Options{RateLimit: 50, Now: func() time.Time { return now }})
	q := packed(t, query("_http._tcp."+testZone, wire.TypeSRV))
	full, empty, none, most := 0, 0, 0, 0
	for range 1050 {
		a := direct(t, s, q, udp)
		switch {
		case a == nil:
			none++
		case a[2]&2 != 0:
			empty++
			most = max(most, len(a))
		default:
			full++
		}
	}
	if full != 50 || empty != 500 || none != 500 || most > len(q) {
		t.Errorf("%d full, %d empty of up to %d bytes (query: %d), %d without", full, empty, most, len(q), none)
	}
	if a := direct(t, s, make([]byte, headerSize), udp); a != nil {
		t.Errorf("a malformed one: %x", a)
	}
	if got := count(s.metrics.slipped); got != 500 {
		t.Errorf("%v slipped", got)
	}
	if got := count(s.metrics.dropped); got != 501 {
		t.Errorf("%v dropped", got)
	}
	if a := direct(t, s, q, tcp); a == nil || a[2]&2 != 0 {
		t.Errorf("by TCP: %x", a)
	}
	from := netip.MustParseAddr("198.51.100.7") // as direct has it
	given, _ := s.cookies.read("0102030405060708", from, now)
	if a := direct(t, s, packed(t, withOPT(&wire.EDNS0_COOKIE{Code: wire.EDNS0COOKIE, Cookie: given.answer})), udp); a == nil || a[7] != 2 {
		t.Errorf("with a cookie: %x", a)
	}
}
