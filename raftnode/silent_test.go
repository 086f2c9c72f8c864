package raftnode

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// won is an election, and who won it.
type won struct {
	m *member
	s Succession
}

// silences is a group whose leader falls silent again and again.
type silences struct {
	t       *testing.T
	g       group
	w       *wires
	elected chan won
	timing  string

	took   []time.Duration
	raises map[uint64]int // by how much one death has raised the term
	void   int            // elections during which the machine stood still
}

func newSilences(t *testing.T, size int, timing string) *silences {
	t.Helper()
	s := &silences{t: t, g: expectTimed(t, size, timing), elected: make(chan won, 1024), timing: timing, raises: map[uint64]int{}}
	for _, m := range s.g {
		m.node.OnElected(func(_ context.Context, took Succession) { s.elected <- won{m, took} })
	}
	s.w = wire(s.g)
	for _, m := range s.g {
		m.run()
	}
	s.g.ready()
	return s
}

// quiet waits until one node leads and has just been heard of by all others, whose logs are as long as its own, and gives it and its term.
func (s *silences) quiet() (leader *member, term uint64) {
	s.t.Helper()
	within(s.t, 60*time.Second, "the group does not come to rest", func() bool {
		leader = s.g.leader()
		term = leader.node.currentTerm()
		for _, m := range s.g {
			r := m.node.raft.Load()
			if r.CurrentTerm() != term || r.LastIndex() != leader.node.raft.Load().LastIndex() || m.node.Leader() != leader.opt.Name {
				return false
			}
			if m != leader && m.node.silence() > timings[s.timing].heartbeat/2 {
				return false
			}
		}
		return leader.node.raft.Load().CommitIndex() == leader.node.raft.Load().LastIndex()
	})
	return leader, term
}

// die cuts the leader off without a word until there is another one.
func (s *silences) die() {
	s.t.Helper()
	old, term := s.quiet()
	for len(s.elected) > 0 {
		<-s.elected
	}
	start, last := time.Now(), time.Now()
	var stall time.Duration
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	s.w.isolate(s.g, old, true)
	for done := false; !done; {
		select {
		case e := <-s.elected:
			if done = e.s.Term > term; !done {
				continue
			}
			if stall > timings[s.timing].heartbeat/4 {
				s.void++
				continue
			}
			s.took = append(s.took, time.Since(start))
			s.raises[e.s.Term-term]++
		case <-tick.C:
			stall, last = max(stall, time.Since(last)), time.Now()
			if time.Since(start) > 20*time.Second {
				s.t.Fatalf("nobody follows %s, the leader of term %d", old.opt.Name, term)
			}
		}
	}
	s.w.heal()
}

// distribution is how long the elections took, and by how much they have raised the term.
func (s *silences) distribution() string {
	if len(s.took) == 0 {
		return "no election"
	}
	slices.Sort(s.took)
	at := func(share float64) time.Duration {
		return s.took[int(share*float64(len(s.took)-1))].Round(time.Millisecond / 10)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d elections: min %v, median %v, 90%% %v, 99%% %v, max %v; term raised by", len(s.took), at(0), at(.5), at(.9), at(.99), at(1))
	for _, by := range []uint64{1, 2, 3, 4, 5} {
		fmt.Fprintf(&b, " %d: %d", by, s.raises[by])
	}
	return b.String()
}

// TestSilentLeaderNeedsOneElection: when the leader falls silent all followers find that within milliseconds. One of them stands.
func TestSilentLeaderNeedsOneElection(t *testing.T) {
	timing, deaths := "fast", 100
	if slowed {
		timing, deaths = "wan", 10
	}
	for _, size := range []int{3, 5} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			s := newSilences(t, size, timing)
			for len(s.took) < deaths && s.void < 2*deaths {
				s.die()
			}
			t.Logf("%s; %d more while the machine stood still", s.distribution(), s.void)
			// A disk that is busy with other tests may still let one be too late.
			if more := len(s.took) - s.raises[1]; !slowed && more > deaths/20 {
				t.Errorf("%d of %d elections took more than one term", more, len(s.took))
			}
		})
	}
}
