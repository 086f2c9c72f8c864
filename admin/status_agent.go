package admin

import (
	"cmp"
	"slices"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

// agentWord is what the instance's agent says, and the part of its share that it withholds by that. Each node asks the agent and goes by what it has
// heard itself; the word in the middle stands for all: a majority's when three nodes answer, the more severe one of two.
func agentWord(nodes []wire.NodeHealth) (word string, withheld float64) {
	if len(nodes) == 0 {
		return "", 0
	}
	sorted := slices.Clone(nodes)
	slices.SortFunc(sorted, func(a, b wire.NodeHealth) int {
		return cmp.Or(cmp.Compare(a.Withheld, b.Withheld), cmp.Compare(a.Agent, b.Agent))
	})
	middle := &sorted[len(sorted)/2]
	return middle.Agent, middle.Withheld
}
