package ledger

import (
	"fmt"
	"maps"
	"time"
)

// Rule names what was broken.
type Rule string

// The rules.
const (
	Moved    Rule = "moved"    // an answer came from another instance than the client was told
	Reset    Rule = "reset"    // the instance no longer knows the session
	Crossed  Rule = "crossed"  // an answer was another client's
	Garbled  Rule = "garbled"  // what a client sent arrived as something else
	Twice    Rule = "twice"    // an instance has executed more requests of a session than its client has sent
	Strayed  Rule = "strayed"  // an answer came from an instance of another cluster
	Forged   Rule = "forged"   // a forged cookie was honoured
	Outdated Rule = "outdated" // an older cookie of a session led elsewhere than its newest one
	Missing  Rule = "missing"  // a node's table lacks an acknowledged session
	Differs  Rule = "differs"  // a node's table has a session on another instance than its client was told
	Diverged Rule = "diverged" // two nodes have different states at the same index
	Failed   Rule = "failed"   // a request that had to succeed did not
)

// Violation is one broken rule.
type Violation struct {
	Rule Rule
	// Entry is the number of the session, -1 where none is concerned.
	Entry  int
	At     time.Time
	Detail string
}

func (v Violation) String() string {
	if v.Entry < 0 {
		return fmt.Sprintf("%s: %s", v.Rule, v.Detail)
	}
	return fmt.Sprintf("%s: session %d: %s", v.Rule, v.Entry, v.Detail)
}

// maxKept bounds what a thoroughly broken run keeps of each rule; the rest is counted only.
const maxKept = 1000

// Violate notes a broken rule that somebody else found; entry may be nil.
func (l *Ledger) Violate(rule Rule, entry *Entry, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.violate(rule, entry, time.Now(), fmt.Sprintf(format, args...))
}

func (l *Ledger) violate(rule Rule, entry *Entry, at time.Time, detail string) {
	l.note(l.violation(rule, entry, at, detail))
}

func (l *Ledger) violation(rule Rule, entry *Entry, at time.Time, detail string) Violation {
	v := Violation{Rule: rule, Entry: -1, At: at, Detail: detail}
	if entry != nil {
		v.Entry = entry.Number
		v.Detail += fmt.Sprintf(" (%s, %d answers)", entry.Kind, entry.Answers)
	}
	return v
}

// note counts a violation, and keeps it if there is room.
func (l *Ledger) note(v Violation) {
	l.total++
	if l.broken[v.Rule]++; l.broken[v.Rule] <= maxKept {
		l.violations = append(l.violations, v)
	}
}

// Violations gives the first violations, maxKept of each rule at most, and the number of all.
func (l *Ledger) Violations() ([]Violation, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.judge(!l.running)
	return append([]Violation(nil), l.violations...), l.total
}

// Count gives the number of violations of each rule, also of those that are not kept.
func (l *Ledger) Count() map[Rule]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.judge(!l.running)
	return maps.Clone(l.broken)
}
