package ledger

import (
	"slices"
	"time"
)

// A run that hurts instances and nodes again and again tells the ledger so, and the ledger holds each move of a session against it: a session may leave an instance that was hurt since
// its last answer, and no other.

const (
	// moveGrace is how long after an instance was healed a node may still believe that it is not: checks have to come round.
	moveGrace = 10 * time.Second
	// doubtGrace is how long after the last fault of the nodes one of them may still act without the others.
	doubtGrace = 5 * time.Second
	// forgetGrace is between the declaration that an instance begins anew and its first answer.
	forgetGrace = 2 * time.Second
)

// Spell is a time in which sessions might leave an instance, or, without one, in which a node might decide alone.
type Spell struct {
	Instance string
	From, To time.Time // To is zero while it lasts
}

// Spells lists all that were declared, in order.
func (l *Ledger) Spells() []Spell {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Spell(nil), l.spells...)
}

// spell is when something was so: several reasons may overlap.
type spell struct {
	open  int       // reasons that hold now
	began time.Time // when the first of these began, or of the last ones that did
	until time.Time // when the last reason ended
}

func (s *spell) begin() {
	if s.open++; s.open == 1 {
		s.began = time.Now()
	}
}

func (s *spell) end(at time.Time) {
	if s.open > 0 {
		s.open--
	}
	if at.After(s.until) {
		s.until = at
	}
}

// since says whether it was so at some time after the given one.
func (s *spell) since(at time.Time, grace time.Duration) bool {
	return s != nil && (s.open > 0 || !s.until.IsZero() && s.until.Add(grace).After(at))
}

func at[K comparable](spells map[K]*spell, key K) *spell {
	if spells[key] == nil {
		spells[key] = &spell{}
	}
	return spells[key]
}

// Hurt declares that from now on sessions may leave the instance: it is dead, or does not answer some node, or its quiesce has ended. The end says when that is over.
func (l *Ledger) Hurt(instance string) (end func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at(l.hurt, Place{"", instance}).begin()
	return l.once(instance, func(now time.Time) { at(l.hurt, Place{"", instance}).end(now) })
}

// Hurting says whether the instance is hurt now.
func (l *Ledger) Hurting(instance string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return at(l.hurt, Place{"", instance}).open > 0
}

// Forgets declares that the instance has lost all sessions that it kept: it began anew.
func (l *Ledger) Forgets(instance string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at(l.forgot, instance).end(time.Now())
}

// Doubt declares that some node may have to decide without the others: what it decides then counts for its clients only, and they may be sent back to where they were. A session that it
// has not heard of, and whose id says nothing, it must refuse. The end says when that is over.
func (l *Ledger) Doubt() (end func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doubt.begin()
	return l.once("", func(now time.Time) { l.doubt.end(now) })
}

// once notes that a spell begins, and makes an end of it that counts once.
func (l *Ledger) once(instance string, do func(now time.Time)) func() {
	number := len(l.spells)
	l.spells = append(l.spells, Spell{Instance: instance, From: time.Now()})
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if s := &l.spells[number]; s.To.IsZero() {
			s.To = time.Now()
			do(s.To)
		}
	}
}

// mayLeave says whether a session whose last answer was at the given time may be elsewhere now.
func (l *Ledger) mayLeave(e *Entry, last time.Time) bool {
	return l.hurt[Place{"", e.Instance}].since(last, moveGrace) || l.hurt[Place{e.Kind, e.Instance}].since(last, moveGrace)
}

// Settled says whether the session has never moved, nothing lets it leave its instance now, and the group cannot have lost it: then the group must have it there, or its client has been told something wrong.
func (l *Ledger) Settled(e *Entry) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return e.left.IsZero() && !l.fallen[e.Instance] && !l.mayLeave(e, time.Now()) && !l.mayBeLost(e, e.Last)
}

// mayBePinned says whether a move is one that a node makes without the others: the session's home is hurt, or was when its last such move was made, and each node sends it where it thinks
// best, until they agree again and it goes home.
func (l *Ledger) mayBePinned(e *Entry, last time.Time) bool {
	return e.pinned && (l.doubt.since(last, doubtGrace) || l.doubt.since(e.left, doubtGrace))
}

// noticed is how long after the fact it may be known that no node leads.
const noticed = 3 * time.Second

// suspect is a move that is a violation unless it turns out that there was doubt at that time.
type suspect struct {
	violation Violation
	until     time.Time // of the answer, and what it takes to notice
}

// judge decides about the suspects whose time has come; all, when everything has been noticed. The caller has the lock.
func (l *Ledger) judge(all bool) {
	kept := l.suspects[:0]
	for _, s := range l.suspects {
		switch {
		case l.doubted(s.violation.At.Add(-noticed), s.until):
		case all || time.Now().After(s.until):
			l.note(s.violation)
		default:
			kept = append(kept, s)
		}
	}
	l.suspects = kept
}

// doubted says whether a spell of doubt touches a time. Later ones say nothing of it.
func (l *Ledger) doubted(from, to time.Time) bool {
	return slices.ContainsFunc(l.spells, func(s Spell) bool {
		return s.Instance == "" && s.From.Before(to) && (s.To.IsZero() || !s.To.Before(from))
	})
}

// Running says whether the run goes on: then Violations and Count leave out moves of which it is not known yet whether there was doubt at that time. A new ledger tells of all.
func (l *Ledger) Running(so bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = so
}

// mayBeNew says whether the instance may have forgotten a session whose last answer was at the given time.
func (l *Ledger) mayBeNew(e *Entry, last time.Time) bool {
	return l.forgot[e.Instance].since(last, forgetGrace)
}

// Provisional declares that no majority has recorded the session, as far as its client knows: its cookie leads it, and a table may lack it.
func (l *Ledger) Provisional(e *Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.provisional = true
}
