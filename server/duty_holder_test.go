package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/raftnode"
	"github.com/holdfast-lb/holdfast/vip"
)

// holderStage is the duty on node n1 of a group whose nodes n1, n2 and n3 are all eligible; moves is what it did.
type holderStage struct {
	*fakeGroup
	duty  *holderDuty
	moves []string
	fail  error
	// announced counts the announcements.
	announced int
}

func newHolderStage() *holderStage {
	s := &holderStage{fakeGroup: newFakeGroup()}
	for i := range s.nodes {
		s.nodes[i].voter = true
		s.nodes[i].VIP = &addressReport{Status: vip.Status{Addresses: []string{"10.0.0.100/24@eth0"}, Eligible: true}}
		s.nodes[i].zone = string(rune('a' + i))
	}
	s.op.Config.Holder.Settle = config.Duration(time.Minute)
	s.duty = &holderDuty{
		term: s.term("n1"),
		self: func() memberReport { s.mu.Lock(); defer s.mu.Unlock(); return s.nodes[0] },
		others: func(context.Context, time.Duration) ([]memberReport, time.Time) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return slices.Clone(s.nodes), time.Now()
		},
		handOver: func(_ context.Context, to string, drain time.Duration) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.moves = append(s.moves, fmt.Sprintf("%s in %v", to, drain))
			return s.fail
		},
		announce: func(context.Context) error { s.set(func() { s.announced++ }); return nil },
	}
	return s
}

// after looks as often as the duty wants to for d, and gives the moves.
func (s *holderStage) after(t *testing.T, d time.Duration) string {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		again, err := s.duty.look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(min(again, time.Until(end)))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	moves := strings.Join(s.moves, ", ")
	s.moves = nil
	return moves
}

func (s *holderStage) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func TestHolderMovesWhenItMust(t *testing.T) {
	for name, c := range map[string]struct {
		fault func(*holderStage)
		want  string
	}{
		"nothing is wrong": {func(*holderStage) {}, ""},
		"it is evacuated":  {func(s *holderStage) { s.op.Evacuated = []fsm.Evacuation{{Node: "n1"}} }, " in 30s"},
		"another one is":   {func(s *holderStage) { s.op.Evacuated = []fsm.Evacuation{{Node: "n2"}} }, ""},
		"it cannot serve": {func(s *holderStage) {
			s.nodes[0].VIP = &addressReport{Status: vip.Status{Reason: "interface eth0 is down"}}
		}, " in 0s"},
		"it had better not": { // what connects still works
			func(s *holderStage) {
				s.nodes[0].VIP = &addressReport{Status: vip.Status{Reason: "listener web is not bound", Flawed: true}}
			}, " in 30s"},
		"its disk is full":            {func(s *holderStage) { s.nodes[0].disk = "its disk is full" }, " in 30s"},
		"it runs without the address": {func(s *holderStage) { s.nodes[0].VIP = nil }, "n2 in 0s"},
		"nobody has one":              {func(s *holderStage) { s.nodes[0].VIP, s.nodes[1].VIP, s.nodes[2].VIP = nil, nil, nil }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newHolderStage()
				s.set(func() { c.fault(s) })
				if got := s.after(t, flawPatience+holderLook); !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
					t.Errorf("moved %q, want %q", got, c.want)
				}
			})
		})
	}
}

// TestHealIsAnnounced: whoever was cut off with a node has not heard who has the addresses now.
func TestHealIsAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newHolderStage()
		want := func(when string, d time.Duration, n int) {
			t.Helper()
			if moves := s.after(t, d); moves != "" || s.announced != n {
				t.Errorf("%s: announced %d times, want %d; moved %q", when, s.announced, n, moves)
			}
			s.announced = 0
		}
		want("nothing has happened", time.Minute, 0)
		s.set(func() { s.nodes[2].reachable = false })
		want("a node does not answer", time.Minute, 0)
		s.set(func() { s.nodes[2].reachable = true })
		want("it answers again", time.Minute, announceRounds)
	})
}

// TestHealIsAnnouncedByWhoOughtNotToHold: it holds all the same, as long as nobody can take over. A listener that no node can bind, say, is there for long.
func TestHealIsAnnouncedByWhoOughtNotToHold(t *testing.T) {
	for name, fault := range map[string]func(*holderStage){
		"it has a flaw": func(s *holderStage) {
			s.nodes[0].VIP = &addressReport{Status: vip.Status{Holds: true, Reason: "listener web is not bound", Flawed: true}}
		},
		"it is evacuated":  func(s *holderStage) { s.op.Evacuated = []fsm.Evacuation{{Node: "n1"}} },
		"its disk is full": func(s *holderStage) { s.nodes[0].disk = "its disk is full" },
		"its link was down": func(s *holderStage) {
			s.nodes[0].VIP = &addressReport{Status: vip.Status{Reason: "interface eth0 is down"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newHolderStage()
				s.fail = errNoSuccessor
				s.set(func() { fault(s); s.nodes[2].reachable = false })
				if s.after(t, time.Minute); s.announced != 0 {
					t.Errorf("announced %d times before anything has healed", s.announced)
				}
				s.set(func() { s.nodes[2].reachable = true })
				if moves := s.after(t, time.Minute); s.announced != announceRounds || strings.Count(moves, "in") < 25 {
					t.Errorf("announced %d times, want %d; moved %q", s.announced, announceRounds, moves)
				}
			})
		})
	}
}

