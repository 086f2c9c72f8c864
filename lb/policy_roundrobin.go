package lb

// roundRobin gives every instance its turn, whatever its weight.
type roundRobin []*instance

func (p roundRobin) pick(turn uint64) *instance { return p[turn%uint64(len(p))] }
