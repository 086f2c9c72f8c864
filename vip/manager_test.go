package vip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// machine is a Keeper as its promises say, on the clock of the test.
type machine struct {
	mu     sync.Mutex
	until  time.Time
	holds  bool
	silent bool
	relay  []Hop
	linger time.Duration
	claims []Claim
	err    error
	deaf   error // of Probe
	calls  []string
	events chan Event
	slow   time.Duration // what Relay takes
	stuck  bool          // Drop goes on when nobody waits any more
}

func (k *machine) note(format string, args ...any) {
	k.calls = append(k.calls, fmt.Sprintf(format, args...))
}

func (k *machine) Hold(_ context.Context, until Deadline) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return k.err
	}
	at := time.Unix(0, int64(until))
	if !at.After(time.Now()) {
		return ErrTooLate
	}
	if !k.now() || k.silent {
		k.note("take")
	}
	k.until, k.holds, k.silent = at, true, false
	return nil
}

// now tells whether the machine has the addresses; they go by themselves at the deadline.
func (k *machine) now() bool {
	if k.holds && !k.until.After(time.Now()) {
		k.holds = false
	}
	return k.holds
}

func (k *machine) Prepare(_ context.Context, until Deadline) ([]Hop, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.until, k.holds, k.silent = time.Unix(0, int64(until)), true, true
	k.note("prepare")
	return []Hop{{Interface: "eth0"}}, nil
}

func (k *machine) Relay(_ context.Context, to []Hop) error {
	time.Sleep(k.slow)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.relay = to
	return nil
}

func (k *machine) Drop(ctx context.Context, linger time.Duration) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.holds, k.silent, k.linger = false, false, linger
	k.note("drop")
	if k.stuck {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (k *machine) Announce(context.Context) error {
	time.Sleep(k.slow)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.note("announce")
	return nil
}

func (k *machine) Probe(context.Context, time.Duration) ([]Claim, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.now() && !k.silent {
		k.note("refused")
		return nil, errors.New("the addresses are held")
	}
	k.note("probe")
	return k.claims, k.deaf
}

func (k *machine) Events() <-chan Event { return k.events }
func (k *machine) Close() error {
	k.set(func() { k.holds = false })
	close(k.events)
	return nil
}

func (k *machine) held() (holds, silent bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.now(), k.silent
}

func (k *machine) did() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := strings.Join(k.calls, " ")
	k.calls = nil
	return s
}

func (k *machine) set(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f()
}

// stage is a Manager on a machine, with a group that confirms or does not.
type stage struct {
	*Manager
	kept     *machine
	mu       sync.Mutex
	refuse   error // of the lease
	block    bool  // the group does not answer
	ineligib error
	taken    []Tenure
	gone     []time.Duration // how long before each the addresses had gone; -1: not held before
	lost     []string
}

const leaseLength = 200 * time.Millisecond

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{kept: &machine{events: make(chan Event)}}
	address, err := ParseAddress("10.0.0.100/24@eth0")
	if err != nil {
		t.Fatal(err)
	}
	s.Manager = New(Settings{
		Addresses: []Address{address}, Keeper: s.kept, Every: 40 * time.Millisecond, Length: leaseLength, Logger: slog.New(slog.DiscardHandler),
		Now: func() Deadline { return Deadline(time.Now().UnixNano()) },
		Lease: func(ctx context.Context, _ uint64) (Deadline, error) {
			s.mu.Lock()
			refuse, block := s.refuse, s.block
			s.mu.Unlock()
			if block {
				<-ctx.Done()
				return 0, ctx.Err()
			}
			return Deadline(time.Now().Add(leaseLength).UnixNano()), refuse
		},
		Eligible: func() error { s.mu.Lock(); defer s.mu.Unlock(); return s.ineligib },
		Taken: func(t Tenure, gone Deadline) {
			s.mu.Lock()
			defer s.mu.Unlock()
			ago := time.Duration(-1)
			if gone != 0 {
				ago = Deadline(time.Now().UnixNano()).Sub(gone)
			}
			s.taken, s.gone = append(s.taken, t), append(s.gone, ago)
		},
		Lost: func(_ Tenure, r string) { s.mu.Lock(); defer s.mu.Unlock(); s.lost = append(s.lost, r) },
	})
	t.Cleanup(func() { _ = s.Manager.Close() })
	return s
}

func (s *stage) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// lead has the node lead; the function that it gives ends the term and waits until the addresses are dropped.
func (s *stage) lead(t Tenure) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() { defer close(over); s.Lead(ctx, t) }()
	return func() { cancel(); <-over }
}

