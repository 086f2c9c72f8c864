package vip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestLinkThatComesUpWhileThereIsNoGuard: nobody tells of that; the new guard process tells only which links are down.
func TestLinkThatComesUpWhileThereIsNoGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		end := s.lead(Tenure{Term: 1})
		defer end()
		s.wantHeld(t, 100*time.Millisecond, true)
		s.kept.events <- Event{Kind: EventLinkDown, Interface: "eth0"}
		s.wantHeld(t, time.Millisecond, false)
		s.kept.events <- Event{Kind: EventLost, Text: "killed"}
		s.wantHeld(t, 41*time.Millisecond, true)
	})
}

// TestSeveralAddressesInUseAreLoggedOnce: the links are asked every second, for as long as it takes.
func TestSeveralAddressesInUseAreLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		var log strings.Builder
		s.log = slog.New(slog.NewTextHandler(&log, nil))
		four, six := Claim{Address: s.s.Addresses[0], Hardware: "02:00:00:00:00:09"}, Claim{Address: s.s.Addresses[0], Hardware: "02:00:00:00:00:0a"}
		s.kept.set(func() { s.kept.claims = []Claim{four, six} })
		end := s.lead(Tenure{Term: 1, Fresh: true})
		defer end()
		s.wantHeld(t, 3*probeAgain, false)
		s.kept.set(func() { s.kept.claims = []Claim{six, four} }) // who answers first
		s.wantHeld(t, 3*probeAgain, false)
		if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, four.Hardware) || !strings.Contains(got, six.Hardware) {
			t.Errorf("logged:\n%s", got)
		}
	})
}

// TestLeaseDoesNotWaitForTheRelay: the kernel may take its time to change its filters.
func TestLeaseDoesNotWaitForTheRelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.kept.slow = 5 * leaseLength
		end := s.lead(Tenure{Term: 1})
		defer end()
		s.wantHeld(t, 100*time.Millisecond, true)
		go func() { _ = s.Relay(context.Background(), []Hop{{Interface: "eth0"}}) }()
		for range 6 {
			s.wantHeld(t, leaseLength, true)
		}
		if did := s.kept.did(); did != "take" {
			t.Errorf("the machine did %q", did)
		}
	})
}

// TestOnlyTheHolderAnnounces: clients that hear another one would send to nobody. The lease does not wait for that.
func TestOnlyTheHolderAnnounces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		want := func(when, what string) {
			t.Helper()
			if err := s.Announce(t.Context()); err != nil {
				t.Errorf("%s: %v", when, err)
			}
			if did := s.kept.did(); did != what {
				t.Errorf("%s the machine did %q, want %q", when, did, what)
			}
		}
		want("before", "")
		end := s.lead(Tenure{Term: 1})
		s.wantHeld(t, 100*time.Millisecond, true)
		s.kept.slow = 5 * leaseLength
		want("while it holds", "take announce")
		s.wantHeld(t, leaseLength, true)
		s.HandingOver()
		want("while it hands over", "")
		s.Staying()
		end()
		want("after", "drop")
	})
}

// TestFaultIsNotForEver: a node that could not hold once may do so later. It must not say no to every hand-over until then.
func TestFaultIsNotForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		fails := func() {
			s.kept.set(func() { s.kept.err = errors.New("no such device") })
			end := s.lead(Tenure{Term: 1})
			s.wantHeld(t, time.Minute, false)
			if s.Status().Eligible {
				t.Error("a leader that cannot hold is eligible")
			}
			end()
			s.kept.set(func() { s.kept.err = nil })
			if st := s.Status(); st.Eligible || st.Reason != "no such device" {
				t.Errorf("right after: %+v", st)
			}
		}
		fails()
		time.Sleep(faultShown)
		if st := s.Status(); !st.Eligible {
			t.Errorf("later: %+v", st)
		}
		fails()
		if _, err := s.Prepare(context.Background(), "n1", time.Second); err != nil || !s.Status().Eligible {
			t.Errorf("prepared: %v, %+v", err, s.Status())
		}
	})
}

// TestOldFaultIsNotOneOfTheNextTenure: the leader would hand over at once, because of it, what it has not tried to hold yet.
func TestOldFaultIsNotOneOfTheNextTenure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.kept.set(func() { s.kept.err = errors.New("the guard process has ended") })
		end := s.lead(Tenure{Term: 1})
		s.wantHeld(t, time.Second, false)
		end()
		s.kept.set(func() { s.kept.err = nil })
		time.Sleep(faultShown)
		s.change(func() { s.refuse = errors.New("no majority has answered yet") })
		end = s.lead(Tenure{Term: 2})
		defer end()
		s.wantHeld(t, time.Second, false)
		if st := s.Status(); !st.Eligible {
			t.Errorf("before the first lease of the next tenure: %+v", st)
		}
	})
}

