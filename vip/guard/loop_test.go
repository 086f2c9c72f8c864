package guard

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/vip"
)

// TestTheParentIsGone: the addresses go first, then the other nodes may know, and what is slow comes last.
func TestTheParentIsGone(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.do(kindHold, in(10*time.Second))
		b.do(kindRelay, appendHops(nil, []vip.Hop{testHop}))
		b.machine.set(func() { b.machine.takes["remove"], b.machine.takes["relay"] = 3*ms, time.Second })
		b.sleep(10 * ms)
		if err := b.end(); !errors.Is(err, errParentGone) {
			t.Error(err)
		}
		b.want(b.did("add", "announce"), "0 relay true", "10 remove", "13 relay false")
		if b.released != 13*ms {
			t.Errorf("the other nodes knew after %v", b.released)
		}
	})
}

// TestTheParentIsGoneDuringAPreparation: also when the machine is only being prepared.
func TestTheParentIsGoneDuringAPreparation(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.machine.takes["silence"] = 50 * ms
		b.ask(kindPrepare, in(10*time.Second))
		b.sleep(10 * ms)
		if err := b.end(); !errors.Is(err, errParentGone) {
			t.Error(err)
		}
		b.want(b.did("hops"), "0 silence true", "50 silence false")
		if b.released != 10*ms || b.machine.now().silent {
			t.Errorf("released after %v, silent %t", b.released, b.machine.now().silent)
		}
	})
}

// TestTheParentIsGoneAndTheAddressesAreNot: nobody is told that they are gone before the kernel must have removed them.
func TestTheParentIsGoneAndTheAddressesAreNot(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.do(kindHold, in(10*time.Second))
		b.sleep(400 * ms)
		b.machine.set(func() { b.machine.fails["remove"] = errors.New("busy") })
		if err := b.end(); err == nil || !strings.Contains(err.Error(), "busy") {
			t.Error(err)
		}
		if want := 300*ms + DefaultKernelLease; b.released < want || b.released > want+1200*ms {
			t.Errorf("the other nodes knew after %v", b.released)
		}
		b.machine.set(func() { b.machine.on = false }) // as the kernel has done
	})
}

// TestTheRestIsNotWaitedForForEver: a machine that hangs in a packet filter does not keep the process.
func TestTheRestIsNotWaitedForForEver(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.do(kindHold, in(10*time.Second))
		b.machine.set(func() { b.machine.takes["relay"] = time.Hour })
		id := b.ask(kindRelay, appendHops(nil, []vip.Hop{testHop}))
		b.sleep(ms)
		if err := b.end(); !errors.Is(err, errParentGone) {
			t.Error(err)
		}
		if d := time.Since(b.machine.begin); d > tidyTime+10*ms {
			t.Errorf("it took %v", d)
		}
		b.answers[id] = answer{} // nobody is there to hear it
		b.sleep(2 * time.Hour)
	})
}

// TestGoodbye: the addresses go at once, a relay lingers as long as it should, and the answer is the last thing.
func TestGoodbye(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.do(kindHold, in(10*time.Second))
		b.do(kindRelay, appendHops(nil, []vip.Hop{testHop}))
		b.do(kindDrop, encodeTime(2*time.Second))
		b.sleep(500 * ms)
		id := b.ask(kindBye, nil)
		b.sleep(time.Second)
		if _, ok := b.at(id); ok || b.released != 500*ms {
			t.Errorf("answered %t, released after %v", ok, b.released)
		}
		if err := <-b.ended; err != nil {
			t.Error(err)
		}
		b.frames = nil
		if a, ok := b.at(id); !ok || a.err != nil || time.Since(b.machine.begin) != 2*time.Second {
			t.Errorf("answered %t, %v, after %v", ok, a.err, time.Since(b.machine.begin))
		}
		b.want(b.did("add", "announce"), "0 relay true", "0 remove", "2000 relay false")
	})
	inBubble(t, func(b *bubble) { // without a relay
		b.do(kindHold, in(10*time.Second))
		b.ask(kindBye, nil)
		if err := <-b.ended; err != nil {
			t.Error(err)
		}
		b.frames = nil
		b.want(b.did("announce"), "0 add 1s", "0 remove")
	})
}

// TestAMachineThatBreaks: a panic, wherever, ends in addresses that are gone and a process that ends.
func TestAMachineThatBreaks(t *testing.T) {
	for _, at := range []string{"add", "silence", "relay", "announce", "hops"} {
		inBubble(t, func(b *bubble) {
			b.machine.set(func() { b.machine.panics = at })
			go func() {
				for _, f := range []frame{{kind: kindPrepare, body: in(time.Second)}, {kind: kindHold, body: in(10 * time.Second)}, {kind: kindRelay, body: appendHops(nil, []vip.Hop{testHop})}} {
					b.mu.Lock()
					b.lastID++
					f.id = b.lastID
					b.mu.Unlock()
					select {
					case b.frames <- f:
					case <-time.After(time.Hour):
						return
					}
				}
			}()
			if err := <-b.ended; err == nil || !strings.Contains(err.Error(), "BUG: panic: the machine broke") {
				t.Errorf("%s: %v", at, err)
			}
			b.sleep(2 * time.Hour)
			if did := b.did(); at != "silence" && at != "hops" && !slices.ContainsFunc(did, func(c string) bool { return strings.HasSuffix(c, "remove") }) || b.released < 0 {
				t.Errorf("%s: %q, released %v", at, did, b.released)
			}
			b.frames, b.lastID = nil, 0 // nobody is there to be answered
		})
	}
}
