package lb

import (
	"slices"
	"time"
)

// policy picks instances for unassigned requests. It is made for one fixed list of instances, none of weight 0, and never changes, so that picks
// need no lock: what moves is the turn, a counter of the cluster that survives every change of the list.
type policy interface {
	// pick gives the choice of that turn. A policy that only counts turns gives whose turn it is, also one of skip; one that compares loads
	// gives the best that is not in skip, nil for none.
	pick(turn uint64, skip []*instanceState) *instance
}

// newPolicy makes the policy for the given instances. Unknown names, which the validation of a configuration lets through only from a newer
// version, are round-robin.
func newPolicy(name string, list []*instance, view View) policy {
	switch name {
	case "weighted-round-robin":
		return newWeighted(list)
	case "least-sessions":
		return &least{list: list, order: newWeighted(list), load: func(in *instance, _ time.Time) float64 {
			return float64(int64(view.Sessions(in.id)) + in.state.opening.Load())
		}}
	case "least-requests":
		return &least{list: list, order: newWeighted(list), load: requestsOf}
	case "power-of-two":
		return &powerOfTwo{list: list, order: newWeighted(list)}
	case "peak-ewma":
		return &least{list: list, order: newWeighted(list), load: expectedWait}
	default:
		return roundRobin(list)
	}
}

// comparesLoads tells the two kinds of policies apart: one that compares would choose the same instance again at the next turn.
func comparesLoads(p policy) bool {
	switch p.(type) {
	case *least, *powerOfTwo:
		return true
	}
	return false
}

// requestsOf is what the instance has from this node, in flight and waiting.
func requestsOf(in *instance, _ time.Time) float64 { return float64(in.state.load()) }

// skipped reports whether an instance is out of the question.
func skipped(in *instance, skip []*instanceState) bool { return slices.Contains(skip, in.state) }
