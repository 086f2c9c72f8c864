package sim

import (
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"
)

// chance draws from the seed. Each part of the world has its own, so that what one draws does not change what another one gets.
type chance struct {
	mu sync.Mutex
	r  *rand.Rand
}

func newChance(seed uint64, part string) *chance {
	h := fnv.New64a()
	_, _ = h.Write([]byte(part)) // never fails
	return &chance{r: rand.New(rand.NewPCG(seed, h.Sum64()))}
}

// below gives a number from 0 to n-1; n is positive.
func (c *chance) below(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.r.IntN(n)
}

// is tells whether something of that probability happens.
func (c *chance) is(p float64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.r.Float64() < p
}

// between gives a time from lo to hi. Its nanoseconds are drawn too, so that hardly two things happen at one instant.
func (c *chance) between(lo, hi time.Duration) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return lo + time.Duration(c.r.Int64N(int64(hi-lo)+1))
}

// about gives a time with the mean d, most of them shorter and some much longer.
func (c *chance) about(d time.Duration) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Duration(c.r.ExpFloat64() * float64(d))
}

// order gives the numbers from 0 to n-1, shuffled.
func (c *chance) order(n int) []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.r.Perm(n)
}
