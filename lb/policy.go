package lb

// policy picks instances for unassigned requests. It is made for one fixed list of instances and never changes, so that picks
// need no lock: what moves is the turn, a counter of the cluster that survives every change of the list.
type policy interface {
	pick(turn uint64) *instance
}

// newPolicy makes the policy for the given instances, none of which has weight 0.
func newPolicy(name string, list []*instance) policy {
	if name == "weighted-round-robin" {
		return newWeighted(list)
	}
	return roundRobin(list)
}
