package server

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/lb"
)

// newFitStage has two instances that all nodes reach, checked a second ago.
func newFitStage() *holderStage {
	s := newHolderStage()
	s.op.Config.Clusters = []config.Cluster{testCluster("i1", "i2")}
	s.ids[fsm.InstanceRef{Cluster: "c1", Instance: "i1"}], s.ids[fsm.InstanceRef{Cluster: "c1", Instance: "i2"}] = 1, 2
	for i := range s.nodes {
		s.reach(i, "i1")
		s.reach(i, "i2")
	}
	return s
}

func (s *holderStage) reach(node int, instance string) {
	s.say(node, lb.InstanceStatus{Cluster: "c1", Instance: instance, Enabled: true, Health: "up", Since: time.Now().Add(-time.Hour), AnsweredAgo: 1000})
}

// miss has a node find an instance unavailable since a while ago.
func (s *holderStage) miss(node int, instance string, since time.Duration) {
	s.say(node, lb.InstanceStatus{Cluster: "c1", Instance: instance, Enabled: true, Health: "down", Since: time.Now().Add(-since)})
}

// TestHolderMovesToWhoReachesMore: nobody is left without the address by that, and it comes to rest.
func TestHolderMovesToWhoReachesMore(t *testing.T) {
	for name, c := range map[string]struct {
		say  func(*holderStage)
		want string // the node that gets it
	}{
		"all reach all":             {func(*holderStage) {}, ""},
		"this one misses one":       {func(s *holderStage) { s.miss(0, "i1", time.Minute) }, "n2"},
		"another one does":          {func(s *holderStage) { s.miss(1, "i1", time.Minute) }, ""},
		"the second does too":       {func(s *holderStage) { s.miss(0, "i1", time.Minute); s.miss(1, "i1", time.Minute) }, "n3"},
		"the second misses another": {func(s *holderStage) { s.miss(0, "i1", time.Minute); s.miss(1, "i2", time.Minute) }, "n3"},
		"each misses another": {func(s *holderStage) {
			s.miss(0, "i1", time.Minute)
			s.miss(1, "i2", time.Minute)
			s.miss(2, "i2", time.Minute)
		}, ""},
		"who misses one of two": {func(s *holderStage) {
			s.miss(0, "i1", time.Minute)
			s.miss(0, "i2", time.Minute)
			s.miss(1, "i1", time.Minute)
		}, "n3"},
		"nobody reaches it": {func(s *holderStage) {
			for i := range s.nodes {
				s.miss(i, "i1", time.Minute)
			}
		}, ""},
		"the group has found it failed": {func(s *holderStage) {
			s.miss(0, "i1", time.Minute)
			s.op.Verdicts = []fsm.Verdict{{Instance: 1, State: fsm.HealthFailed}}
		}, ""},
		"suspect is what the group makes of it": {func(s *holderStage) {
			s.miss(0, "i1", time.Minute)
			s.op.Verdicts = []fsm.Verdict{{Instance: 1, State: fsm.HealthSuspect}}
		}, "n2"},
		"the others have not looked since": {func(s *holderStage) {
			s.miss(0, "i1", 100*time.Millisecond)
			for i := range 2 {
				s.say(i+1, lb.InstanceStatus{Cluster: "c1", Instance: "i1", Enabled: true, Health: "up", AnsweredAgo: 3_600_000})
			}
		}, ""},
		"the others never look": {func(s *holderStage) {
			s.miss(0, "i1", time.Minute)
			for i := range 2 {
				s.say(i+1, lb.InstanceStatus{Cluster: "c1", Instance: "i1", Enabled: true, Health: "up"})
			}
		}, ""},
		"it is disabled": {func(s *holderStage) {
			s.say(0, lb.InstanceStatus{Cluster: "c1", Instance: "i1", Health: "down", Since: time.Now().Add(-time.Minute)})
		}, ""},
		"it has not been found again since a cut": {func(s *holderStage) {
			s.say(0, lb.InstanceStatus{Cluster: "c1", Instance: "i1", Enabled: true, Health: "down", Unproven: true, Since: time.Now().Add(-time.Minute)})
		}, ""},
		"the others may not hold": {func(s *holderStage) {
			s.miss(0, "i1", time.Minute)
			s.op.Evacuated = []fsm.Evacuation{{Node: "n2"}}
			s.nodes[2].reachable = false
		}, ""},
		"the preferred one of two": {func(s *holderStage) {
			s.miss(0, "i1", time.Minute)
			s.op.Config.Holder.Prefer = []string{"n1", "n3"}
		}, "n3"},
		"an instance that the others do not know": {func(s *holderStage) {
			s.say(0, lb.InstanceStatus{Cluster: "c1", Instance: "new", Enabled: true, Health: "down", Since: time.Now().Add(-time.Minute)})
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newFitStage()
				c.say(s)
				if got := s.after(t, fitSettle); got != "" {
					t.Errorf("moved %q at once", got)
				}
				got, _, _ := strings.Cut(s.after(t, 2*time.Second), " in 30s")
				if got != c.want {
					t.Errorf("moved to %q, want %q", got, c.want)
				}
			})
		})
	}
}

