package lb

import "math/rand/v2"

// powerOfTwo takes two instances, the one whose turn it is by weight and one at random by weight, and picks the less loaded one for its weight.
// That is nearly as even as comparing all of them, and no crowd follows a stale figure.
type powerOfTwo struct {
	list  []*instance
	order policy
}

func (p *powerOfTwo) pick(turn uint64, skip []*instanceState) *instance {
	one := p.order.pick(turn, nil)
	if skipped(one, skip) {
		one = p.random(nil, skip)
	}
	if one == nil {
		return nil
	}
	two := p.random(one, skip)
	if two != nil && two.state.load()*int64(one.weight) < one.state.load()*int64(two.weight) {
		return two
	}
	return one
}

// random gives one by weight that is neither not nor skipped, nil for none.
func (p *powerOfTwo) random(not *instance, skip []*instanceState) *instance {
	total := 0
	for _, in := range p.list {
		if in != not && !skipped(in, skip) {
			total += in.weight
		}
	}
	if total == 0 {
		return nil
	}
	n := rand.IntN(total)
	for _, in := range p.list {
		if in == not || skipped(in, skip) {
			continue
		}
		if n -= in.weight; n < 0 {
			return in
		}
	}
	return nil
}
