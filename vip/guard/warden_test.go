package guard

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/vip"
)

const ms = time.Millisecond

// TestTheAddressesGoWhenTheDeadlinePasses: to the millisecond, and the parent hears of it.
func TestTheAddressesGoWhenTheDeadlinePasses(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.do(kindHold, in(60*ms))
		b.sleep(40 * ms)
		b.do(kindHold, in(60*ms))
		b.sleep(time.Second)
		b.want(b.did("announce"), "0 add 1s", "100 remove")
		notes := b.told()
		if len(notes) != 1 || notes[0].Kind != vip.EventDropped || !notes[0].gone || !strings.Contains(notes[0].Text, "the lease ran out") {
			t.Errorf("%+v", notes)
		}
	})
}

// TestTheLastHoldCounts: also when it is for less time than the one before.
func TestTheLastHoldCounts(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.do(kindHold, in(time.Second))
		b.do(kindHold, in(10*ms))
		b.sleep(time.Second)
		b.want(b.did("announce"), "0 add 1s", "10 remove")
	})
}

// TestAHoldThatComesTooLateTakesNothing: and ends what an older one held.
func TestAHoldThatComesTooLateTakesNothing(t *testing.T) {
	inBubble(t, func(b *bubble) {
		for _, k := range []kind{kindHold, kindPrepare} {
			a, _ := b.at(b.ask(k, in(0)))
			if !errors.Is(a.err, vip.ErrTooLate) {
				t.Errorf("%v", a.err)
			}
		}
		b.want(b.did())
		b.do(kindHold, in(time.Second))
		if a, _ := b.at(b.ask(kindHold, in(-ms))); !errors.Is(a.err, vip.ErrTooLate) {
			t.Errorf("%v", a.err)
		}
		b.want(b.did("announce"), "0 add 1s", "0 remove")
	})
}

// TestAddedTooLateIsRemovedAtOnce: the deadline passes while the kernel is at it, at first and in a renewal.
func TestAddedTooLateIsRemovedAtOnce(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.machine.takes["add"] = 50 * ms
		id := b.ask(kindHold, in(30*ms))
		b.sleep(60 * ms)
		if a, _ := b.at(id); !errors.Is(a.err, vip.ErrTooLate) {
			t.Errorf("%v", a.err)
		}
		b.want(b.did(), "0 add 1s", "50 remove")
	})
	inBubble(t, func(b *bubble) {
		b.do(kindHold, in(320*ms))
		b.machine.set(func() { b.machine.takes["add"] = 50 * ms })
		b.sleep(time.Second)
		b.want(b.did("announce"), "0 add 1s", "300 add 1s", "350 remove")
	})
}

// TestTheKernelsLeaseIsRenewedNowAndThen: however often the node's is, and also when it is long.
func TestTheKernelsLeaseIsRenewedNowAndThen(t *testing.T) {
	inBubble(t, func(b *bubble) {
		for range 90 {
			b.do(kindHold, in(60*ms))
			b.sleep(10 * ms)
		}
		b.want(b.did("announce"), "0 add 1s", "300 add 1s", "600 add 1s", "900 add 1s")
		b.do(kindHold, in(time.Second))
		b.sleep(2 * time.Second)
		b.want(b.did("announce")[4:], "1200 add 1s", "1500 add 1s", "1800 add 1s", "1900 remove")
	})
}

// TestARenewalThatFails: the next Hold says so; it is tried again, and the addresses are not given up before the node or the lease does.
func TestARenewalThatFails(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.do(kindHold, in(time.Second))
		broken := errors.New("the interface is gone")
		b.machine.set(func() { b.machine.fails["add"] = broken })
		b.sleep(310 * ms)
		if a, _ := b.at(b.ask(kindHold, in(time.Second))); a.err == nil || !strings.Contains(a.err.Error(), "the interface is gone") || a.free {
			t.Errorf("%v", a)
		}
		b.machine.set(func() { delete(b.machine.fails, "add") })
		b.sleep(20 * ms)
		b.do(kindHold, in(time.Second))
		b.want(b.did("announce"), "0 add 1s", "300 add 1s", "320 add 1s")
		if len(b.logged) != 1 {
			t.Errorf("%q", b.logged)
		}
	})
}

// TestAFirstAddThatFailsLeavesNothing: some of the addresses may have been added.
func TestAFirstAddThatFailsLeavesNothing(t *testing.T) {
	for _, k := range []kind{kindHold, kindPrepare} {
		inBubble(t, func(b *bubble) {
			b.machine.fails["add"] = errors.New("no such device")
			if a, _ := b.at(b.ask(k, in(time.Second))); a.err == nil || !strings.Contains(a.err.Error(), "add the addresses: no such device") {
				t.Errorf("%v", a.err)
			}
			b.want(b.did("announce", "silence", "hops"), "0 add 1s", "0 remove")
			if b.machine.now().silent {
				t.Error("it is silent for ever")
			}
		})
	}
}

