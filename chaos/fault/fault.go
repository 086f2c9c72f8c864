package fault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// Kind says what a fault happens to.
type Kind string

// The kinds.
const (
	OnNode     Kind = "node"
	OnInstance Kind = "instance"
	OnGroup    Kind = "group"
)

// Order is one injection, fully drawn.
type Order struct {
	// Target is the name of the node or instance, empty for the group.
	Target string
	// Amount is how much of it, where the fault has a measure.
	Amount Amount
	// Random is for what else has to be drawn.
	Random *rand.Rand
}

// Heal takes a fault away. It waits until that is so, at most until ctx ends. The error is ErrNothing where the fault was healed and nothing had come of it.
type Heal func(ctx context.Context) error

// Fault is one thing that can happen.
type Fault struct {
	Name  string
	About string // one sentence: what happens
	Kind  Kind
	// Rows are those of the table "Faults by number" in docs/RELIABILITY.md that it belongs to, in their order; a test of package scenario compares.
	Rows []int
	// Measure and Amounts: what may be said of how much, and what is drawn when nothing is said.
	Measure Measure
	Amounts []Amount
	// Holds says that it takes hold of the process that it happens to.
	Holds bool
	// Takes says that it takes a disk, or the group, away: only one of these at a time.
	Takes bool
	// Ends says that the process may end by itself.
	Ends bool
	// Only is the one substrate on which it can be done; empty: both.
	Only string
	// Planned says that a node hands over what it holds, in an orderly way.
	Planned bool
	// Needs says why it cannot be done here; nil: it can always.
	Needs func(Place) error

	inject func(ctx context.Context, f *Field, o Order) (Heal, error)
}

// Place is what faults may need to know about where a run plays.
type Place struct {
	Substrate string // Loopback or Netns
	Nodes     int
	// Other is another build of the program; may be empty.
	Other string
	// Disks says that the nodes have disks that can be hurt.
	Disks bool
}

// Available says why the fault cannot be done in a place; nil: it can.
func (f *Fault) Available(p Place) error {
	if !slices.Contains(Substrates, p.Substrate) || f.Only != "" && f.Only != p.Substrate {
		return fmt.Errorf("fault %s: not on substrate %q: it needs %s", f.Name, p.Substrate, cmp.Or(f.Only, strings.Join(Substrates, " or ")))
	}
	if f.Needs != nil {
		if err := f.Needs(p); err != nil {
			return fmt.Errorf("fault %s: %w", f.Name, err)
		}
	}
	return nil
}

// ErrLacks: whoever plays has not given what the fault needs, and could have. What only the machine lacks is another error.
var ErrLacks = errors.New("it needs what was not given")

// ErrBroken marks what the product should not have done when a fault was injected or healed: the run is broken by it, whether the fault counts or not.
var ErrBroken = errors.New("a promise is broken")

// ErrNothing: the fault was healed before anything had come of it.
var ErrNothing = errors.New("nothing came of it")

// brokenIf marks an error as the product's doing, unless the run was interrupted.
func brokenIf(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	return fmt.Errorf("%w: %w", ErrBroken, err)
}

// The substrates: processes on loopback with relays between them; and network namespaces on a bridge, with a virtual address (root).
const (
	Loopback = "loopback"
	Netns    = "netns"
)

// Substrates are all of them.
var Substrates = []string{Loopback, Netns}

// Draw draws an amount.
func (f *Fault) Draw(random *rand.Rand) Amount {
	if len(f.Amounts) == 0 {
		return 0
	}
	return f.Amounts[random.IntN(len(f.Amounts))]
}

// Inject lets the fault happen. After an error nothing of it is left. An error that is ErrBroken is the product's doing; any other kept the fault from happening.
func (f *Fault) Inject(ctx context.Context, field *Field, o Order) (Heal, error) {
	heal, err := f.inject(ctx, field, o)
	if err != nil {
		return nil, fmt.Errorf("fault %s on %s: %w", f.Name, f.Subject(o.Target), err)
	}
	return heal, nil
}

// Subject is whom it happens to, for people.
func (f *Fault) Subject(target string) string {
	if target == "" {
		return "the group"
	}
	return target
}

// All lists every fault, by kind and name.
func All() []*Fault {
	var list []*Fault
	for _, part := range [][]*Fault{processFaults(), networkFaults(), linkFaults(), clockFaults(), resourceFaults(), diskFaults(), powerFaults(), memberFaults(), instanceFaults(), groupFaults()} {
		list = append(list, part...)
	}
	slices.SortStableFunc(list, func(a, b *Fault) int { return strings.Compare(string(a.Kind)+a.Name, string(b.Kind)+b.Name) })
	return list
}

// ByName finds a fault. The error names one that is spelt nearly so.
func ByName(name string) (*Fault, error) {
	var near string
	best := 3
	for _, f := range All() {
		if f.Name == name {
			return f, nil
		}
		if d := distance(f.Name, name); d < best {
			near, best = f.Name, d
		}
	}
	if near != "" {
		return nil, fmt.Errorf("there is no fault %.60q: did you mean %s?", name, near)
	}
	return nil, fmt.Errorf("there is no fault %.60q: 'holdfast-chaos list --faults' shows all", name)
}

// distance is how many letters must be changed, added or taken away to make one word of the other.
func distance(a, b string) int {
	if len(b) > 60 {
		return len(b)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := before
			if a[i] != b[j] {
				change++
			}
			before = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
