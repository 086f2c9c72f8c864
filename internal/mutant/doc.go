// Package mutant switches known bugs on, one by one, so that the tests can show that they would be caught.
//
// A normal build has none: Built is the constant false, On is a constant false that the compiler removes together with
// the code behind it. Only a binary built with `-tags mutants` carries the bugs, and even there each one sleeps until
// the environment variable HOLDFAST_MUTANT (a comma-separated list) names it. A release is never built with the tag, and
// a binary built with it says so at start.
//
// Both functions may be called at any time from any goroutine. The package imports nothing of ours, so every floor may
// use it. A new mutant is one line in the list below and one `if mutant.On(...)` at the place of the bug.
package mutant

// The known bugs.
const (
	// AckBeforeCommit answers a new session before a majority has its assignment (raftnode).
	AckBeforeCommit = "ack-before-commit"
	// CookieUnauthenticated believes an insert cookie whose authentication failed (lb).
	CookieUnauthenticated = "cookie-unauthenticated"
)

// Names lists the known bugs in a fixed order.
func Names() []string { return []string{AckBeforeCommit, CookieUnauthenticated} }
