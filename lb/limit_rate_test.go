package lb

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

func TestRate(t *testing.T) {
	const ms = int64(time.Millisecond)
	r := newRate(10, 3)
	var owed int64
	now := int64(time.Hour)
	step := func(at int64, wantWait int64) {
		t.Helper()
		next, wait := r.take(owed, now+at)
		if wait != wantWait {
			t.Fatalf("at %d ms: wait %d ns, want %d", at/ms, wait, wantWait)
		}
		if wait == 0 {
			owed = next
		}
	}
	step(0, 0)
	step(0, 0)
	step(0, 0) // the burst
	step(0, 100*ms)
	step(99*ms, 1*ms)
	step(100*ms, 0)
	step(100*ms, 100*ms)
	step(10_000*ms, 0) // long after: a burst again, and no more
	step(10_000*ms, 0)
	step(10_000*ms, 0)
	step(10_000*ms, 100*ms)

	// A rate that was slower has left a debt of days; the one of now lets nobody wait for longer than it can mean.
	slow := newRate(1, 1_000_000)
	next, wait := slow.take(0, now)
	for range 1000 {
		next, wait = slow.take(next, now)
	}
	if wait != 0 {
		t.Fatal("the burst is over")
	}
	if _, wait := r.take(next, now); wait <= 0 || wait > 100*ms {
		t.Errorf("after a change of the rate: wait %v", time.Duration(wait))
	}
	if none := newRate(0, 5); none.bounds() {
		t.Error("a rate of 0 bounds something")
	}
	for _, per := range []int{1, 3, 999_999, 1_000_000} {
		r := newRate(per, 0)
		owed, passed := int64(0), 0
		for at := int64(0); at < int64(time.Second); at += int64(time.Second) / 2_000_000 {
			next, wait := r.take(owed, now+at)
			if wait == 0 {
				owed, passed = next, passed+1
			}
			if passed > 2*per {
				break
			}
		}
		if passed < per || passed > 2*per {
			t.Errorf("%d per second with a burst of as many: %d passed in the first second", per, passed)
		}
	}
}

func TestMeterUnderContention(t *testing.T) {
	var m meter
	r, now := newRate(100, 1000), limitClock()
	var passed atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				if m.take(r, now) == 0 {
					passed.Add(1)
				}
			}
		})
	}
	all.Wait()
	if passed.Load() != 1000 {
		t.Errorf("%d passed at one moment, the burst is 1000", passed.Load())
	}
}

// A million addresses cost no more memory than the table has, and whoever sends too much is not forgotten for them.
func TestMillionClients(t *testing.T) {
	table, r := newClientRates(), newRate(10, 10)
	now := int64(time.Hour)
	abuser := keyOfClient(netip.MustParseAddr("203.0.113.9"), 1)
	passed := 0
	for i := range 1_000_000 {
		now += 1000 // ns
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		if i%2 == 1 {
			a = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(i >> 16), byte(i >> 8), byte(i), 0, byte(i)})
		}
		if wait := table.take(keyOfClient(a, 1), r, now); wait != 0 {
			t.Fatalf("client %s has to wait at its first request", a)
		}
		if i%100 == 0 && table.take(abuser, r, now) == 0 {
			passed++ // 10,000 requests in a second
		}
	}
	if passed > 22 {
		t.Errorf("%d requests of one client passed in a second among a million others, 20 may", passed)
	}
	size := len(table.sets) * int(unsafe.Sizeof(table.sets[0]))
	t.Logf("table: %d bytes; %d of 10000 requests of the busy client passed", size, passed)
	if size > 4<<20 {
		t.Errorf("the table has %d bytes", size)
	}
}

func TestClientKeys(t *testing.T) {
	key := func(a string, scope uint32) clientKey { return keyOfClient(netip.MustParseAddr(a), scope) }
	if key("2001:db8::1", 1) != key("2001:db8::ffff:1", 1) || key("2001:db8::1", 1) == key("2001:db8:0:1::1", 1) {
		t.Error("IPv6 does not count by /64")
	}
	if key("1.2.3.4", 1) == key("1.2.3.5", 1) || key("1.2.3.4", 1) == key("1.2.3.4", 2) || key("0.0.0.1", 1) == key("::1", 1) || key("0.0.0.0", 1) == (clientKey{scope: 1}) {
		t.Error("clients are confused")
	}
	if keyOfClient(netip.Addr{}, 1).scope == 0 {
		t.Error("a key without a scope is that of nobody")
	}
}

func TestClientCountsComeBackToNothing(t *testing.T) {
	var c clientCounts
	k := keyOfClient(netip.MustParseAddr("1.2.3.4"), 1)
	var most atomic.Int64
	var held atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 2000 {
				if c.take(k, 3) {
					most.Store(max(most.Load(), held.Add(1)))
					held.Add(-1)
					c.give(k)
				}
			}
		})
	}
	all.Wait()
	if most.Load() > 3 {
		t.Errorf("%d at once, 3 may", most.Load())
	}
	for i := range c.shards {
		if n := len(c.shards[i].held); n != 0 {
			t.Errorf("%d entries are left", n)
		}
	}
}