// TestARemoveThatFailsIsTriedAgain: and nobody is told that the addresses are gone before they are.
func TestARemoveThatFailsIsTriedAgain(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.do(kindPrepare, in(time.Second))
		b.machine.set(func() { b.machine.fails["remove"] = errors.New("busy") })
		if a, _ := b.at(b.ask(kindDrop, encodeTime(0*ms))); a.err == nil || !strings.Contains(a.err.Error(), "busy") {
			t.Errorf("%v", a.err)
		}
		b.sleep(50 * ms)
		if n := len(b.told()); n != 0 || !b.machine.now().silent {
			t.Errorf("%d notes, silent %t", n, b.machine.now().silent)
		}
		b.machine.set(func() { delete(b.machine.fails, "remove") })
		b.sleep(100 * ms)
		if notes := b.told(); len(notes) != 1 || !notes[0].gone || b.machine.now().silent {
			t.Errorf("%v, silent %t", notes, b.machine.now().silent)
		}
		b.want(b.did("silence true", "hops"), "0 add 1s", "0 remove", "20 remove", "60 remove", "60 silence false")
	})
}

// TestAPreparationIsSilent: the silence is there before the addresses, and ends when they are held, before they are announced.
func TestAPreparationIsSilent(t *testing.T) {
	inBubble(t, func(b *bubble) {
		a := b.do(kindPrepare, in(60*ms))
		if !slices.Equal(a.hops, []vip.Hop{testHop}) {
			t.Errorf("%v", a.hops)
		}
		b.sleep(10 * ms)
		if a := b.do(kindPrepare, in(60*ms)); !slices.Equal(a.hops, []vip.Hop{testHop}) {
			t.Errorf("renewed: %v", a.hops)
		}
		b.events <- vip.Event{Kind: vip.EventConflict, Claim: vip.Claim{Address: testAddresses[0]}} // the holder's own
		b.do(kindAnnounce, nil)
		b.sleep(10 * ms)
		b.do(kindHold, in(time.Second))
		b.want(b.did(), "0 silence true", "0 hops", "0 add 1s", "20 silence false", "20 announce")
	})
}

// TestAPreparationEndsWithItsDeadline: addresses first, silence after them.
func TestAPreparationEndsWithItsDeadline(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.do(kindPrepare, in(60*ms))
		b.sleep(time.Second)
		b.want(b.did("hops"), "0 silence true", "0 add 1s", "60 remove", "60 silence false")
	})
}

// TestASilenceThatTakesTooLong: no address is added for a preparation whose time is over, and a new one waits for a silence of its own.
func TestASilenceThatTakesTooLong(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.machine.takes["silence"] = 50 * ms
		first := b.ask(kindPrepare, in(20*ms))
		b.sleep(30 * ms)
		if a, ok := b.at(first); !ok || !errors.Is(a.err, vip.ErrTooLate) {
			t.Errorf("%t, %v", ok, a.err)
		}
		second := b.ask(kindPrepare, in(time.Second))
		third := b.ask(kindPrepare, in(time.Second))
		b.sleep(400 * ms)
		for _, id := range []uint32{second, third} {
			if a, ok := b.at(id); !ok || a.err != nil || len(a.hops) != 1 {
				t.Errorf("%t, %v", ok, a)
			}
		}
		b.want(b.did("hops"), "0 silence true", "50 silence false", "100 silence true", "150 add 1s")
	})
}

// TestAHoldOvertakesAPreparation: the addresses come at once, and the silence that was asked for ends after it has begun.
func TestAHoldOvertakesAPreparation(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.machine.takes["silence"] = 50 * ms
		prepare := b.ask(kindPrepare, in(time.Second))
		b.sleep(10 * ms)
		hold := b.ask(kindHold, in(time.Second))
		if a, ok := b.at(prepare); !ok || a.err == nil {
			t.Errorf("prepare: %t, %v", ok, a.err)
		}
		b.sleep(110 * ms)
		if a, ok := b.at(hold); !ok || a.err != nil || b.machine.now().silent {
			t.Errorf("hold: %t, %v, silent %t", ok, a.err, b.machine.now().silent)
		}
		b.want(b.did("hops"), "0 silence true", "10 add 1s", "50 silence false", "100 announce", "120 announce")
	})
}

