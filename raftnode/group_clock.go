package raftnode

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// maxStep is how far a node's wall clock may be from the group's time before the node, when it leads, does not go by it without asking.
const maxStep = 500 * time.Millisecond

// groupClock is the group's time (replicated time) as this node knows it, for when it leads: what it writes into entries decides when quiesces, locks,
// schedules, tokens and idle sessions end everywhere, and can never be taken back. So it does not go by one node's wall clock alone, which may be
// wrong, or jump.
//
// Each entry that is applied says what time it was a moment ago, and the monotonic clock how long ago that is. A wall clock that agrees with that (maxStep)
// is followed, so that the group's time stays the time of day. One that does not counts for nothing until the other nodes' clocks have
// been asked (judge): meanwhile the group's time goes on by the monotonic clock.
type groupClock struct {
	wall func() time.Time
	mono func() time.Time // only differences count

	mu sync.Mutex
	// known: it was base when the monotonic clock was at. An entry may be applied late, so this is never ahead, but may be behind.
	known    bool
	base, at time.Time
	// offset is what has to be added to the wall clock, as the other nodes see it.
	offset time.Duration
}

// heard takes the time of an entry that has just been applied.
func (c *groupClock) heard(t time.Time) {
	now := c.mono()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known || t.After(c.estimate(now)) {
		c.known, c.base, c.at = true, t.Round(0), now
	}
}

// estimate has c.mu held, and c.known.
func (c *groupClock) estimate(mono time.Time) time.Time { return c.base.Add(mono.Sub(c.at)) }

// now is the group's time. sure is false when the wall clock contradicts what the group's time must be, or there is nothing to compare it with.
func (c *groupClock) now() (now time.Time, sure bool) {
	// Without its monotonic part: differences are to show jumps.
	wall := c.wall().Round(0)
	c.mu.Lock()
	defer c.mu.Unlock()
	wall = wall.Add(c.offset)
	if !c.known {
		return wall, false
	}
	if now = c.estimate(c.mono()); wall.Sub(now).Abs() <= maxStep {
		return wall, true
	}
	return now, false
}

// said is the group's time if this node knows it from the group, else zero: what it tells others.
func (c *groupClock) said() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known {
		return time.Time{}
	}
	return c.estimate(c.mono())
}

// adopt takes a judgement: that the group's time is the wall clock and offset. The time never goes back; when it is ahead of that, the offset
// makes up for it.
func (c *groupClock) adopt(offset time.Duration) {
	wall, mono := c.wall().Round(0), c.mono()
	c.mu.Lock()
	defer c.mu.Unlock()
	if offset.Abs() <= maxStep {
		offset = 0
	}
	if c.known {
		if now := c.estimate(mono); now.Sub(wall.Add(offset)) > maxStep {
			offset = now.Sub(wall)
		}
	}
	c.known, c.base, c.at, c.offset = true, wall.Add(offset), mono, offset
}

// correction is what is added to the wall clock at present.
func (c *groupClock) correction() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.offset
}

// clockVote is what a node's answer says about time, as differences from this node's wall clock.
type clockVote struct {
	wall time.Duration
	// group is the group's time as that node knows it; heard tells whether it does.
	group time.Duration
	heard bool
}

// judge says what has to be added to this node's wall clock to make it the group's time. votes are those of the voters that answered, this
// node's own first; voters is how many there are. sure is false as long as another answer could change it.
//
// A clock that a majority of the voters has is right. Without such a majority the group's time goes on from what the nodes know of it: the furthest, for none is
// ahead of it. Where nobody knows it, all have just been started, and the earliest clock counts: nothing must come early.
func judge(votes []clockVote, voters int) (offset time.Duration, sure bool) {
	walls := make([]time.Duration, len(votes))
	for i, v := range votes {
		walls[i] = v.wall
	}
	for _, of := range walls { // this node's own first
		agree := 0
		for _, w := range walls {
			if (w - of).Abs() <= maxStep {
				agree++
			}
		}
		if 2*agree > voters {
			return of, true
		}
	}
	known := slices.DeleteFunc(slices.Clone(votes), func(v clockVote) bool { return !v.heard })
	if len(known) > 0 {
		return slices.MaxFunc(known, func(a, b clockVote) int { return cmp.Compare(a.group, b.group) }).group, false
	}
	return slices.Min(walls), false
}
