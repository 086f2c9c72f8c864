package fsm

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// EpochStart says how one epoch followed another.
type EpochStart struct {
	// Epoch began where the state of epoch After had been taken; there may be numbers between them, which are those of other heirs of the same state.
	Epoch uint32 `json:"epoch"`
	After uint32 `json:"after"`
	// Index is the last log entry that was taken over: the log of Epoch goes on behind it.
	Index uint64 `json:"index"`
	// Instances is how many instance ids had been given out by then. What After gave out later is another instance here, or none.
	Instances uint32 `json:"instances"`
	// Line tells this epoch from others of its number: an archive can be restored twice, and a group that is given up may have had one more epoch than its archive knows. It is
	// drawn at random where the epoch begins; 0 for one that began when there were none.
	Line uint32 `json:"line,omitempty"`
}

// maxEpochs is how many beginnings a group remembers.
const maxEpochs = 64

// Missed tells whether the group has lost what was decided at index in an epoch: it came behind what the group began again with, or in an epoch that is none
// of its own, as its number or its line says. next is where the group went another way, the zero value when it did not or when that has been forgotten: then
// nothing counts as lost. Index 0 stands for what no log has. A later epoch than the group's has another way from where the newest one began.
func (g *Group) Missed(epoch, line uint32, index uint64) (next EpochStart, missed bool) {
	for i := range g.Epochs {
		e := &g.Epochs[i]
		switch {
		case epoch == e.After:
			return *e, index > e.Index
		case epoch > e.After && epoch < e.Epoch, epoch == e.Epoch && line != e.Line, epoch > e.Epoch && i == len(g.Epochs)-1:
			return *e, index > 0
		}
	}
	return EpochStart{}, false
}

// forgets tells whether there may have been epochs before the oldest one that is remembered.
func (g *Group) forgets() bool { return len(g.Epochs) == maxEpochs }

// Line is that of the present epoch; see EpochStart.
func (g *Group) Line() uint32 {
	if len(g.Epochs) == 0 {
		return 0
	}
	return g.Epochs[len(g.Epochs)-1].Line
}

// LineAt is the line of the epoch in which the log had the entry of that index: the two together stand for one entry in all histories that the group has had. 0 as with Born.
func (g *Group) LineAt(index uint64) uint32 {
	for i := len(g.Epochs) - 1; i >= 0; i-- {
		if index > g.Epochs[i].Index {
			return g.Epochs[i].Line
		}
	}
	return 0
}

// EpochAt is the epoch in which the log had the entry of that index; the oldest one that is remembered, for what is older.
func (g *Group) EpochAt(index uint64) uint32 {
	for i := len(g.Epochs) - 1; i >= 0; i-- {
		if index > g.Epochs[i].Index {
			return g.Epochs[i].Epoch
		}
	}
	if len(g.Epochs) == 0 {
		return g.Epoch
	}
	return g.Epochs[0].After
}

// Born is the line of the epoch in which the id was given out, or will be: the two together stand for one instance in all histories that the group has had.
// 0 for the epochs before there were lines, and for those that have been forgotten.
func (g *Group) Born(id InstanceID) uint32 {
	for i := len(g.Epochs) - 1; i >= 0; i-- {
		if uint32(id) > g.Epochs[i].Instances {
			return g.Epochs[i].Line
		}
	}
	return 0
}

// Means tells whether an id that was given out in the epoch of line born can stand for what it stands for here. What has been forgotten counts as the same.
func (g *Group) Means(id InstanceID, born uint32) bool {
	return g.Born(id) == born || g.forgets() && uint32(id) <= g.Epochs[0].Instances
}

// possibleEpochs tells whether the epochs of g are some that BeginEpoch can have made.
func possibleEpochs(g *Group) bool {
	var last EpochStart
	for i, e := range g.Epochs {
		if e.Epoch <= e.After || e.Instances > maxInstances || i > 0 && (e.After != last.Epoch || e.Index < last.Index || e.Instances < last.Instances) {
			return false
		}
		last = e
	}
	return len(g.Epochs) <= maxEpochs && (last.Epoch == 0 || last.Epoch == g.Epoch) && g.FoundedIn < g.Epoch
}