// wantHeld lets d pass and says whether the machine has the addresses then.
func (s *stage) wantHeld(t *testing.T, d time.Duration, want bool) {
	t.Helper()
	time.Sleep(d)
	synctest.Wait()
	if holds, silent := s.kept.held(); holds != want || silent {
		t.Errorf("held %v (silent %v) after %v, want %v", holds, silent, d, want)
	}
	if got := s.Status().Holds; got != want {
		t.Errorf("status says %v, want %v", got, want)
	}
}

func TestLeaderHoldsWhileItIsConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		end := s.lead(Tenure{Term: 7})
		s.wantHeld(t, time.Millisecond, true)
		s.wantHeld(t, 10*time.Second, true)
		if did := s.kept.did(); did != "take" {
			t.Errorf("the machine did %q: it is taken once, without asking the links when its holder before is known", did)
		}
		end()
		s.wantHeld(t, 0, false)
		if did := s.kept.did(); did != "drop" || s.kept.linger != 0 {
			t.Errorf("at the end of the term: %q, linger %v", did, s.kept.linger)
		}
		if len(s.taken) != 1 || s.taken[0].Term != 7 || len(s.lost) != 0 {
			t.Errorf("told: taken %v, lost %v", s.taken, s.lost)
		}
	})
}

func TestLeaseThatIsNotConfirmedEnds(t *testing.T) {
	for name, fault := range map[string]func(*stage){
		"refused": func(s *stage) { s.refuse = errors.New("another term") },
		"silent":  func(s *stage) { s.block = true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t)
				end := s.lead(Tenure{Term: 1})
				defer end()
				s.wantHeld(t, 100*time.Millisecond, true)
				s.change(func() { fault(s) })
				time.Sleep(leaseLength)
				if holds, _ := s.kept.held(); holds {
					t.Fatal("held after the lease")
				}
				s.kept.events <- Event{Kind: EventDropped, Text: "the lease ran out"}
				s.wantHeld(t, time.Millisecond, false)
				s.change(func() { s.refuse, s.block = nil, false })
				s.wantHeld(t, leaseLength+5*time.Millisecond, true)
				if len(s.taken) != 2 || len(s.lost) != 1 {
					t.Errorf("told: taken %v, lost %q", s.taken, s.lost)
				}
			})
		})
	}
}

// TestGoneSinceTheDeadline: who learns late that the addresses have gone, because it stood still, knows since when all the same: the machine lets go at the deadline. So it is at the end of a term, too.
func TestGoneSinceTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		end := s.lead(Tenure{Term: 1})
		s.wantHeld(t, 100*time.Millisecond, true)
		s.change(func() { s.block = true })
		time.Sleep(10 * leaseLength) // nobody hears of what has happened to the addresses meanwhile
		s.change(func() { s.block = false })
		s.kept.events <- Event{Kind: EventDropped, Text: "the lease ran out"}
		s.wantHeld(t, leaseLength+5*time.Millisecond, true)
		s.change(func() { s.block = true })
		time.Sleep(5 * leaseLength)
		end()
		s.change(func() { s.block = false })
		end = s.lead(Tenure{Term: 2})
		s.wantHeld(t, leaseLength, true)
		end()
		time.Sleep(time.Second)
		end = s.lead(Tenure{Term: 3})
		defer end()
		s.wantHeld(t, 5*time.Millisecond, true)
		if len(s.gone) != 4 || s.gone[0] != -1 || s.gone[1] < 9*leaseLength-40*time.Millisecond || s.gone[2] < 4*leaseLength-40*time.Millisecond || s.gone[3] < time.Second || s.gone[3] > time.Second+5*time.Millisecond {
			t.Errorf("taken %v after the addresses had gone", s.gone)
		}
	})
}

// TestAnAddedAddressIsAskedFor: also by a successor that is prepared, whose holder answers for the others; while somebody else has it another node had better lead.
func TestAnAddedAddressIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		added, err := ParseAddress("10.0.0.101/24@eth0")
		if err != nil {
			t.Fatal(err)
		}
		s.kept.set(func() { s.kept.claims = []Claim{{Address: s.s.Addresses[0], Hardware: "02:00:00:00:00:09"}} })
		if _, err := s.Prepare(t.Context(), "n1", time.Second); err != nil {
			t.Fatal(err)
		}
		if st := s.Status(); !st.Prepared || st.Holds {
			t.Errorf("prepared: %+v", st)
		}
		end := s.lead(Tenure{Term: 1, Added: []netip.Addr{added.IP()}, Planned: true})
		s.wantHeld(t, 5*time.Millisecond, true)
		if did := s.kept.did(); did != "prepare probe take" {
			t.Errorf("the machine did %q", did)
		}
		if st := s.Status(); st.Prepared || !st.Holds {
			t.Errorf("held: %+v", st)
		}
		end()
		s.kept.set(func() { s.kept.claims = []Claim{{Address: added, Hardware: "02:00:00:00:00:0a"}} })
		end = s.lead(Tenure{Term: 2, Added: []netip.Addr{added.IP()}})
		defer end()
		s.wantHeld(t, 5*probeAgain, false)
		if st := s.Status(); st.Eligible || !strings.Contains(st.Reason, "10.0.0.101 is in use by 02:00:00:00:00:0a") {
			t.Errorf("%+v", st)
		}
		s.kept.set(func() { s.kept.claims = nil })
		s.wantHeld(t, probeAgain+time.Millisecond, true)
		if st := s.Status(); !st.Eligible {
			t.Errorf("%+v", st)
		}
	})
}

