package raftnode

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/fsm"
)

// skewed is a wall clock that can be set.
type skewed struct{ off atomic.Int64 }

func (s *skewed) now() time.Time { return time.Now().Round(0).Add(time.Duration(s.off.Load())) }

func (s *skewed) set(d time.Duration) { s.off.Store(int64(d)) }

// skewedGroup gives three nodes that serve, and their clocks.
func skewedGroup(t *testing.T) (group, map[*member]*skewed) {
	t.Helper()
	g := expectGroup(t, 3)
	clocks := map[*member]*skewed{}
	for _, m := range g {
		c := &skewed{}
		clocks[m] = c
		m.crash()
		m.opt.Now = c.now
		m.mustOpen()
		m.run()
	}
	g.ready()
	g.write(g.leader())
	return g, clocks
}

// write has an entry written, so that replicated time moves, and gives that time as all nodes have it.
func (g group) write(by *member) time.Time {
	t := g[0].t
	t.Helper()
	r, err := by.node.Propose(ctxFor(t, 20*time.Second), &fsm.TokenDrop{ID: "x"})
	if err != nil {
		t.Fatal(err)
	}
	var now time.Time
	for _, m := range g {
		if m.node == nil {
			continue
		}
		if err := m.node.WaitApplied(ctxFor(t, 20*time.Second), r.Index); err != nil {
			t.Fatal(err)
		}
		now = m.state.Now()
	}
	return now
}

// lead makes m the leader.
func (g group) lead(m *member) {
	t := g[0].t
	t.Helper()
	within(t, 20*time.Second, m.opt.Name+" does not lead", func() bool {
		l := g.leader()
		if l == m {
			return true
		}
		_ = l.node.raft.Load().LeadershipTransferToServer(raft.ServerID(m.node.ID()), raft.ServerAddress(m.node.Addr())).Error()
		return false
	})
}

// isTime wants a replicated time to be about the real one.
func isTime(t *testing.T, when string, got time.Time) {
	t.Helper()
	if off := time.Until(got); off.Abs() > 3*time.Second {
		t.Errorf("%s: replicated time is off by %v", when, off.Round(time.Millisecond))
	}
}

// UCD-05: one node's clock is 10 minutes off. Nothing fires early (or late), whether the node follows, leads when it happens, or leads afterwards.
func TestOneClockIsNotTheGroups(t *testing.T) {
	for name, off := range map[string]time.Duration{"ahead": 10 * time.Minute, "behind": -10 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			g, clocks := skewedGroup(t)
			m := g.followers()[0]
			clocks[m].set(off)
			isTime(t, "a follower's clock jumped", g.write(m))
			g.lead(m)
			for range 3 {
				isTime(t, "its node leads", g.write(m))
			}
			isTime(t, "its node says", m.node.GroupTime())
			clocks[m].set(0)
			isTime(t, "it was set", g.write(m))
			clocks[m].set(6 * off)
			isTime(t, "a leader's clock jumped", g.write(m))
			within(t, 10*time.Second, "the jump is not judged", func() bool { return m.node.clock.correction() != 0 })
			isTime(t, "it was judged", g.write(m))
			other := g.followers()[0]
			g.lead(other)
			isTime(t, "another node leads", g.write(other))
		})
	}
}

// All stop and start again, one with a wrong clock, which then leads: nobody knows the group's time, and most clocks say it.
func TestClocksAfterARestartOfAll(t *testing.T) {
	g, clocks := skewedGroup(t)
	for _, m := range g {
		m.crash()
	}
	clocks[g[2]].set(time.Hour)
	for _, m := range g {
		m.again()
	}
	g.ready()
	g.lead(g[2])
	isTime(t, "the wrong clock leads", g.write(g[2]))
	// Two of three, and their clocks differ: it goes on from what was known.
	g[0].crash()
	g.ready()
	isTime(t, "two are left", g.write(g[1]))
}

// When the clocks of most nodes are set, the group's time follows: it is the time of day.
func TestClocksOfAllAreSet(t *testing.T) {
	g, clocks := skewedGroup(t)
	for _, c := range clocks {
		c.set(time.Hour)
	}
	l := g.leader()
	within(t, 20*time.Second, "the group's time does not follow", func() bool {
		return time.Until(g.write(l)) > 59*time.Minute
	})
}

// Without anybody to ask the node's clock is all there is.
func TestClockOfASingleNode(t *testing.T) {
	c := &skewed{}
	m := newMember(t, "n1", Options{Bootstrap: true, Now: c.now})
	m.mustOpen()
	m.run()
	g := group{m}
	g.ready()
	isTime(t, "begin", g.write(m))
	c.set(-time.Hour)
	isTime(t, "set back", g.write(m))
	c.set(time.Hour)
	within(t, 20*time.Second, "a single node's clock is not followed", func() bool { return time.Until(g.write(m)) > 59*time.Minute })
}

func TestJudge(t *testing.T) {
	const h, m = time.Hour, time.Minute
	for name, c := range map[string]struct {
		votes  []clockVote
		voters int
		want   time.Duration
		sure   bool
	}{
		"alone":                            {[]clockVote{{}}, 1, 0, true},
		"one more agrees":                  {[]clockVote{{}, {wall: maxStep}}, 3, 0, true},
		"one more differs":                 {[]clockVote{{}, {wall: -h}}, 3, -h, false},
		"the two others agree":             {[]clockVote{{}, {wall: -h}, {wall: -h + maxStep}}, 3, -h, true},
		"this node knows the group's time": {[]clockVote{{group: -h, heard: true}, {wall: m}}, 3, -h, false},
		"the other knows it better":        {[]clockVote{{group: -h, heard: true}, {wall: -m, group: -m, heard: true}}, 3, -m, false},
		"three differ, nobody knows":       {[]clockVote{{}, {wall: h}, {wall: -m}}, 3, -m, false},
		"nobody answers":                   {[]clockVote{{group: -m, heard: true}}, 3, -m, false},
	} {
		if got, sure := judge(c.votes, c.voters); got != c.want || sure != c.sure {
			t.Errorf("%s: %v, sure %v, want %v, %v", name, got, sure, c.want, c.sure)
		}
	}
}

// The group's time follows a wall clock within 500 ms of it, goes on through a jump, and never goes back.
func TestGroupClock(t *testing.T) {
	wall := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	mono := wall
	c := &groupClock{wall: func() time.Time { return wall }, mono: func() time.Time { return mono }}
	pass := func(d time.Duration) { wall, mono = wall.Add(d), mono.Add(d) }
	is := func(when string, off time.Duration, sure bool) {
		t.Helper()
		if now, got := c.now(); now.Sub(mono) != off || got != sure {
			t.Errorf("%s: %v off, sure %v, want %v, %v", when, now.Sub(mono), got, off, sure)
		}
	}
	is("nothing known", 0, false)
	c.heard(mono.Add(-100 * time.Millisecond))
	is("an entry", 0, true)
	wall = wall.Add(400 * time.Millisecond)
	is("500 ms off", 400*time.Millisecond, true)
	wall = wall.Add(time.Hour)
	is("a jump", -100*time.Millisecond, false)
	pass(time.Minute)
	is("a minute later", -100*time.Millisecond, false)
	c.heard(mono.Add(-time.Minute))
	is("an old entry", -100*time.Millisecond, false)
	c.adopt(-time.Hour - 400*time.Millisecond)
	is("judged wrong", 0, true)
	wall = wall.Add(-time.Hour - 400*time.Millisecond)
	is("set", 0, false)
	c.adopt(0)
	is("judged right", 0, true)
	c.adopt(-time.Hour)
	is("back", 0, true)
}
