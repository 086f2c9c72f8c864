package server

import (
	"cmp"
	"slices"

	"github.com/holdfast-lb/holdfast/fsm"
)

// nodeUse is one node's part in the division of an instance's bound.
type nodeUse struct {
	node string
	// reports is whether the node answered; a node that does not keeps what it has.
	reports bool
	// share is what the state gives it now, held what it may have in use at most: more than share while it has not obeyed a smaller one yet, or
	// still has more requests under way.
	share, held int
	// demand is what it has in flight and what waits there; starved is whether something waits.
	demand  int
	starved bool
}

// divide gives the next shares of one instance. bound is its maxConnections, reserve what must not be given out because somebody that cannot be asked
// may have it. What all nodes may use together, which is the sum of the larger of held and new share, never grows beyond the bound; when it is beyond
// (the bound was lowered, a node came back) nothing is raised until it is not. The result is in the order of nodes.
//
// Without contention nothing moves: every node keeps its share, and what nobody has is divided evenly. When requests wait at a node, the shares follow the
// demand: everybody is sure of a fair minimum, half of an even share and at least one; the rest goes by what each needs beyond that, and what nobody
// needs evenly. When there is not one for each node, those where requests wait have it in turns; turn says whose.
func divide(bound, reserve, turn int, nodes []nodeUse) []int {
	want := wanted(bound, reserve, turn, nodes)
	free := bound - reserve
	for _, n := range nodes {
		free -= max(n.held, n.share)
	}
	next := make([]int, len(nodes))
	for i, n := range nodes {
		next[i] = min(n.share, want[i])
	}
	// A raise comes out of what is free for certain. What is lowered now is free only when its node has said that it obeys.
	for _, i := range neediest(nodes) {
		grow := want[i] - next[i]
		if grow <= 0 || next[i] < nodes[i].share {
			continue
		}
		// What the node holds beyond its share already it may as well have.
		own := max(nodes[i].held-nodes[i].share, 0)
		give := min(grow, own+max(free, 0))
		next[i] += give
		free -= max(give-own, 0)
	}
	return next
}

// neediest gives the order in which nodes are raised: those where something waits first, then the smaller share, then by name.
func neediest(nodes []nodeUse) []int {
	order := make([]int, len(nodes))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := nodes[a], nodes[b]
		if x.starved != y.starved {
			if x.starved {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(x.share, y.share), cmp.Compare(x.node, y.node))
	})
	return order
}

// wanted gives the shares that are aimed at. Nodes that do not report keep theirs, as far as the bound goes.
func wanted(bound, reserve, turn int, nodes []nodeUse) []int {
	want := make([]int, len(nodes))
	left := max(bound-reserve, 0)
	var asked []int
	sum, starved := 0, false
	for i, n := range nodes {
		if !n.reports {
			want[i] = min(n.share, left)
			left -= want[i]
			continue
		}
		asked = append(asked, i)
		sum += n.share
		starved = starved || n.starved
	}
	if len(asked) == 0 {
		return want
	}
	if left < len(asked) {
		return scarce(want, asked, nodes, left, turn)
	}
	least := max(left/len(asked)/2, 1)
	fair := true
	for _, i := range asked {
		fair = fair && nodes[i].share >= least
	}
	if sum <= left && fair && !(starved && (sum < left || uneven(nodes, asked, least))) {
		for _, i := range asked {
			want[i] = nodes[i].share
		}
		spread(want, asked, left-sum)
		return want
	}
	for _, i := range asked {
		want[i] = least
		left -= least
	}
	left -= proportional(want, asked, nodes, least, left)
	spread(want, asked, left)
	return want
}

// uneven tells whether moving shares helps: somebody has clearly more than it needs while somebody else waits. A tenth of a share is left
// alone, so that shares do not move to and fro with every request.
func uneven(nodes []nodeUse, asked []int, least int) bool {
	for _, i := range asked {
		n := nodes[i]
		if spare := n.share - max(n.demand, least); !n.starved && spare > n.share/10 {
			return true
		}
	}
	return everyoneWaits(nodes, asked, least)
}

// everyoneWaits is for the case that nobody has anything to spare, but one has far more than its part of the demand.
func everyoneWaits(nodes []nodeUse, asked []int, least int) bool {
	share, demand := 0, 0
	for _, i := range asked {
		share += nodes[i].share
		demand += nodes[i].demand
	}
	for _, i := range asked {
		n := nodes[i]
		if demand == 0 || !n.starved {
			continue
		}
		due := max(share*n.demand/demand, least)
		if due-n.share > max(1, due/4) {
			return true
		}
	}
	return false
}

// proportional divides left by what each needs beyond least, at most what it needs, and gives how much it gave out.
func proportional(want, asked []int, nodes []nodeUse, least, left int) int {
	need := 0
	for _, i := range asked {
		need += max(nodes[i].demand-least, 0)
	}
	if need == 0 || left == 0 {
		return 0
	}
	part := min(left, need)
	given := 0
	for _, i := range asked {
		n := int(int64(part) * int64(max(nodes[i].demand-least, 0)) / int64(need))
		want[i] += n
		given += n
	}
	for _, i := range asked { // what rounding has left over, which is less than one each
		if given < part && nodes[i].demand > want[i] {
			want[i]++
			given++
		}
	}
	return given
}

// scarce gives single connections to the nodes where requests wait, in turns, then to those that have one already.
func scarce(want, asked []int, nodes []nodeUse, left, turn int) []int {
	order := slices.Clone(asked)
	rank := func(i int) int {
		place := (slices.Index(asked, i) + turn) % len(asked)
		switch {
		case nodes[i].starved || nodes[i].demand > 0:
			return place
		case nodes[i].share > 0:
			return place + len(asked)
		}
		return place + 2*len(asked)
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(rank(a), rank(b)) })
	waits := slices.ContainsFunc(asked, func(i int) bool { return nodes[i].starved && nodes[i].share == 0 })
	if sum := sumShares(nodes, asked); !waits && sum == left {
		for _, i := range asked {
			want[i] = nodes[i].share
		}
		return want
	}
	for _, i := range order[:left] {
		want[i] = 1
	}
	return want
}

func sumShares(nodes []nodeUse, which []int) (sum int) {
	for _, i := range which {
		sum += nodes[i].share
	}
	return sum
}

// spread divides left evenly, what remains one each in the order of nodes.
func spread(want, asked []int, left int) {
	for k, i := range asked {
		n := left / len(asked)
		if k < left%len(asked) {
			n++
		}
		want[i] += n
	}
}

// compareShares orders them as the state does: by instance, then node.
func compareShares(a, b fsm.Share) int {
	return cmp.Or(cmp.Compare(a.Instance, b.Instance), cmp.Compare(a.Node, b.Node))
}
