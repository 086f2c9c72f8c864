package lb

import "sort"

// maxSequence bounds the work of precomputing an order, picks times instances; longer ones are not kept.
const maxSequence = 1 << 16

// newWeighted gives each instance its share by weight, interleaved as evenly as the weights allow (the smooth weighted round
// robin of nginx): with weights 1 and 2 every three turns in a row hold the first once and the second twice. Where that order
// would be too long, turns are spread (see spread).
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
	if total*len(list) > maxSequence {
		return newSpread(list, weights, total)
	}
	s := &smooth{weights: weights, total: total, current: make([]int, len(list))}
	order := make(roundRobin, total) // the order repeats after one turn per unit of weight
	for i := range order {
		order[i] = list[s.next()]
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
	weights []int
	current []int
	total   int
}

func (s *smooth) next() int {
	best := 0
	for i, w := range s.weights {
		s.current[i] += w
		if s.current[i] > s.current[best] {
			best = i
		}
	}
	s.current[best] -= s.total
	return best
}

// spread lays the weights out on a circle and goes around it in steps of about the golden ratio, which visit every place once in total
// turns and never come close to where they have just been. A pick depends on the turn alone, so that one made anew goes on where the one before was.
type spread struct {
	list        []*instance
	upTo        []int // the weights up to and with each instance
	total, step int
}

func newSpread(list []*instance, weights []int, total int) *spread {
	s := &spread{list: list, upTo: make([]int, len(list)), total: total, step: int(0.6180339887498949 * float64(total))}
	sum := 0
	for i, w := range weights {
		sum += w
		s.upTo[i] = sum
	}
	for gcd(s.step, total) != 1 { // reaches 1 at the latest
		s.step--
	}
	return s
}

func (s *spread) pick(turn uint64, _ []*instanceState) *instance {
	place := turn % uint64(s.total) * uint64(s.step) % uint64(s.total)
	return s.list[sort.SearchInts(s.upTo, int(place)+1)]
}
