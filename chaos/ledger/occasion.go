package ledger

import "time"

// Fallen declares an instance dead: each of its sessions may move once, to another instance, and must stay there.
func (l *Ledger) Fallen(instance string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.fallen[instance] {
		l.fallen[instance] = true
		at(l.hurt, Place{"", instance}).begin()
		at(l.forgot, instance).begin()
	}
}

// Risen declares that a fallen instance serves again: sessions may move to it, and those that it had before and that were not used meanwhile may
// still leave it, or find that it does not know them any more.
func (l *Ledger) Risen(instance string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fallen[instance] {
		delete(l.fallen, instance)
		at(l.hurt, Place{"", instance}).end(time.Now())
		at(l.forgot, instance).end(time.Now())
	}
}

// MayLeave declares that the sessions that the cluster has on an instance now may leave it once: a quiesce has ended, or it was removed.
func (l *Ledger) MayLeave(cluster, instance string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at(l.hurt, Place{cluster, instance}).end(time.Now())
}
