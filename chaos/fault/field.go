package fault

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/disk"
	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/ledger"
	"github.com/holdfast-lb/holdfast/chaos/stage"
	"github.com/holdfast-lb/holdfast/chaos/vip/warp"
)

// Witness is told what faults do that checks, or people, have to know. It is called from any goroutine.
type Witness interface {
	// Say is told of what happens beside the faults themselves, in words.
	Say(subject, text string)
	// Changed is told of each attempt of an operator to change the configuration, and what he was told.
	Changed(sent time.Time, result *client.ConfigResult, err error)
	// Disabling is told that an operator is about to ask for the quiesce of an instance.
	Disabling(cluster, instance string)
	// Quiescing is told that all nodes obey the quiesce of an instance, Enabling that the instance is about to be enabled again.
	Quiescing(cluster, instance string)
	Enabling(cluster, instance string)
	// BackedUp is told of each backup that was taken and read back, and what was found wrong with it, nil for nothing.
	BackedUp(problem error)
	// Promoting is told that a promotion, or a recovery from one node, is about to end the epoch that the group is in.
	Promoting(epoch uint32)
	// Lost is told that the group goes on from a state that, by the product's word, has everything which was acknowledged up to a time, and what was left of the group until it ended. No node serves yet.
	Lost(l Loss)
}

// Loss is what the product says of a group that goes on from an older state.
type Loss struct {
	// How is the command that has it go on.
	How string
	// After is the time up to which everything that was acknowledged is there, Ended when the last node that had more ended.
	After, Ended time.Time
	// Bound is how much earlier After may be than Ended, by what is documented; 0: nothing is.
	Bound time.Duration
}

// Field is a stage while a run plays on it.
type Field struct {
	Stage  *stage.Stage
	Ledger *ledger.Ledger
	// Disks are those of the nodes, by name, where they can be hurt.
	Disks map[string]*disk.Disk
	// Other is another build of the program for faults that need one; may be empty.
	Other string
	// Quiesce is the quiesce timeout of the configuration.
	Quiesce time.Duration
	Witness Witness
	// Leads gives the name of the node that leads as far as is known now, empty for none; nil: the group is asked.
	Leads func() string

	mu     sync.Mutex
	held   map[string]string // by what is held: the fault that holds it
	absent map[string]int    // nodes that are not meant to run, by name: how many reasons
	clocks map[int]*warp.Clock
}

// ErrHeld: another fault has taken hold of it.
var ErrHeld = errors.New("another fault has hold of it")

// claim takes hold of things, all or none.
func (f *Field) claim(fault string, things ...string) (release func(), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range things {
		if holder := f.held[t]; holder != "" {
			return nil, fmt.Errorf("%w: %s has %s", ErrHeld, holder, t)
		}
	}
	if f.held == nil {
		f.held = map[string]string{}
	}
	for _, t := range things {
		f.held[t] = fault
	}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, t := range things {
			delete(f.held, t)
		}
	}, nil
}

// takers is what faults that take something away claim beside their target.
const takers = "what must not be taken twice"

// Claim takes hold of what the fault needs for a target. The error is ErrHeld when it cannot.
func (f *Field) Claim(fault *Fault, target string) (release func(), err error) {
	var things []string
	switch {
	case fault.Holds && fault.Kind == OnGroup:
		for _, n := range f.Stage.Group.Nodes {
			things = append(things, n.Name)
		}
	case fault.Holds:
		things = append(things, target)
	}
	if fault.Takes {
		things = append(things, takers)
	}
	return f.claim(fault.Name, things...)
}

// Absent declares that a node may not run, until the given function is called.
func (f *Field) Absent(node string) (over func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.absent == nil {
		f.absent = map[string]int{}
	}
	f.absent[node]++
	return sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.absent[node]--
	})
}

// MayBeDown says whether some fault has taken the node's process away, or may have.
func (f *Field) MayBeDown(node string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.absent[node] > 0
}

// The targets that are resolved when a fault is injected.
const (
	Leader   = "leader"
	Holder   = "holder"
	Follower = "follower"
	Any      = "any"
)

// leaderTime is how long a fault waits for a leader that it wants to happen to.
const leaderTime = 3 * time.Second

// Resolve gives the name of the node or instance that a target means now; empty for a fault on the group. Where there is a choice, it is drawn among those that nothing has hold of.
func (f *Field) Resolve(ctx context.Context, fault *Fault, target string, random *rand.Rand) (string, error) {
	draw := random.Uint64() // always, so that what follows is drawn alike whatever is free
	switch fault.Kind {
	case OnGroup:
		return "", nil
	case OnInstance:
		var names []string
		for _, in := range f.Stage.Instances {
			if in.Name == target {
				return target, nil
			}
			names = append(names, in.Name)
		}
		return f.free(fault, names, draw)
	}
	if n := f.Stage.Group.ByName(target); n != nil {
		return n.Name, nil
	}
	leader := ""
	if target != Any {
		if leader = f.leader(ctx); ctx.Err() != nil {
			return "", ctx.Err()
		}
		if leader == "" {
			f.Witness.Say("", fmt.Sprintf("nobody leads: %s happens to any node instead of the %s", fault.Name, target))
			target = Any
		}
	}
	if target == Leader || target == Holder { // the leader holds the address
		return leader, nil
	}
	var names []string
	for _, n := range f.Stage.Group.Nodes {
		if n.Name != leader {
			names = append(names, n.Name)
		}
	}
	return f.free(fault, names, draw)
}

// leader waits a while for somebody to lead; empty: nobody does.
func (f *Field) leader(ctx context.Context) string {
	limited, cancel := context.WithTimeout(ctx, leaderTime)
	defer cancel()
	if f.Leads == nil {
		n, err := f.Stage.Group.Leader(limited)
		if err != nil {
			return ""
		}
		return n.Name
	}
	for {
		if leader := f.Leads(); leader != "" || pause(limited, 20*time.Millisecond) != nil {
			return leader
		}
	}
}

func (f *Field) free(fault *Fault, names []string, draw uint64) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fault.Holds {
		names = slices.DeleteFunc(names, func(n string) bool { return f.held[n] != "" })
	}
	if len(names) == 0 {
		return "", ErrHeld
	}
	return names[draw%uint64(len(names))], nil
}

// node gives the node of an order.
func (f *Field) node(o Order) (*group.Node, error) {
	if n := f.Stage.Group.ByName(o.Target); n != nil {
		return n, nil
	}
	return nil, fmt.Errorf("there is no node %q", o.Target)
}

func (f *Field) instance(o Order) (*stage.Instance, error) {
	for _, in := range f.Stage.Instances {
		if in.Name == o.Target {
			return in, nil
		}
	}
	return nil, fmt.Errorf("there is no instance %q", o.Target)
}

// others are the names of all nodes but one.
func (f *Field) others(than string) (names []string) {
	for _, n := range f.Stage.Group.Nodes {
		if n.Name != than {
			names = append(names, n.Name)
		}
	}
	return names
}

// pause waits; the error is that of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// background runs do until the heal that it gives is called, which waits for its end and then runs after.
func background(do func(ctx context.Context) error, after Heal) Heal {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- do(ctx) }()
	return func(heal context.Context) error {
		cancel()
		err := <-done
		if errors.Is(err, context.Canceled) {
			err = nil
		}
		if after != nil {
			err = errors.Join(err, after(heal))
		}
		return err
	}
}
