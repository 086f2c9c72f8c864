package raftnode

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// TestStepOfTheGroupsTime: that the group's time moves on is said when it does. A new leader that has been started again, and has only heard entries that were old, knows less than the group: the others
// know what its time is.
func TestStepOfTheGroupsTime(t *testing.T) {
	const step = "the group's time moves on"
	for name, tc := range map[string]struct {
		own    time.Duration // what this node knows of the group's time, before its wall clock
		others []clockVote
		steps  bool
	}{
		"its knowledge is old":             {-10 * time.Second, []clockVote{{wall: 0, group: -20 * time.Millisecond, heard: true}}, false},
		"the others know nothing":          {-10 * time.Second, []clockVote{{wall: 0}}, true},
		"the group's time stood behind":    {-10 * time.Second, []clockVote{{wall: 0, group: -10 * time.Second, heard: true}}, true},
		"one of the others knows the time": {-10 * time.Second, []clockVote{{wall: 0, group: -9 * time.Second, heard: true}, {wall: 0, group: 0, heard: true}}, false},
		"all is well":                      {-10 * time.Millisecond, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			wall := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
			mono := time.Now()
			n := &Node{state: fsm.New(), log: slog.New(slog.NewTextHandler(&out, nil)), opt: Options{Now: func() time.Time { return wall }},
				clock: &groupClock{wall: func() time.Time { return wall }, mono: func() time.Time { return mono }}}
			n.clock.heard(wall.Add(tc.own))
			own := clockVote{group: tc.own, heard: true}
			n.adoptClock(append([]clockVote{own}, tc.others...), 0)
			if got := strings.Contains(out.String(), step); got != tc.steps {
				t.Errorf("said: %t, want %t: %s", got, tc.steps, out.String())
			}
			if now := n.GroupTime(); !now.Equal(wall) {
				t.Errorf("the group's time is %v, want %v", now, wall)
			}
		})
	}
}
