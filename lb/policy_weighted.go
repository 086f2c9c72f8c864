package lb

import "sync"

// maxSequence bounds the length of a precomputed order; longer ones are worked out pick by pick.
const maxSequence = 1 << 16

// newWeighted gives each instance its share by weight, interleaved as evenly as the weights allow (the smooth weighted round
// robin of nginx): with weights 1 and 2 every three turns in a row hold the first once and the second twice.
func newWeighted(list []*instance) policy {
	weights := make([]int, len(list))
	divisor, total := 0, 0
	for i, in := range list {
		weights[i] = in.weight
		divisor = gcd(divisor, in.weight)
	}
	for i := range weights {
		weights[i] /= divisor
		total += weights[i]
	}
	s := &smooth{list: list, weights: weights, total: total, current: make([]int, len(list))}
	if total*len(list) > maxSequence {
		return s
	}
	order := make(roundRobin, total) // the order repeats after one turn per unit of weight
	for i := range order {
		order[i] = s.next()
	}
	return order
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// smooth works the order out turn by turn.
type smooth struct {
	mu      sync.Mutex
	list    []*instance
	weights []int
	current []int
	total   int
}

// pick ignores the turn: the position is its own.
func (s *smooth) pick(uint64, []*instanceState) *instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next()
}

func (s *smooth) next() *instance {
	best := 0
	for i, w := range s.weights {
		s.current[i] += w
		if s.current[i] > s.current[best] {
			best = i
		}
	}
	s.current[best] -= s.total
	return s.list[best]
}
