package chaos

import (
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/ledger"
	"github.com/holdfast-lb/holdfast/chaos/load"
)

// Report is the outcome of one scenario.
type Report struct {
	Scenario string
	Seed     uint64
	// Before and After count the sessions that clients knew before the fault, and how many of them every node's table has
	// on the instance that the client was told, after it.
	Before, After int
	// Sessions counts the sessions that clients were told of in all, Kept those that every node's table has where the client
	// was told. Lost is the difference, on the worst node.
	Sessions, Kept, Lost int
	// Provisional counts sessions whose first answer came while no majority could record them.
	Provisional int
	// Killed names the node that was killed, KilledAt is when.
	Killed   string
	KilledAt time.Time
	// Known and Fresh are the longest gaps without an answer from the kill until the killed node was back, for
	// known and for new sessions.
	Known, Fresh load.Gap
	// Requests, Failed and Retried count what the clients did; Forged how many cookies they forged.
	Requests, Failed, Retried, Forged int64
	// Causes says why clients had to retry.
	Causes string
	// Hash is the state hash that all nodes have in common at the end.
	Hash string
	// Violations are the first broken promises, Broken counts all.
	Violations []ledger.Violation
	Broken     int
	// Took is the time of each phase, in order.
	Took []Phase
}

// Phase is a part of a scenario.
type Phase struct {
	Name string
	Took time.Duration
}

func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s seed %d: %d sessions, %d kept, %d lost, %d provisional; %d requests, %d failed, %d retried (%s), %d forged; gap known %s, new %s;",
		r.Scenario, r.Seed, r.Sessions, r.Kept, r.Lost, r.Provisional, r.Requests, r.Failed, r.Retried, r.Causes, r.Forged,
		r.gap(r.Known), r.gap(r.Fresh))
	for _, p := range r.Took {
		fmt.Fprintf(&b, " %s %.1fs", p.Name, p.Took.Seconds())
	}
	for i, v := range r.Violations {
		if i == 10 {
			break
		}
		fmt.Fprintf(&b, "\n  %s", v)
	}
	if r.Broken > 0 {
		fmt.Fprintf(&b, "\n  %d violations in all", r.Broken)
	}
	return b.String()
}

// gap says how long a gap was and when it began, counted from the fault.
func (r *Report) gap(g load.Gap) string {
	return fmt.Sprintf("%d ms (at %+d ms)", g.Longest.Milliseconds(), g.From.Sub(r.KilledAt).Milliseconds())
}

// Count gives the number of kept violations of a rule.
func (r *Report) Count(rule ledger.Rule) int {
	n := 0
	for _, v := range r.Violations {
		if v.Rule == rule {
			n++
		}
	}
	return n
}