// TestMissedForAMomentMovesNothing: an instance that restarts is missed by one node first.
func TestMissedForAMomentMovesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFitStage()
		for range 5 {
			s.miss(0, "i1", 2*time.Second)
			got := s.after(t, 2*time.Second)
			s.reach(0, "i1")
			if got += s.after(t, 2*time.Second); got != "" {
				t.Fatalf("moved %q", got)
			}
		}
	})
}

// TestPreferredNodeMustReachWhatTheHolderDoes: else the address would go back and forth.
func TestPreferredNodeMustReachWhatTheHolderDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFitStage()
		s.op.Config.Holder.Prefer = []string{"n2"}
		s.miss(1, "i1", time.Minute)
		if got := s.after(t, 5*time.Minute); got != "" {
			t.Fatalf("moved %q to a node that reaches less", got)
		}
		s.reach(1, "i1")
		if got := s.after(t, 59*time.Second); got != "" {
			t.Fatalf("moved %q before it has settled", got)
		}
		if got := s.after(t, 2*time.Second); !strings.HasPrefix(got, "n2 in 30s") {
			t.Fatalf("moved %q, want n2", got)
		}
	})
}

// TestFailedMoveToWhoReachesMoreLeavesTheAddress: it is said once and tried again.
func TestFailedMoveToWhoReachesMoreLeavesTheAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFitStage()
		s.fail = errNoSuccessor
		s.miss(0, "i1", time.Minute)
		if got := strings.Count(s.after(t, fitSettle+time.Second+5*handOverAgain), "n2 in"); got < 4 || got > 6 {
			t.Errorf("tried %d times", got)
		}
		if said := s.logged("it reaches instances that this one does not"); said != 1 {
			t.Errorf("the log says so %d times", said)
		}
	})
}

// TestUnprovenIsNoVote: what a node found while it was cut off is not its vote; the others decide, and without them the verdict stays.
func TestUnprovenIsNoVote(t *testing.T) {
	for say, want := range map[string]fsm.HealthState{"?uu": fsm.HealthUp, "?dd": fsm.HealthFailed, "???": fsm.HealthUp,
		"?du": fsm.HealthUp, // it might still turn it to failed
	} {
		t.Run(say, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newFakeGroup(testCluster("i1"))
				for i, letter := range say {
					s := lb.InstanceStatus{Cluster: "c1", Instance: "i1", Health: "up", Since: time.Now().Add(-time.Minute)}
					if letter != 'u' {
						s.Health, s.Reason, s.Unproven = "down", "no answer within 10s", letter == '?'
					}
					g.say(i, s)
				}
				tm := g.term("n1")
				defer g.lead(tm, &healthDuty{term: tm})()
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if got := g.verdict(); got != want {
					t.Errorf("verdict %s, want %s", got, want)
				}
			})
		})
	}
}
