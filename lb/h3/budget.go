package h3

import (
	"sync"
	"time"
)

// budget is what a client may still do of some kind. It grows with time and with what explains it, up to where it began.
type budget struct {
	most, perSecond int

	mu    sync.Mutex
	left  int
	since time.Time // up to when time has been counted
}

func newBudget(most, perSecond int) *budget {
	return &budget{most: most, perSecond: perSecond, left: most, since: time.Now()}
}

// earn adds n.
func (b *budget) earn(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left = min(b.left+n, b.most)
}

// spend takes one, and reports whether there was one. The clock is asked only when nothing else is left.
func (b *budget) spend() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left == 0 {
		now := time.Now()
		n := int(min(now.Sub(b.since), time.Hour).Seconds() * float64(b.perSecond))
		if n <= 0 {
			return false
		}
		b.since, b.left = now, min(n, b.most)
	}
	b.left--
	return true
}
