package fault

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/holdfast-lb/holdfast/chaos/group"
)

func powerFaults() []*Fault {
	return []*Fault{
		{Name: "power-cut", Kind: OnNode, Rows: []int{5}, Holds: true, Needs: needsDisks, About: "the node is killed, and what it has written and not synced is lost, all or the last of it, the oldest of that torn; healed by a start",
			inject: func(_ context.Context, f *Field, o Order) (Heal, error) {
				n, err := f.node(o)
				if err != nil {
					return nil, err
				}
				return f.powerCut(o.Random, n)
			}},
		{Name: "power-cut-all", Kind: OnGroup, Rows: []int{5, 6}, Holds: true, Needs: needsDisks, About: "the same of all nodes at once",
			inject: func(_ context.Context, f *Field, o Order) (Heal, error) {
				return f.powerCut(o.Random, f.Stage.Group.Nodes...)
			}},
	}
}

// powerCut ends nodes at once, and takes from their disks what was not synced.
func (f *Field) powerCut(random *rand.Rand, nodes ...*group.Node) (Heal, error) {
	doubt := f.Ledger.Doubt()
	var heals []Heal
	for _, n := range nodes {
		heals = append(heals, startAgain(n, f.Absent(n.Name)))
	}
	killAtOnce(f, nodes...)
	var errs []error
	for _, n := range nodes {
		lost, err := f.Disks[n.Name].PowerCut(random)
		if errs = append(errs, err); err == nil {
			f.Witness.Say(n.Name, fmt.Sprintf("%s has lost %d writes that it had not synced", n.Name, lost))
		}
	}
	back := func(ctx context.Context) error {
		defer doubt()
		var errs []error
		for i, h := range heals {
			f.Disks[nodes[i].Name].PowerOn()
			errs = append(errs, h(ctx))
		}
		return errors.Join(errs...)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, back(context.Background()))
	}
	return back, nil
}
