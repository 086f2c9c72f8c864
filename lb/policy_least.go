package lb

import "time"

// least picks the instance with the least load for its weight. Among equals it is the one whose turn it is by weight, so that idle instances get
// their shares by weight as well and no two nodes go for the same one.
type least struct {
	list  []*instance
	order policy
	load  func(*instance, time.Time) float64
}

func (p *least) pick(turn uint64, skip []*instanceState) *instance {
	now := time.Now()
	var best *instance
	var lowest float64
	consider := func(in *instance) {
		if skipped(in, skip) {
			return
		}
		if load := p.load(in, now) / float64(in.weight); best == nil || load < lowest {
			best, lowest = in, load
		}
	}
	consider(p.order.pick(turn, nil))
	for i := range p.list {
		consider(p.list[(turn+uint64(i))%uint64(len(p.list))])
	}
	return best
}
