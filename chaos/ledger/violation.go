package ledger

import (
	"fmt"
	"time"
)

// Rule names what was broken.
type Rule string

// The rules.
const (
	Moved    Rule = "moved"    // an answer came from another instance than the client was told
	Reset    Rule = "reset"    // the instance no longer knows the session
	Crossed  Rule = "crossed"  // an answer was another client's
	Forged   Rule = "forged"   // a forged cookie was honoured
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

// maxKept bounds what a thoroughly broken run keeps; the rest is counted only.
const maxKept = 1000

// Violate notes a broken rule that somebody else found; entry may be nil.
func (l *Ledger) Violate(rule Rule, entry *Entry, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.violate(rule, entry, time.Now(), fmt.Sprintf(format, args...))
}

func (l *Ledger) violate(rule Rule, entry *Entry, at time.Time, detail string) {
	l.broken++
	if len(l.violations) >= maxKept {
		return
	}
	v := Violation{Rule: rule, Entry: -1, At: at, Detail: detail}
	if entry != nil {
		v.Entry = entry.Number
		v.Detail += fmt.Sprintf(" (%s, %d answers)", entry.Kind, entry.Answers)
	}
	l.violations = append(l.violations, v)
}

// Violations gives the first broken rules, maxKept at most, and the number of all.
func (l *Ledger) Violations() ([]Violation, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Violation(nil), l.violations...), l.broken
}

// Count gives the number of kept violations of each rule.
func (l *Ledger) Count() map[Rule]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	count := map[Rule]int{}
	for _, v := range l.violations {
		count[v.Rule]++
	}
	return count
}
