package ledger

import "time"

// loss is what a group forgot that went on from an older state: what it was asked after one time, as far as its clients heard the answer before it was declared.
type loss struct{ after, declared time.Time }

// Lost declares that the group goes on, from now on, from a state that has everything which was acknowledged up to a time, and perhaps nothing of what came later: sessions that were first answered later may be forgotten,
// once each. Those from before are held against what their clients were told as always. To be called while no node serves.
func (l *Ledger) Lost(after time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.losses = append(l.losses, loss{after, time.Now()})
}

// mayBeLost says whether the group may have forgotten a session whose last answer was at the given time. The caller has the lock.
func (l *Ledger) mayBeLost(e *Entry, last time.Time) bool {
	for _, x := range l.losses {
		if e.First.After(x.after) && !last.After(x.declared) {
			return true
		}
	}
	return false
}

// LostAtMost counts the sessions that a loss may have taken: first answered after the time, before it was declared.
func (l *Ledger) LostAtMost() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		if l.mayBeLost(e, e.First) {
			n++
		}
	}
	return n
}
