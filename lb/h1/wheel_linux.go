package h1

import (
	"math"
	"math/bits"
	"time"
)

const (
	tick       = 100 * time.Millisecond // how late a deadline may be noticed
	wheelSlots = 512                    // of a tick each; later deadlines are looked at again when theirs comes round
	never      = time.Duration(math.MaxInt64)
)

// wheel keeps the deadlines of a loop. To move one to a later time is one store; so a connection that is always busy costs next to nothing.
type wheel struct {
	slots [wheelSlots]timer // heads of rings
	used  [wheelSlots / 64]uint64
	at    int64 // the tick up to which everything has been looked at
}

// timer is one deadline. Its owner embeds it.
type timer struct {
	next, prev *timer
	due        time.Duration // by Now; never: none
	tick       int64         // when it is looked at
	conn       *Conn         // whose: one of the two
	up         *upstream
}

func (w *wheel) init(now time.Duration) {
	w.at = int64(now / tick)
	for i := range w.slots {
		w.slots[i].next, w.slots[i].prev = &w.slots[i], &w.slots[i]
	}
}

// set gives t another deadline.
func (w *wheel) set(t *timer, due time.Duration) {
	t.due = due
	at := never
	if due < never-tick {
		at = due + tick - 1
	}
	n := int64(at / tick)
	if t.next != nil {
		if n >= t.tick {
			return // it is looked at before that, and then put where it belongs
		}
		w.unlink(t)
	}
	if due != never {
		w.link(t, n)
	}
}

// cancel takes t out.
func (w *wheel) cancel(t *timer) {
	t.due = never
	if t.next != nil {
		w.unlink(t)
	}
}

func (w *wheel) link(t *timer, n int64) {
	n = min(max(n, w.at+1), w.at+wheelSlots-1)
	t.tick = n
	i := n % wheelSlots
	head := &w.slots[i]
	t.next, t.prev = head, head.prev
	head.prev.next, head.prev = t, t
	w.used[i/64] |= 1 << (i % 64)
}

func (w *wheel) unlink(t *timer) {
	t.next.prev, t.prev.next = t.prev, t.next
	t.next, t.prev = nil, nil
	if i := t.tick % wheelSlots; w.slots[i].next == &w.slots[i] {
		w.used[i/64] &^= 1 << (i % 64)
	}
}

// expire takes out what is due and gives it to f, which may set and cancel any timer.
func (w *wheel) expire(now time.Duration, f func(*timer)) {
	last := int64(now / tick)
	for w.at < last {
		if last-w.at > wheelSlots { // the process stood still
			w.at = last - wheelSlots
		}
		w.at++
		head := &w.slots[w.at%wheelSlots]
		for head.next != head {
			t := head.next
			w.unlink(t)
			switch {
			case t.due <= now:
				f(t)
			case t.due != never:
				w.link(t, int64((t.due+tick-1)/tick))
			}
		}
	}
}

// wait gives the time until the next look, -1 when there is nothing to look at.
func (w *wheel) wait(now time.Duration) time.Duration {
	first := (w.at + 1) % wheelSlots
	word, shift := first/64, first%64
	for i := range int64(len(w.used) + 1) {
		k := (word + i) % int64(len(w.used))
		u := w.used[k]
		switch {
		case i == 0:
			u &= ^uint64(0) << shift
		case i == int64(len(w.used)):
			u &= 1<<shift - 1
		}
		if u != 0 {
			ahead := (k*64 + int64(bits.TrailingZeros64(u)) - first + wheelSlots) % wheelSlots
			return max(time.Duration(w.at+1+ahead)*tick-now, 0)
		}
	}
	return -1
}