// TestASilenceThatDoesNotEnd: the holder hears of it with each Hold, and it is tried again.
func TestASilenceThatDoesNotEnd(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.do(kindPrepare, in(time.Second))
		b.machine.set(func() { b.machine.fails["silence"] = errors.New("no memory") })
		if a, _ := b.at(b.ask(kindHold, in(time.Second))); a.err == nil || !strings.Contains(a.err.Error(), "end the silence: no memory") {
			t.Errorf("%v", a.err)
		}
		b.machine.set(func() { delete(b.machine.fails, "silence") })
		b.do(kindHold, in(time.Second))
		if b.machine.now().silent {
			t.Error("it is still silent")
		}
	})
	inBubble(t, func(b *bubble) { // when it has outlasted all announcements, which nobody heard, they begin again
		b.do(kindPrepare, in(10*time.Second))
		b.machine.set(func() { b.machine.fails["silence"] = errors.New("no memory") })
		b.ask(kindHold, in(10*time.Second))
		b.sleep(2050 * time.Millisecond) // between two tries
		b.machine.set(func() { delete(b.machine.fails, "silence") })
		before := len(b.did("add 1s"))
		b.sleep(2 * time.Second)
		b.want(b.did("add 1s")[before:], "2100 silence false",
			"2100 announce", "2120 announce", "2150 announce", "2200 announce", "2300 announce", "2500 announce", "2900 announce", "3700 announce")
	})
	inBubble(t, func(b *bubble) { // and one that does not begin
		b.machine.fails["silence"] = errors.New("no nftables")
		if a, _ := b.at(b.ask(kindPrepare, in(time.Second))); a.err == nil || !strings.Contains(a.err.Error(), "no nftables") {
			t.Errorf("%v", a.err)
		}
		if b.do(kindHold, in(time.Second)); b.machine.now().silent {
			t.Error("it is silent")
		}
	})
}

// TestARelay: of a holder only; it lingers after Drop, and ends at once with the lease, after the addresses.
func TestARelay(t *testing.T) {
	hops := appendHops(nil, []vip.Hop{testHop})
	inBubble(t, func(b *bubble) {
		if a, _ := b.at(b.ask(kindRelay, hops)); a.err == nil {
			t.Error("somebody relays who holds nothing")
		}
		b.do(kindRelay, appendHops(nil, nil))
		b.do(kindHold, in(10*time.Second))
		b.do(kindRelay, hops)
		b.sleep(100 * ms)
		b.do(kindDrop, encodeTime(2*time.Second))
		b.sleep(3 * time.Second)
		b.want(b.did("announce"), "0 add 1s", "0 relay true", "100 remove", "2100 relay false")
	})
	inBubble(t, func(b *bubble) {
		b.do(kindHold, in(100*ms))
		b.do(kindRelay, hops)
		b.sleep(time.Second)
		b.want(b.did("announce"), "0 add 1s", "0 relay true", "100 remove", "100 relay false")
	})
	inBubble(t, func(b *bubble) {
		b.do(kindHold, in(time.Second))
		b.machine.set(func() { b.machine.fails["relay"] = fmt.Errorf("netdev: %w", vip.ErrNoRelay) })
		if a, _ := b.at(b.ask(kindRelay, hops)); !errors.Is(a.err, vip.ErrNoRelay) {
			t.Errorf("%v", a.err)
		}
	})
}

// TestWhoComesBackEndsItsRelay: a relay that lingers would send a new holder's own traffic away, or around in a circle.
func TestWhoComesBackEndsItsRelay(t *testing.T) {
	for _, k := range []kind{kindHold, kindPrepare} {
		inBubble(t, func(b *bubble) {
			b.do(kindHold, in(time.Second))
			b.do(kindRelay, appendHops(nil, []vip.Hop{testHop}))
			b.do(kindDrop, encodeTime(2*time.Second))
			b.sleep(100 * ms)
			b.do(k, in(time.Second))
			if b.machine.now().relaying {
				t.Error("it still relays")
			}
		})
	}
}

// TestASlowErrandDoesNotDelayTheDeadline: packet filters may take their time.
func TestASlowErrandDoesNotDelayTheDeadline(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.machine.takes["relay"], b.machine.takes["announce"] = 5*time.Second, time.Second
		b.do(kindHold, in(100*ms))
		b.ask(kindRelay, appendHops(nil, []vip.Hop{testHop}))
		b.sleep(20 * time.Second)
		b.want(b.did(), "0 add 1s", "0 announce", "100 remove", "1000 relay true", "6000 relay false")
	})
}

