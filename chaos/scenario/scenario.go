package scenario

import (
	"time"

	"github.com/holdfast-lb/holdfast/chaos/fault"
)

// Scenario is what is played: a group, clients, faults, and what must hold.
type Scenario struct {
	// File is where it was read from; built-in ones have "builtin/NAME.yaml".
	File  string
	Name  string
	About string
	// Profiles are those that it belongs to: ci, soak. A scenario without one is run by its name.
	Profiles []string
	// Catches are known bugs that it is good at finding: a self-test plays it first.
	Catches []string
	// Substrate is what it is played on: one of fault.Substrates.
	Substrate string
	// Length is how long clients ask and faults happen; then everything is healed and judged.
	Length time.Duration
	Group  Group
	Load   Load
	Faults []Rule
	// Checks are names of checks; empty: all.
	Checks []Check
	Budget Budget
}

// Group is what is started.
type Group struct {
	Nodes, Instances int
	Timing           string // lan, wan, fast
	QuiesceTimeout   time.Duration
	FaultyDisks      bool // each node has a disk that can be hurt
}

// Load is what clients do.
type Load struct {
	// Rate is requests of known sessions in a second, NewSessions sessions that begin in a second. Both are open loop: they are due whatever becomes of the earlier ones.
	Rate, NewSessions float64
	// Edits is how many changes of the configuration an operator makes in a second.
	Edits float64
	// ForgeEvery lets every so many-th new session be attacked by forged cookies; 0: none.
	ForgeEvery int
	// Attempt is how long a client waits for one node, Patience for any.
	Attempt, Patience time.Duration
	// Rest lets the nodes' own time-outs end the connections to instances that wait for the next request, after the load; else the instances end them.
	Rest bool
}

// Rule says which faults happen, and when. One of At, Every and Draw says how.
type Rule struct {
	Line int
	// Fault is what happens, unless it is drawn.
	Fault *fault.Fault
	// Draw are the faults of which Count are drawn, Overlap at a time.
	Draw           []*fault.Fault
	Count, Overlap int
	// At is when it happens once; Every lets it happen again and again from From until Until.
	At, Every, From, Until time.Duration
	// For is how long each lasts: drawn between the two.
	For [2]time.Duration
	// Target is whom it happens to.
	Target string
	// Amount is how much of it; nil: drawn.
	Amount *fault.Amount
	// Seed is what the fault draws from, and Drawn says that it was drawn itself once: for a plan that was written down. Nil: it comes from the seed of the run.
	Seed  *uint64
	Drawn bool
}

// Check is the name of a check and where it stands.
type Check struct {
	Name string
	Line int
}

// Budget is what a run may cost.
type Budget struct {
	// Failed is how many requests may end without a good answer.
	Failed int
	// Refused is how many answers may have a status of 500 or above; the client asks another node after one.
	Refused int
	// Outage limits the longest time without any answer, Slowest the longest wait of one request; 0: not limited.
	Outage, Slowest time.Duration
}
