package h2

import "time"

// budget is what a client may still send of some kind. It grows with time and with what explains such frames, up to where it began.
type budget struct {
	left, most int
	perSecond  int
	since      time.Time // up to when time has been counted
}

func newBudget(most, perSecond int, now time.Time) budget {
	return budget{left: most, most: most, perSecond: perSecond, since: now}
}

// earn adds n.
func (b *budget) earn(n int) { b.left = min(b.left+n, b.most) }

// spend takes one, and reports whether there was one. The clock is asked only when nothing else is left.
func (b *budget) spend(now func() time.Time) bool {
	if b.left == 0 {
		t := now()
		n := int(min(t.Sub(b.since), time.Hour).Seconds() * float64(b.perSecond))
		if n <= 0 {
			return false
		}
		b.since = t
		b.earn(n)
	}
	b.left--
	return true
}