// TestFlawForAMoment: a new listener takes a moment to be bound. The address does not move for that.
func TestFlawForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newHolderStage()
		good, bad := s.nodes[0].VIP, &addressReport{Status: vip.Status{Reason: "not bound yet", Flawed: true}}
		for range 5 {
			s.set(func() { s.nodes[0].VIP = bad })
			if got := s.after(t, flawPatience/2); got != "" {
				t.Fatalf("moved %q", got)
			}
			s.set(func() { s.nodes[0].VIP = good })
			if got := s.after(t, flawPatience/2); got != "" {
				t.Fatalf("moved %q", got)
			}
		}
	})
}

// TestHolderDutyGoesOnWithoutSuccessor: as long as nobody can take over, everything stays, and it is tried again.
func TestHolderDutyGoesOnWithoutSuccessor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newHolderStage()
		s.op.Evacuated, s.fail = []fsm.Evacuation{{Node: "n1"}}, errNoSuccessor
		if got := strings.Count(s.after(t, 5*handOverAgain), "in"); got != 5 {
			t.Errorf("tried %d times in %v", got, 5*handOverAgain)
		}
		if said := s.logged(errNoSuccessor.Error()); said != 1 {
			t.Errorf("the log says so %d times", said)
		}
	})
}

func TestPreferredNodeHoldsOnceItHasSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newHolderStage()
		s.op.Config.Holder.Prefer = []string{"n3", "n1"}
		s.set(func() { s.nodes[2].reachable = false })
		if got := s.after(t, 5*time.Minute); got != "" {
			t.Fatalf("moved %q to a node that is gone", got)
		}
		s.set(func() { s.nodes[2].reachable = true })
		if got := s.after(t, 50*time.Second); got != "" {
			t.Fatalf("moved %q before it has settled", got)
		}
		s.set(func() {
			s.nodes[2].VIP = &addressReport{Status: vip.Status{Reason: "listener web is not bound"}}
		})
		s.after(t, 2*time.Second)
		s.set(func() {
			s.nodes[2].VIP = &addressReport{Status: vip.Status{Eligible: true}}
		})
		if got := s.after(t, 59*time.Second); got != "" {
			t.Fatalf("moved %q although it was not eligible in between", got)
		}
		if got := s.after(t, 2*time.Second); !strings.HasPrefix(got, "n3 in 30s") {
			t.Fatalf("moved %q, want n3", got)
		}
		s.op.Evacuated = []fsm.Evacuation{{Node: "n3"}}
		if got := s.after(t, 2*time.Minute); got != "" {
			t.Fatalf("moved %q to an evacuated node", got)
		}
	})
}

func TestPreferenceOrders(t *testing.T) {
	c := config.Empty()
	c.Holder.Prefer, c.Holder.Zone = []string{"n2", "n1"}, "a"
	var ranks []int
	for _, n := range [][2]string{{"n2", "b"}, {"n1", "a"}, {"n4", "a"}, {"n3", "b"}} {
		ranks = append(ranks, preference(c, n[0], n[1]))
	}
	if !slices.IsSorted(ranks) || len(slices.Compact(ranks)) != 4 {
		t.Errorf("ranks %v: named nodes in their order, then the zone, then the rest", ranks)
	}
	if preference(config.Empty(), "n1", "a") != preference(config.Empty(), "n2", "") {
		t.Error("without a preference all nodes are equal")
	}
}

// TestAHangMovesNothing: a disk that hangs is raftnode's to judge, which asks the others; a full one is no other's.
func TestAHangMovesNothing(t *testing.T) {
	if got := worthMoving(fmt.Errorf("%w: a write under way for 1.1s", raftnode.ErrDiskStalled)) + worthMoving(nil); got != "" {
		t.Errorf("leadership is handed over for %q", got)
	}
	if got := worthMoving(errors.New("its disk is full")); got != "its disk is full" {
		t.Errorf("a full disk is told as %q", got)
	}
}

func TestWhoMayHold(t *testing.T) {
	fit := memberReport{node: "n2", reachable: true, voter: true, description: description{Ready: true, VIP: &addressReport{Status: vip.Status{Eligible: true}}}}
	if err := errors.Join(fit.mayHold(true), fit.mayHold(false)); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*memberReport){
		"silent":     func(r *memberReport) { r.reachable = false },
		"full disk":  func(r *memberReport) { r.disk = "its disk is full" },
		"no vote":    func(r *memberReport) { r.voter = false },
		"no --vip":   func(r *memberReport) { r.VIP = nil },
		"ineligible": func(r *memberReport) { r.VIP = &addressReport{Status: vip.Status{Reason: "catching up"}} },
	} {
		r := fit
		spoil(&r)
		if r.mayHold(true) == nil {
			t.Errorf("%s: may hold", name)
		}
	}
}
