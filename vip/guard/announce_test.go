package guard

import (
	"errors"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/vip"
)

// TestAnnouncements: at once and for a while, as switches lose the first ones; not any more when the addresses are dropped.
func TestAnnouncements(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.do(kindHold, in(10*time.Second))
		b.sleep(3 * time.Second)
		b.want(b.did("add"), "0 announce", "20 announce", "50 announce", "100 announce", "200 announce", "400 announce", "800 announce", "1600 announce")
		b.do(kindAnnounce, nil)
		b.want(b.did("add")[8:], "3000 announce")
		b.do(kindHold, in(10*time.Second)) // a renewal is none
		b.do(kindDrop, encodeTime(0*ms))
		b.do(kindAnnounce, nil)
		b.sleep(3 * time.Second)
		b.want(b.did("add")[9:], "3000 remove")
		b.do(kindHold, in(30*ms)) // taken again: from the start
		b.sleep(time.Second)
		b.want(b.did("add")[10:], "6000 announce", "6020 announce", "6030 remove")
	})
}

// TestAnAnnouncementThatWaitsIsForgotten: what is dropped meanwhile is not announced any more, or clients would come back to nobody.
func TestAnAnnouncementThatWaitsIsForgotten(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.do(kindHold, in(10*time.Second))
		b.sleep(10 * ms)
		b.machine.set(func() { b.machine.takes["relay"] = time.Second })
		b.ask(kindRelay, appendHops(nil, []vip.Hop{testHop}))
		b.ask(kindAnnounce, nil)
		b.sleep(100 * ms)
		b.do(kindDrop, encodeTime(0*ms))
		b.sleep(5 * time.Second)
		b.want(b.did("add", "relay"), "0 announce", "110 remove")
	})
}

// TestForeignClaimsAreAnswered: at once, but for each address once a second at most.
func TestForeignClaimsAreAnswered(t *testing.T) {
	claim := func(i int) vip.Event {
		return vip.Event{Kind: vip.EventConflict, Claim: vip.Claim{Address: testAddresses[i], Hardware: "02:00:00:00:00:09"}}
	}
	inBubble(t, func(b *bubble) {
		b.events <- claim(0) // nobody holds it
		b.do(kindHold, in(10*time.Second))
		b.sleep(2 * time.Second)
		for range 150 {
			b.events <- claim(0)
			b.sleep(10 * ms)
		}
		b.events <- claim(1)
		b.want(b.did("add")[8:], "2000 announce", "3000 announce", "3500 announce")
		if notes := b.told(); len(notes) != 3 || notes[2].Claim != claim(1).Claim || notes[0].gone {
			t.Errorf("%+v", notes)
		}
	})
}

// TestTheLastClaimIsAnswered: who claims an address says so twice, as we do, and clients go by what they hear last. An answer to the first alone would leave them there.
func TestTheLastClaimIsAnswered(t *testing.T) {
	claim := vip.Event{Kind: vip.EventConflict, Claim: vip.Claim{Address: testAddresses[0], Hardware: "02:00:00:00:00:09"}}
	twice := func(b *bubble) {
		b.events <- claim
		b.sleep(300 * ms)
		b.events <- claim
	}
	for name, c := range map[string]struct {
		then func(b *bubble)
		want []string
	}{
		"nothing else happens": {func(*bubble) {}, []string{"2000 announce", "3000 announce"}},
		"the addresses go":     {func(b *bubble) { b.do(kindDrop, encodeTime(0*ms)) }, []string{"2000 announce", "2300 remove"}},
		"they go to a successor": {func(b *bubble) {
			b.do(kindRelay, appendHops(nil, []vip.Hop{testHop}))
			b.sleep(2 * time.Second)
			b.do(kindRelay, appendHops(nil, nil))
		}, []string{"2000 announce"}},
		"one more comes in time": {func(b *bubble) { b.sleep(600 * ms); b.events <- claim }, []string{"2000 announce", "3000 announce"}},
		"one more comes later":   {func(b *bubble) { b.sleep(800 * ms); b.events <- claim }, []string{"2000 announce", "3000 announce", "4000 announce"}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bubble) {
				b.do(kindHold, in(10*time.Second))
				b.sleep(2 * time.Second)
				twice(b)
				c.then(b)
				b.sleep(4 * time.Second)
				b.want(b.did("add", "relay")[8:], c.want...)
			})
		})
	}
}

