package check

import (
	"context"
	"fmt"
	"sync"
)

// Epochs keeps which epochs the group has had: a promotion begins a later one than any before. The zero value knows of none.
type Epochs struct {
	mu     sync.Mutex
	ended  []uint32 // the epoch that each promotion ended
	before uint32
}

// Ends notes that a promotion ends the epoch that the group is in, as its nodes said before they ended.
func (e *Epochs) Ends(epoch uint32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = append(e.ended, epoch)
	e.before = max(e.before, epoch)
}

// over gives how many promotions there were, and the newest epoch that is over.
func (e *Epochs) over() (promotions int, newest uint32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.ended), e.before
}

// epochs asks every node for its epoch once: nothing changes it any more.
func epochs(ctx context.Context, e *Evidence) (v verdict) {
	promotions, before := e.Epochs.over()
	if promotions == 0 {
		v.none("there was no promotion")
		return v
	}
	views := e.Group.Look(ctx)
	for _, view := range views {
		switch {
		case view.Error != "":
			v.cannot("node %s does not say in which epoch it is (%s)", view.Node, view.Error)
		case view.Epoch <= before:
			v.breaks("node %s is in epoch %d, and a promotion has ended epoch %d: a node of the group before would be taken for one of this", view.Node, view.Epoch, before)
		}
	}
	if len(views) == 0 {
		v.cannot("there is no node")
	}
	v.saw = fmt.Sprintf("%s ended epoch %d, and all nodes are in a later one", count(promotions, "promotion"), before)
	if v.count > 0 {
		v.saw = fmt.Sprintf("%s after epoch %d, and not all nodes are in a later one", count(promotions, "promotion"), before)
	}
	return v
}