func TestNobodyElseMayHaveTheAddressAtFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		address := s.s.Addresses[0]
		s.kept.set(func() { s.kept.claims = []Claim{{Address: address, Hardware: "02:00:00:00:00:09"}} })
		end := s.lead(Tenure{Term: 1, Fresh: true})
		defer end()
		s.wantHeld(t, 5*time.Second, false)
		if c := s.Status().Conflict; !strings.Contains(c, "02:00:00:00:00:09") {
			t.Errorf("the status says %q of the conflict", c)
		}
		s.kept.set(func() { s.kept.claims = nil })
		s.wantHeld(t, probeAgain+time.Millisecond, true)
		s.wantHeld(t, conflictShown, true)
		if c := s.Status().Conflict; c != "" {
			t.Errorf("a minute later the status still says %q", c)
		}
	})
}

// TestNobodyIsAskedByADeadLink: an answer could not come, and the only question would be used up.
func TestNobodyIsAskedByADeadLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.kept.events <- Event{Kind: EventLinkDown, Interface: "eth0"}
		synctest.Wait()
		end := s.lead(Tenure{Term: 1, Fresh: true})
		defer end()
		s.wantHeld(t, 5*time.Second, false)
		if did := s.kept.did(); did != "" {
			t.Errorf("while the link is down the machine did %q", did)
		}
		s.kept.set(func() { s.kept.claims = []Claim{{Address: s.s.Addresses[0], Hardware: "02:00:00:00:00:09"}} })
		s.kept.events <- Event{Kind: EventLinkUp, Interface: "eth0"}
		s.wantHeld(t, 5*probeAgain, false)
		s.kept.set(func() { s.kept.claims = nil })
		s.wantHeld(t, probeAgain+time.Millisecond, true)
	})
}

// TestQuestionThatFailsIsAskedAgain: the guard process may have ended, a link may have gone down right now. But what cannot be asked at all must not leave clients without the address.
func TestQuestionThatFailsIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.kept.set(func() { s.kept.deaf = errors.New("the guard process has ended") })
		end := s.lead(Tenure{Term: 1, Fresh: true})
		s.wantHeld(t, 10*time.Millisecond, false)
		s.kept.set(func() {
			s.kept.deaf, s.kept.claims = nil, []Claim{{Address: s.s.Addresses[0], Hardware: "02:00:00:00:00:09"}}
		})
		s.wantHeld(t, 5*probeAgain, false)
		s.kept.set(func() { s.kept.deaf = errors.New("it is deaf in part") })
		s.wantHeld(t, 5*probeAgain, false) // who has answered has
		end()
		s.kept.set(func() { s.kept.claims = nil })
		s.kept.did()
		end = s.lead(Tenure{Term: 2, Fresh: true})
		defer end()
		s.wantHeld(t, probeTries*probeAgain, true)
		if did := s.kept.did(); did != "probe probe probe take" {
			t.Errorf("the machine did %q", did)
		}
	})
}

// TestAddressInUseIsNotTakenForWantOfAnswers: who cannot be asked any more may have it still. Events have the links asked more often than time does, and count no more for that.
func TestAddressInUseIsNotTakenForWantOfAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.kept.set(func() { s.kept.claims = []Claim{{Address: s.s.Addresses[0], Hardware: "02:00:00:00:00:09"}} })
		end := s.lead(Tenure{Term: 1, Fresh: true})
		s.wantHeld(t, 2*probeAgain, false)
		s.kept.set(func() { s.kept.claims, s.kept.deaf = nil, errors.New("the guard process has ended") })
		s.wantHeld(t, 20*probeAgain, false)
		s.kept.set(func() { s.kept.deaf = nil })
		s.wantHeld(t, 2*probeAgain, true)
		end()

		s.kept.set(func() { s.kept.deaf = errors.New("the guard process has ended") })
		end = s.lead(Tenure{Term: 2, Fresh: true})
		defer end()
		for range 10 { // as fast as the guard is started again
			select {
			case s.kick <- struct{}{}:
			default:
			}
			s.wantHeld(t, probeAgain/20, false)
		}
		s.wantHeld(t, probeTries*probeAgain, true)
	})
}

