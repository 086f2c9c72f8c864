package lan

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/proc"
	"github.com/holdfast-lb/holdfast/chaos/vip/measure"
)

// Together is the longest time in which two nodes' kernels had the Address at once, and the longest in which two nodes answered for it on the link; taken is how often a node got it, strangers how
// often a machine that is no node has claimed it. In a planned hand-over the next holder's kernel has it early, and silently, so there only the link counts: planned says whether one was going on.
func (l *LAN) Together(planned func(at time.Time) bool) (kernels, link time.Duration, taken, strangers int) {
	changes := l.kernels.SoFar()
	claims, strangers := l.link.SoFar()
	now := time.Now()
	return longestBoth(changes, now, planned), longestContested(claims), changes.Taken(time.Time{}, now), strangers
}

// aloneTime is how long a kernel may keep the Address after the node and its guard were killed: docs/ADDRESS.md says 2.3 s.
const aloneTime = 3 * time.Second

// Left waits until no node's kernel has the Address, which nothing on the machines holds any more, and names those that keep it for longer than they may.
func (l *LAN) Left() (nodes []string) {
	if l.kernels == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), aloneTime)
	defer cancel()
	_ = proc.Poll(ctx, 20*time.Millisecond, func() error {
		holders := map[int]bool{}
		for _, c := range l.kernels.SoFar() {
			holders[c.Node] = c.Held
		}
		nodes = nil
		for i, name := range l.nodes {
			if holders[i] {
				nodes = append(nodes, name)
			}
		}
		if len(nodes) > 0 {
			return errors.New("held")
		}
		return nil
	})
	return nodes
}

// longestBoth is the longest spell in which two nodes or more had the address, of those that did not begin in a planned hand-over.
func longestBoth(changes measure.Changes, now time.Time, planned func(time.Time) bool) (longest time.Duration) {
	held := map[int]bool{}
	var since time.Time
	over := func(at time.Time) {
		if len(held) > 1 && !planned(since) {
			longest = max(longest, at.Sub(since))
		}
	}
	for _, c := range changes {
		before := len(held)
		if c.Held {
			held[c.Node] = true
		} else {
			if before > 1 && held[c.Node] {
				over(c.At)
			}
			delete(held, c.Node)
		}
		if before <= 1 && len(held) > 1 {
			since = c.At
		}
	}
	over(now)
	return longest
}

// pauses is how far apart two claims of one node may be and still say that it has never ceased to claim: it is asked every 10 ms, and this machine may be busy.
const pauses = 100 * time.Millisecond

// longestContested is the longest spell in which two nodes claimed the address in turns: a claim counts before which another node had claimed it, though the claimer had never ceased to.
func longestContested(claims measure.Claims) (longest time.Duration) {
	last := map[int]time.Time{}
	var before measure.Claim     // the one before, of any node
	var since, counted time.Time // when the spell began, and its newest claim that counts
	for _, c := range claims {
		if own, ok := last[c.Node]; ok && before.Node != c.Node && c.At.Sub(own) <= pauses {
			if c.At.Sub(counted) > pauses {
				since = before.At
			}
			counted = c.At
			longest = max(longest, c.At.Sub(since))
		}
		last[c.Node], before = c.At, c
	}
	return longest
}