// TestAddressThatIsConfiguredHere by somebody else: a node that waits for its turn tells of it, or nobody learns why clients reach two machines. What it has, or
// is about to have, itself is nothing to tell of.
func TestAddressThatIsConfiguredHere(t *testing.T) {
	inBubble(t, func(b *bubble) {
		here := vip.Event{Kind: vip.EventConflict, Claim: vip.Claim{Address: testAddresses[0]}}
		told := func(when string, n int) {
			t.Helper()
			if notes := b.told(); len(notes) != n || n > 0 && (notes[n-1].Claim != here.Claim || notes[n-1].gone) {
				t.Errorf("%s: told %+v, want %d", when, notes, n)
			}
		}
		b.events <- here
		told("idle", 1)
		for range 50 {
			b.events <- here
			b.sleep(10 * ms)
		}
		told("again and again", 1)
		b.sleep(time.Second)
		b.events <- here
		told("later", 2)
		b.do(kindPrepare, in(time.Second))
		b.sleep(2 * defendEvery / 3)
		b.events <- here
		told("prepared", 2)
		b.do(kindHold, in(10*time.Second))
		b.sleep(2 * defendEvery)
		b.events <- here
		told("held", 2)
		b.want(b.did("add", "silence", "hops", "announce"))
	})
}

// TestSuccessorIsNotContradicted: a holder that relays hears its successor announce the addresses, as it should. An answer would call the clients back.
func TestSuccessorIsNotContradicted(t *testing.T) {
	inBubble(t, func(b *bubble) {
		claim := vip.Event{Kind: vip.EventConflict, Claim: vip.Claim{Address: testAddresses[0], Hardware: "02:00:00:00:00:09"}}
		b.do(kindHold, in(10*time.Second))
		b.sleep(2 * time.Second)
		b.do(kindRelay, appendHops(nil, []vip.Hop{testHop}))
		b.events <- claim
		b.sleep(2 * time.Second)
		if notes, did := b.told(), b.did("add", "relay"); len(notes) != 0 || len(did) != 8 {
			t.Errorf("told %+v, did %q", notes, did)
		}
		b.do(kindRelay, appendHops(nil, nil)) // the hand-over has failed: this one goes on
		b.events <- claim
		b.sleep(ms)
		if notes, did := b.told(), b.did("add", "relay"); len(notes) != 1 || len(did) != 9 {
			t.Errorf("after the relay: told %+v, did %q", notes, did)
		}
	})
}

// TestALinkThatComesBack: the addresses are put there again, where the kernel has taken them off, and announced from the start.
func TestALinkThatComesBack(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.events <- vip.Event{Kind: vip.EventLinkUp, Interface: "eth0"}
		b.do(kindHold, in(10*time.Second))
		b.sleep(2160 * ms)
		b.events <- vip.Event{Kind: vip.EventLinkDown, Interface: "eth0"}
		b.events <- vip.Event{Kind: vip.EventLinkUp, Interface: "eth0"}
		b.sleep(60 * ms)
		got := b.did()
		b.want(got[len(got)-4:], "2160 add 1s", "2160 announce", "2180 announce", "2210 announce")
		notes := b.told()
		if len(notes) != 3 || notes[1].Kind != vip.EventLinkDown || notes[2].Kind != vip.EventLinkUp || notes[2].Interface != "eth0" {
			t.Errorf("%+v", notes)
		}
	})
}

// TestAddressesThatSomebodyTakesOff: they come back soon, but nobody fights over them without end, and the parent still holds.
func TestAddressesThatSomebodyTakesOff(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.events <- vip.Event{Kind: vip.EventDropped} // they are not held
		b.do(kindHold, in(10*time.Second))
		b.sleep(10 * ms)
		for range 100 {
			b.events <- vip.Event{Kind: vip.EventDropped, Text: "somebody"}
			b.sleep(ms)
		}
		b.want(b.did("announce"), "0 add 1s", "50 add 1s", "100 add 1s")
		if notes := b.told(); len(notes) != 1 || notes[0].gone || notes[0].Kind != vip.EventRestored || notes[0].Text != "somebody" {
			t.Errorf("%+v", notes)
		}
		if a := b.do(kindHold, in(time.Second)); a.err != nil {
			t.Error(a.err)
		}
	})
}

// TestAnAnnouncementThatFails: who asked for it hears of it; the others stand in the log once.
func TestAnAnnouncementThatFails(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.machine.fails["announce"] = errors.New("network is down")
		b.do(kindHold, in(time.Second))
		b.sleep(500 * ms)
		if a, _ := b.at(b.ask(kindAnnounce, nil)); a.err == nil || len(b.logged) != 1 {
			t.Errorf("%v, %q", a.err, b.logged)
		}
	})
}
