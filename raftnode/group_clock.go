package raftnode

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
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

	writing sync.Mutex
	fix     atomic.Pointer[clockFix] // nil: nothing known; requests read it
}

// clockFix is what a groupClock knows. It is immutable.
type clockFix struct {
	// known: it was base when the monotonic clock was at. An entry may be applied late, so this is never ahead, but may be behind.
	known    bool
	base, at time.Time
	// offset is what has to be added to the wall clock, as the other nodes see it.
	offset time.Duration
}

func (f *clockFix) estimate(mono time.Time) time.Time { return f.base.Add(mono.Sub(f.at)) }

// get gives the zero value when nothing is known.
func (c *groupClock) get() clockFix {
	if f := c.fix.Load(); f != nil {
		return *f
	}
	return clockFix{}
}

// heard takes the time of an entry that has just been applied.
func (c *groupClock) heard(t time.Time) {
	now := c.mono()
	c.writing.Lock()
	defer c.writing.Unlock()
	if f := c.get(); !f.known || t.After(f.estimate(now)) {
		c.fix.Store(&clockFix{known: true, base: t.Round(0), at: now, offset: f.offset})
	}
}

// now is the group's time. sure is false when the wall clock contradicts what the group's time must be, or there is nothing to compare it with.
func (c *groupClock) now() (now time.Time, sure bool) {
	f := c.get()
	// Without its monotonic part: differences are to show jumps.
	wall := c.wall().Round(0).Add(f.offset)
	if !f.known {
		return wall, false
	}
	if now = f.estimate(c.mono()); wall.Sub(now).Abs() <= maxStep {
		return wall, true
	}
	return now, false
}

// said is the group's time if this node knows it from the group, else zero: what it tells others.
func (c *groupClock) said() time.Time {
	f := c.get()
	if !f.known {
		return time.Time{}
	}
	return f.estimate(c.mono())
}

// adopt takes a judgement: that the group's time is the wall clock and offset. The time never goes back; when it is ahead of that, the offset
// makes up for it.
func (c *groupClock) adopt(offset time.Duration) {
	wall, mono := c.wall().Round(0), c.mono()
	c.writing.Lock()
	defer c.writing.Unlock()
	if offset.Abs() <= maxStep {
		offset = 0
	}
	if f := c.get(); f.known {
		if now := f.estimate(mono); now.Sub(wall.Add(offset)) > maxStep {
			offset = now.Sub(wall)
		}
	}
	c.fix.Store(&clockFix{known: true, base: wall.Add(offset), at: mono, offset: offset})
}

// correction is what is added to the wall clock at present.
func (c *groupClock) correction() time.Duration { return c.get().offset }

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