// TestProbes: not of one's own addresses; who takes them ends one.
func TestProbes(t *testing.T) {
	inBubble(t, func(b *bubble) {
		id := b.ask(kindProbe, encodeTime(100*ms))
		if a, _ := b.at(b.ask(kindProbe, encodeTime(100*ms))); a.err == nil {
			t.Error("two at once")
		}
		b.sleep(101 * ms)
		if a, ok := b.at(id); !ok || a.err != nil || len(a.claims) != 1 {
			t.Errorf("%t, %v", ok, a)
		}
		b.do(kindPrepare, in(time.Second))
		id = b.ask(kindProbe, encodeTime(100*ms)) // silent, so that nobody hears himself
		b.sleep(101 * ms)
		if a, ok := b.at(id); !ok || a.err != nil || len(a.claims) != 1 {
			t.Errorf("prepared: %t, %v", ok, a)
		}
		id = b.ask(kindProbe, encodeTime(time.Minute))
		b.do(kindHold, in(time.Second))
		if a, ok := b.at(id); !ok || a.err == nil || !strings.Contains(a.err.Error(), "being taken") {
			t.Errorf("%t, %v", ok, a.err)
		}
		if a, _ := b.at(b.ask(kindProbe, encodeTime(ms))); a.err == nil {
			t.Error("of addresses that are held")
		}
	})
}

// TestWhateverHappens: random requests, events, failures and delays. The machine never has an address when the lease is over and nothing was under way, never
// one that the link can learn of before it is held, and nothing is announced that is not held.
func TestWhateverHappens(t *testing.T) {
	for seed := range uint64(200) {
		inBubble(t, func(b *bubble) { b.walk(rand.New(rand.NewPCG(seed, 4))) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func (b *bubble) walk(rnd *rand.Rand) {
	m := b.machine
	var until, heldUntil vip.Deadline // by the requests; with m.mu
	m.check = func(call string) {
		switch {
		case strings.HasPrefix(call, "add") && bubbleNow() >= until:
			b.t.Errorf("an add %v after the deadline", bubbleNow().Sub(until))
		case strings.HasPrefix(call, "add") && bubbleNow() >= heldUntil && !m.silent:
			b.t.Error("an add for a preparation without silence")
		case call == "announce" && bubbleNow() >= heldUntil:
			b.t.Error("an announcement of what is not held")
		}
	}
	m.late = func(call string) {
		if call == "silence false" && m.on && bubbleNow() >= heldUntil {
			b.t.Error("the silence ends and the addresses are there")
		}
	}
	d := func(most time.Duration) time.Duration { return time.Duration(rnd.Int64N(int64(most))) + 1 }
	for range 150 {
		m.mu.Lock()
		clear(m.takes)
		clear(m.fails)
		if rnd.IntN(3) == 0 {
			m.takes[[]string{"silence", "relay", "announce", "hops"}[rnd.IntN(4)]] = d(80 * ms)
		}
		if rnd.IntN(10) == 0 {
			m.fails[[]string{"silence", "relay", "announce", "hops", "add"}[rnd.IntN(5)]] = errors.New("for once")
		}
		m.mu.Unlock()
		set := func(t, held vip.Deadline) {
			m.mu.Lock()
			defer m.mu.Unlock()
			until, heldUntil = t, held
		}
		at := bubbleNow().After(d(150*ms) - 10*ms)
		switch rnd.IntN(9) {
		case 0, 1, 2:
			set(at, at)
			b.ask(kindHold, encodeTime(at))
		case 3, 4:
			m.mu.Lock()
			held := bubbleNow() < heldUntil
			m.mu.Unlock()
			if !held { // else it is refused, or not, when the Hold has failed
				set(at, 0)
				b.ask(kindPrepare, encodeTime(at))
			}
		case 5:
			b.ask(kindDrop, encodeTime(d(100*ms)))
			if b.did(); m.now().on {
				b.t.Error("they are there after a drop")
			}
			set(0, 0)
		case 6:
			b.ask(kindRelay, appendHops(nil, []vip.Hop{testHop}[:rnd.IntN(2)]))
		case 7:
			b.ask(kindAnnounce, nil)
		case 8:
			b.events <- vip.Event{Kind: vip.EventKind(rnd.IntN(4)), Claim: vip.Claim{Address: testAddresses[rnd.IntN(2)]}}
		}
		b.sleep(d(60 * ms))
		if b.did(); m.now().on && bubbleNow() > until {
			b.t.Errorf("they are there %v after the deadline", bubbleNow().Sub(until))
		}
	}
	b.sleep(2 * time.Second) // everything is over: nothing is left
	b.did()
	if left := m.now(); left != (state{}) {
		b.t.Errorf("left: %+v", left)
	}
}