// TestPreparedNodeAsksNobody: somebody has held, or it would not be prepared; and it would hear itself.
func TestPreparedNodeAsksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		if _, err := s.Prepare(t.Context(), "n1", time.Second); err != nil {
			t.Fatal(err)
		}
		end := s.lead(Tenure{Term: 2, Fresh: true})
		defer end()
		s.wantHeld(t, 5*time.Millisecond, true)
		if did := s.kept.did(); did != "prepare take" {
			t.Errorf("the machine did %q", did)
		}
	})
}

func TestIneligibleLeaderGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		end := s.lead(Tenure{Term: 1})
		defer end()
		s.wantHeld(t, 100*time.Millisecond, true)
		s.change(func() { s.ineligib = errors.New("listener web is not bound") })
		s.wantHeld(t, 41*time.Millisecond, false)
		if st := s.Status(); st.Eligible || st.Reason != "listener web is not bound" {
			t.Errorf("status %+v", st)
		}
		s.change(func() { s.ineligib = nil })
		s.wantHeld(t, 41*time.Millisecond, true)
		s.kept.events <- Event{Kind: EventLinkDown, Interface: "eth0"}
		s.wantHeld(t, time.Millisecond, false)
		s.kept.events <- Event{Kind: EventLinkUp, Interface: "eth0"}
		s.wantHeld(t, time.Millisecond, true)
		s.kept.set(func() { s.kept.err = errors.New("no such device") })
		s.wantHeld(t, 41*time.Millisecond, true) // until its deadline
		if st := s.Status(); st.Eligible || st.Reason != "no such device" {
			t.Errorf("a keeper that fails: status %+v", st)
		}
	})
}

func TestHandOverWaitsForTheSuccessor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		end := s.lead(Tenure{Term: 1})
		s.wantHeld(t, 100*time.Millisecond, true)
		s.HandingOver()
		go func() {
			time.Sleep(30 * time.Millisecond)
			if holds, _ := s.kept.held(); !holds {
				t.Error("dropped before the successor holds")
			}
			s.Released()
			s.Released()
		}()
		began := time.Now()
		end()
		if took := time.Since(began); took != 30*time.Millisecond {
			t.Errorf("the tenure ended after %v", took)
		}
		if did := s.kept.did(); did != "take drop" || s.kept.linger != lingering {
			t.Errorf("%q, linger %v", did, s.kept.linger)
		}
		// A successor that says nothing is not waited for beyond the lease.
		end = s.lead(Tenure{Term: 3})
		s.wantHeld(t, 100*time.Millisecond, true)
		s.HandingOver()
		began = time.Now()
		end()
		if took := time.Since(began); took >= leaseLength || took < leaseLength-s.s.Every-leaseLength/10 {
			t.Errorf("the tenure ended after %v, the lease has %v", took, leaseLength)
		}
		if did := s.kept.did(); did != "take drop" || s.kept.linger != lingering { // not by its deadline, with which the relay would end
			t.Errorf("%q, linger %v", did, s.kept.linger)
		}
	})
}

func TestPreparedNodeTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		ctx := context.Background()
		hops, err := s.Prepare(ctx, "n1", time.Second)
		if err != nil || len(hops) != 1 || s.Prepared() != "n1" {
			t.Fatalf("prepare: %v, %v", hops, err)
		}
		end := s.lead(Tenure{Term: 2, Planned: true})
		s.wantHeld(t, time.Millisecond, true)
		if _, err := s.Prepare(ctx, "n3", time.Second); !errors.Is(err, ErrLeads) {
			t.Errorf("a leader prepares: %v", err)
		}
		if err := s.Unprepare(ctx); err != nil {
			t.Fatal(err)
		}
		s.wantHeld(t, time.Millisecond, true) // what a leader holds is not undone by a late word
		end()
		s.kept.did()
		if _, err := s.Prepare(ctx, "n1", time.Second); err != nil {
			t.Fatal(err)
		}
		if err := s.Unprepare(ctx); err != nil {
			t.Fatal(err)
		}
		if did := s.kept.did(); did != "prepare drop" {
			t.Errorf("the machine did %q", did)
		}
		s.change(func() { s.ineligib = errors.New("catching up") })
		if _, err := s.Prepare(ctx, "n1", time.Second); err == nil {
			t.Error("a node that cannot serve prepares")
		}
	})
}
