package measure

import (
	"slices"
	"time"
)

// Change is a moment at which a node got the address, or lost it.
type Change struct {
	At   time.Time
	Node int
	Held bool
}

// Changes are those of all nodes in the order of time. A change to what is so already says nothing.
type Changes []Change

// Both is how long, between from and to, two nodes or more had the address at once.
func (c Changes) Both(from, to time.Time) time.Duration {
	return c.while(from, to, func(holders int) bool { return holders > 1 })
}

// None is how long nobody had it.
func (c Changes) None(from, to time.Time) time.Duration {
	return c.while(from, to, func(holders int) bool { return holders == 0 })
}

func (c Changes) while(from, to time.Time, is func(holders int) bool) (total time.Duration) {
	held := map[int]bool{}
	at := from
	pass := func(until time.Time) {
		if until.After(to) {
			until = to
		}
		if until.After(at) {
			if is(len(held)) {
				total += until.Sub(at)
			}
			at = until
		}
	}
	for _, change := range c {
		pass(change.At)
		if change.Held {
			held[change.Node] = true
		} else {
			delete(held, change.Node)
		}
	}
	pass(to)
	return total
}

// Holders are the nodes that have the address at a time.
func (c Changes) Holders(at time.Time) (nodes []int) {
	held := map[int]bool{}
	for _, change := range c {
		if change.At.After(at) {
			break
		}
		held[change.Node] = change.Held
	}
	for node, has := range held {
		if has {
			nodes = append(nodes, node)
		}
	}
	slices.Sort(nodes)
	return nodes
}

// Taken counts how often, between from and to, a node got the address.
func (c Changes) Taken(from, to time.Time) (times int) {
	held := map[int]bool{}
	for _, change := range c {
		if change.Held && !held[change.Node] && change.At.After(from) && !change.At.After(to) {
			times++
		}
		held[change.Node] = change.Held
	}
	return times
}

// Claim is a frame on the link in which a node said that the address is its own.
type Claim struct {
	At   time.Time
	Node int
}

// Claims are those of all nodes in the order of time.
type Claims []Claim

// By counts the claims of a node between from and to.
func (c Claims) By(node int, from, to time.Time) (n int) {
	for _, claim := range c {
		if claim.Node == node && claim.At.After(from) && !claim.At.After(to) {
			n++
		}
	}
	return n
}

// FirstByOther is the first claim between from and to by another node than the given one.
func (c Claims) FirstByOther(node int, from, to time.Time) (at time.Time, ok bool) {
	for _, claim := range c {
		if claim.Node != node && claim.At.After(from) && !claim.At.After(to) {
			return claim.At, true
		}
	}
	return time.Time{}, false
}

// still is how long after a claim a node still counts as one that says that the address is its own, if it says so again: it is asked every 10 ms.
const still = 100 * time.Millisecond

// Contested is how long, between from and to, the link saw two owners: the times up to those claims before which another node had claimed the address, though the claimer had never
// ceased to. Nodes that follow each other in good order give 0, however often.
func (c Claims) Contested(from, to time.Time) (total time.Duration) {
	last := map[int]time.Time{}
	var before Claim // the claim before, of any node
	for _, claim := range c {
		if claim.At.Before(from) || claim.At.After(to) {
			continue
		}
		if own, ok := last[claim.Node]; ok && before.Node != claim.Node && claim.At.Sub(own) <= still {
			total += claim.At.Sub(before.At)
		}
		last[claim.Node], before = claim.At, claim
	}
	return total
}