// Beginning is how a group begins again from a state.
type Beginning struct {
	// Taken is an epoch that others have begun from that state already, 0 for none: the new one follows it too. Line is a random number (EpochStart.Line), 0 for none.
	Taken, Line uint32
	// At is the wall clock.
	At time.Time
	// Kind, unless it is empty, Actor, Node and Text make the first event of the epoch. What Text says comes behind the number of the epoch.
	Kind, Actor, Node, Text string
}

// BeginEpoch is Begin without an event.
func (s *State) BeginEpoch(line uint32, at time.Time) error {
	return s.Begin(Beginning{Line: line, At: at})
}

// Begin makes a restored state the beginning of the group's next epoch, which now begins (At, or the replicated time when that is later). It is no command:
// it happens before there is a log, on the one node that the group begins again with. So does its event.
//
// What the events say of nodes that do not answer, or are out of service, ends with the epoch: those that come are others, and may have their names.
//
// Every assignment counts as in use now. While the group was not there no client could show that its session is, and the longer that was, the more of
// them would be gone with the first sweep. Deadlines that were set as times stay what they are.
//
// Call it where Apply is called. An error (there is no group, no epoch follows, At is out of range) leaves the state as it was.
func (s *State) Begin(b Beginning) error {
	r := s.cur.Load()
	old := r.group.Load()
	taken, now := b.Taken, max(b.At.UnixMilli(), r.now.Load())
	if p := r.restoring.Load(); p != nil {
		taken = max(taken, p.Next) // it may have begun behind this state
	}
	switch {
	case old == nil:
		return errors.New("begin epoch: the state is that of no group")
	case max(old.Epoch, taken) == math.MaxUint32:
		return errors.New("begin epoch: the group has had its last epoch")
	case now <= 0 || now > maxNow:
		return fmt.Errorf("begin epoch: %v is out of range: set this machine's clock", b.At)
	}
	r.now.Store(now)
	r.setRestoring(nil) // nobody goes on with it
	r.endAbsences(old.Epoch)
	if !staysInEpoch() {
		r.beginEpoch(EpochStart{Epoch: max(old.Epoch, taken) + 1, Index: r.applied.Load(), Line: b.Line}, 0)
	}
	if b.Kind != "" {
		r.emit(r.applied.Load(), Event{Kind: b.Kind, Actor: b.Actor, Node: b.Node, Text: fmt.Sprintf("Epoch %d begins%s", r.group.Load().Epoch, because(b.Text))})
	}
	r.publish(r.applied.Load())
	return nil
}

// beginEpoch raises the epoch of a state. founded is Group.FoundedIn of the new epoch; what it follows is known here.
func (r *replica) beginEpoch(begun EpochStart, founded uint32) {
	old := r.group.Load()
	g := *old
	g.Epoch, g.FoundedIn = begun.Epoch, founded
	begun.After, begun.Instances = old.Epoch, uint32(len(r.names.Load().refs))
	g.Epochs = append(slices.Clone(old.Epochs[max(0, len(old.Epochs)-maxEpochs+1):]), begun)
	r.items.sub(itemSum(itemGroup, appendGroup(nil, old)))
	r.items.add(itemSum(itemGroup, appendGroup(nil, &g)))
	r.group.Store(&g)
	r.table.touchAll(seenNow(r.now.Load()))
	r.store.renew(r.now.Load())
}

// Founded is the epoch in which the group's log began: that of the newest promotion, recovery or restore into a new group, else the first. Of two nodes of one group the one with the lower number is of the
// past. Epochs that began with an entry of the log (RestoreCommit) do not count: a node that has not applied it yet is a member like any other.
func (g *Group) Founded() uint32 {
	if g.FoundedIn != 0 {
		return g.FoundedIn
	}
	return g.Epoch
}

// touchAll marks all assignments as seen, none of them earlier than it is.
func (t *table) touchAll(seen uint32) {
	for i := range t.shards {
		sh := &t.shards[i]
		if sh.used == 0 {
			continue
		}
		t.own(sh)
		sh.mu.Lock()
		for j := range sh.slots {
			if s := &sh.slots[j]; s.instance != 0 && s.seen < seen {
				t.sum.sub(slotSum(s))
				s.seen = seen
				t.sum.add(slotSum(s))
			}
		}
		sh.mu.Unlock()
	}
}
