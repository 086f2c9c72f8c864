package raftnode

import (
	"strings"
	"testing"
	"time"
)

// TestNodeWithAWrongClockIsNotLetIn until its clock has been set; it says why meanwhile. (TC-26: refuse the join above 2 s)
func TestNodeWithAWrongClockIsNotLetIn(t *testing.T) {
	m1 := newMember(t, "n1", Options{Bootstrap: true})
	m1.mustOpen()
	m1.run()
	g := group{m1}
	g.ready()
	off := 5 * time.Second
	m2 := newMember(t, "n2", Options{JoinToken: g.joinToken(time.Hour), Join: []string{m1.node.Addr()}, Now: func() time.Time { return time.Now().Add(off) }})
	m2.mustOpen()
	m2.run()
	within(t, 20*time.Second, "n2 does not say why it is not let in", func() bool {
		err := m2.node.Ready()
		return err != nil && strings.Contains(err.Error(), "the clock of node n2 differs from the leader's by") && strings.Contains(err.Error(), "more than 2s")
	})
	if n := len(m1.node.membership().Servers); n != 1 {
		t.Errorf("%d members, want it kept out", n)
	}
	m2.crash()
	m2.opt.Now = func() time.Time { return time.Now().Add(time.Second) }
	m2.again()
	within(t, 20*time.Second, "n2 is not let in although its clock is set", func() bool { return m2.node.Ready() == nil })
}

// TestCheckClock: both directions, the limit, and who is exempt.
func TestCheckClock(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, c := range map[string]struct {
		limit time.Duration
		said  time.Time
		ok    bool
	}{
		"same": {2 * time.Second, now, true}, "at the limit": {2 * time.Second, now.Add(2 * time.Second), true}, "ahead": {2 * time.Second, now.Add(2001 * time.Millisecond), false},
		"behind": {2 * time.Second, now.Add(-2001 * time.Millisecond), false}, "an older version": {2 * time.Second, time.Time{}, true}, "any": {-1, now.Add(time.Hour), true},
		"stricter": {time.Millisecond, now.Add(2 * time.Millisecond), false},
	} {
		n := &Node{opt: Options{MaxJoinSkew: c.limit, Now: func() time.Time { return now }}}
		if err := n.checkClock(joinRequest{founder: founder{Name: "n9"}, Now: c.said}); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
