package fault

import (
	"context"
	"fmt"

	"github.com/holdfast-lb/holdfast/chaos/disk"
)

func diskFaults() []*Fault {
	set := func(which func(Order) disk.Fault) func(context.Context, *Field, Order) (Heal, error) {
		return func(_ context.Context, f *Field, o Order) (Heal, error) { return hurtDisk(f, o, which(o)) }
	}
	return []*Fault{
		{Name: "slow-disk", Kind: OnNode, Rows: []int{8}, Holds: true, Measure: Duration, Amounts: []Amount{0.02, 0.1, 0.5}, Needs: needsDisks,
			About: "each sync of the node's disk takes so much longer", inject: set(func(o Order) disk.Fault { return disk.Fault{SyncDelay: o.Amount.Time()} })},
		{Name: "hung-disk", Kind: OnNode, Rows: []int{9}, Holds: true, Ends: true, Needs: needsDisks,
			About: "writes and syncs of the node's disk do not end", inject: set(func(Order) disk.Fault { return disk.Fault{Hang: true} })},
		{Name: "full-disk", Kind: OnNode, Rows: []int{7}, Holds: true, Needs: needsDisks,
			About: "the node's disk has no room for anything", inject: set(func(Order) disk.Fault { return disk.Fault{Full: true} })},
		{Name: "failed-sync", Kind: OnNode, Rows: []int{10}, Holds: true, Ends: true, Needs: needsDisks,
			About: "the next sync of the node's disk fails; the node is to end, and is started again", inject: set(func(Order) disk.Fault { return disk.Fault{FailSyncs: 1} })},
	}
}

// needsDisks: which scenario has such disks is said in its file; whether there can be any, by the machine.
func needsDisks(p Place) error {
	if err := disk.Missing(); err != nil {
		return err
	}
	if !p.Disks {
		return fmt.Errorf("%w: a scenario whose group has faultyDisks: true", ErrLacks)
	}
	return nil
}

// hurtDisk lets a fault happen to a node's disk. A node that ends because of it, which is its right, is started when the disk is well again.
func hurtDisk(f *Field, o Order, what disk.Fault) (Heal, error) {
	n, err := f.node(o)
	if err != nil {
		return nil, err
	}
	d := f.Disks[n.Name]
	if d == nil {
		return nil, fmt.Errorf("node %s has no disk that can be hurt", n.Name)
	}
	over, doubt := f.Absent(n.Name), f.Ledger.Doubt()
	failed := d.Failed()
	d.Set(what)
	return func(ctx context.Context) error {
		d.Set(disk.Fault{})
		if !n.Alive() {
			f.Witness.Say(n.Name, n.Name+" has ended because of its disk")
		} else if d.Failed() > failed {
			// A node must not go on after a sync that failed; it may be about to end.
			select {
			case <-n.Process().Done():
				f.Witness.Say(n.Name, n.Name+" has ended because of its disk")
			case <-ctx.Done():
				return fmt.Errorf("node %s goes on after a sync that failed", n.Name)
			}
		}
		return startAgain(n, over, doubt)(ctx)
	}, nil
}