// TestAlwaysTooLateIsAFault: a leader whose guard cannot be started again, or whose machine takes longer than the lease each time, holds nothing for ever; another node can.
func TestAlwaysTooLateIsAFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		late := fmt.Errorf("%w while there was no guard process: fork: resource temporarily unavailable", ErrTooLate)
		well := func(what string) {
			t.Helper()
			if st := s.Status(); !st.Eligible {
				t.Errorf("%s: %+v", what, st)
			}
		}
		s.kept.set(func() { s.kept.err = late })
		s.change(func() { s.refuse = errors.New("no majority has answered yet") })
		end := s.lead(Tenure{Term: 1})
		s.wantHeld(t, time.Minute, false)
		well("without a lease")
		s.change(func() { s.refuse = nil })
		s.wantHeld(t, takeWait-100*time.Millisecond, false)
		well("a moment later")
		s.change(func() { s.ineligib = errors.New("no listener is bound") })
		s.wantHeld(t, time.Second, false)
		s.change(func() { s.ineligib = nil })
		s.wantHeld(t, takeWait-100*time.Millisecond, false)
		well("counted anew")
		s.wantHeld(t, 300*time.Millisecond, false)
		if st := s.Status(); st.Eligible || st.Flawed || !strings.Contains(st.Reason, "could not be taken for 2s: the lease has run out while there was no guard process: fork") {
			t.Errorf("too late for too long: %+v", st)
		}
		end()
		if s.Status().Eligible {
			t.Error("eligible as soon as it does not lead any more: leadership would come back")
		}
		time.Sleep(faultShown)
		well("a minute later")
		end = s.lead(Tenure{Term: 2})
		defer end()
		s.wantHeld(t, 3*takeWait, false)
		s.kept.set(func() { s.kept.err = nil })
		s.wantHeld(t, 200*time.Millisecond, true)
		well("when it holds")
		s.kept.set(func() { s.kept.err = late })
		s.kept.events <- Event{Kind: EventLost, Text: "the guard process has ended"}
		s.wantHeld(t, takeWait-100*time.Millisecond, false)
		well("after a loss it is counted from then")
	})
}

// TestOtherEndOfAHandOverIsNoConflict: the holder before, and the one that follows, announce the same addresses in good order.
func TestOtherEndOfAHandOverIsNoConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		claim := Event{Kind: EventConflict, Claim: Claim{Address: s.s.Addresses[0], Hardware: "02:00:00:00:00:09"}}
		told := func(when string, want bool) {
			t.Helper()
			s.kept.events <- claim
			synctest.Wait()
			if got := s.Status().Conflict != ""; got != want {
				t.Errorf("%s: told of a conflict: %v, want %v", when, got, want)
			}
		}
		end := s.lead(Tenure{Term: 1})
		s.wantHeld(t, 10*time.Millisecond, true)
		told("right after the taking", false)
		s.wantHeld(t, newly, true)
		s.HandingOver()
		told("while it is handed over", false)
		s.Staying()
		told("later", true)
		end()
	})
}

// TestAddressThatIsConfiguredHere by somebody else is shown by a node that does not hold it, and not said to be announced.
func TestAddressThatIsConfiguredHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		var log strings.Builder
		s.log = slog.New(slog.NewTextHandler(&log, nil))
		for range 3 {
			s.kept.events <- Event{Kind: EventConflict, Claim: Claim{Address: s.s.Addresses[0]}}
			synctest.Wait()
		}
		if c := s.Status().Conflict; c != "10.0.0.100 is also claimed by another program on this machine" {
			t.Errorf("the status says %q", c)
		}
		if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "10.0.0.100 is configured on this machine, and not by Holdfast") || strings.Contains(got, "announced") {
			t.Errorf("logged:\n%s", got)
		}
	})
}

// TestClosedManagerLeavesTheKeeperAlone: a node that stops goes on leading for a moment.
func TestClosedManagerLeavesTheKeeperAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		end := s.lead(Tenure{Term: 1})
		s.wantHeld(t, 100*time.Millisecond, true)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * leaseLength)
		end()
		if did := s.kept.did(); did != "take" {
			t.Errorf("the machine did %q", did)
		}
	})
}

// TestTenureEndsThoughTheKeeperDoesNot: the node may be elected again, and does nothing in its next term before the last one is over.
func TestTenureEndsThoughTheKeeperDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		end := s.lead(Tenure{Term: 1})
		s.wantHeld(t, 100*time.Millisecond, true)
		s.kept.set(func() { s.kept.stuck = true })
		began := time.Now()
		end()
		if took := time.Since(began); took > dropWait {
			t.Errorf("the tenure ended after %v", took)
		}
	})
}

// TestOneInterfaceOfTwo: what is reachable stays so, unless another node can do better.
func TestOneInterfaceOfTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		other, err := ParseAddress("10.1.0.100/24@eth1")
		if err != nil {
			t.Fatal(err)
		}
		s.s.Addresses = append(s.s.Addresses, other)
		end := s.lead(Tenure{Term: 1})
		defer end()
		s.wantHeld(t, 100*time.Millisecond, true)
		s.kept.events <- Event{Kind: EventLinkDown, Interface: "eth1"}
		s.wantHeld(t, time.Second, true)
		if st := s.Status(); st.Eligible || !st.Flawed || st.Reason != "interface eth1 is down" {
			t.Errorf("one of two: %+v", st)
		}
		s.kept.events <- Event{Kind: EventLinkDown, Interface: "eth0"}
		s.wantHeld(t, time.Millisecond, false)
		if st := s.Status(); st.Eligible || st.Flawed || st.Reason != "interfaces eth0, eth1 are down" {
			t.Errorf("both: %+v", st)
		}
		s.kept.events <- Event{Kind: EventLinkUp, Interface: "eth1"}
		s.wantHeld(t, time.Millisecond, true)
		s.kept.events <- Event{Kind: EventLinkUp, Interface: "eth0"}
		s.wantHeld(t, time.Millisecond, true)
		if st := s.Status(); !st.Eligible || st.Flawed {
			t.Errorf("none: %+v", st)
		}
	})
}

// TestAddressThatSomebodyTakesOff is put back by the keeper: the holder has not changed, and the group is not to note so, once a second for ever.
func TestAddressThatSomebodyTakesOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		end := s.lead(Tenure{Term: 1})
		defer end()
		s.wantHeld(t, 100*time.Millisecond, true)
		s.kept.events <- Event{Kind: EventRestored, Text: "somebody"}
		s.wantHeld(t, 100*time.Millisecond, true)
		if len(s.taken) != 1 || len(s.lost) != 0 {
			t.Errorf("told: taken %v, lost %v", s.taken, s.lost)
		}
	})
}
